//! `stake ...` and `register`

use super::{
    CliError,
    args::{RegisterArgs, StakeCommand},
    context::Context,
    output::{mesh, planck},
};
use crate::host;
use llmesh_chain::{AccountId, ChainApi, NodeClient, calls};
use llmesh_primitives::StakeAccount;
use serde_json::{Value as Json, json};

pub(super) async fn run(context: &Context, command: StakeCommand) -> Result<(), CliError> {
    let call = match command {
        StakeCommand::Show { account } => return show(context, context.account(account)?).await,
        StakeCommand::Bond { amount } => calls::bond(amount),
        StakeCommand::Extra { amount } => calls::bond_extra(amount),
        StakeCommand::Delegate { operator, amount } => calls::delegate(operator, amount),
        StakeCommand::Unbond { amount, operator } => calls::unbond(context.account(operator)?, amount),
        StakeCommand::Rebond { amount, operator } => calls::rebond(context.account(operator)?, amount),
        StakeCommand::Withdraw { operator } => calls::withdraw(context.account(operator)?),
        StakeCommand::Claim { operator } => calls::claim_rewards(operator),
        StakeCommand::Commission { commission } => calls::set_commission(commission),
        StakeCommand::Validate => calls::validate(),
        StakeCommand::Verify => calls::verify(),
        StakeCommand::Chill => calls::chill(),
    };
    context.submit_and_print(&call).await
}

pub(super) async fn register(context: &Context, args: RegisterArgs) -> Result<(), CliError> {
    let call = if args.remove {
        calls::deregister_worker()
    } else {
        calls::register_worker(&host::record(&args.region, &args.endpoint).map_err(CliError::Usage)?)
    };
    context.submit_and_print(&call).await
}

async fn show(context: &Context, account: AccountId) -> Result<(), CliError> {
    let client = context.connect().await?;
    let stake = client.operator(account).await?;
    let balance = client.balance(&account).await?;
    context.show(
        || {
            json!({
                "account": account.to_string(),
                "free": planck(balance.free),
                "reserved": planck(balance.reserved),
                "stake": stake.as_ref().map(stake_to_json),
            })
        },
        || {
            let mut text = format!("{account}\nfree        {}\n", mesh(balance.free));
            match &stake {
                None => text += "no stake: llmesh-worker stake bond 1000\n",
                Some(stake) => text += &show_stake(stake),
            }
            text
        },
    );
    Ok(())
}

/// A stake in words.
pub(super) fn show_stake(stake: &StakeAccount) -> String {
    let roles = roles(stake);
    format!(
        "bonded      {}\ndelegated   {}\nunbonding   {}\nroles       {}\nworker      {}\n",
        mesh(stake.own),
        mesh(stake.delegated),
        mesh(stake.unbonding),
        if roles.is_empty() {
            "none".into()
        } else {
            roles.join(", ")
        },
        stake.worker.as_ref().map_or("not registered".into(), |w| format!(
            "registered, region {}",
            String::from_utf8_lossy(&w.region)
        )),
    )
}

fn roles(stake: &StakeAccount) -> Vec<&'static str> {
    [
        ("host", stake.host),
        ("verifier", stake.verifier),
        ("validator", stake.validator),
    ]
    .into_iter()
    .filter_map(|(name, on)| on.then_some(name))
    .collect()
}

/// A stake as JSON.
pub(super) fn stake_to_json(stake: &StakeAccount) -> Json {
    json!({
        "own": planck(stake.own),
        "delegated": planck(stake.delegated),
        "unbonding": planck(stake.unbonding),
        "commission": f64::from(stake.commission.deconstruct()) / 1e9,
        "host": stake.host,
        "verifier": stake.verifier,
        "validator": stake.validator,
        "worker": stake.worker.as_ref().map(|w| json!({
            "region": String::from_utf8_lossy(&w.region),
            "endpoints": w.endpoints.iter().map(|e| String::from_utf8_lossy(e)).collect::<Vec<_>>(),
            "capability": w.capability.iter().map(|c| format!("{c:?}")).collect::<Vec<_>>(),
        })),
    })
}
