//! `status`

use super::{
    CliError,
    args::StatusArgs,
    context::Context,
    output::{mesh, planck, print, print_json, show_fault},
    stake,
};
use crate::{Fault, host, lock::StateLock, running, status::ShownFault, worker::STATUS_FILE};
use llmesh_chain::{ChainApi, NodeClient};
use llmesh_engine::{EngineConfig, Executor};
use serde_json::{Value as Json, json};

/// Looks at everything that serving needs: the chain, the account, the store, the library, and a worker that runs here.
pub(super) async fn run(context: &Context, args: StatusArgs) -> Result<(), CliError> {
    let account = context.account(args.account)?;
    let client = context.connect().await?;
    let best = client.best_head().await?;
    let properties = client.properties().await?;
    let genesis = client.genesis_hash().await?;
    let status = client.host_status(account, Some(best.hash)).await?;
    let balance = client.balance(&account).await?;

    let mut faults = host::faults(&status, &balance);
    let engine = context.engine(&args.engine, EngineConfig::default())?;
    if let Err(error) = engine.check() {
        faults.push(Fault::RuntimeMissing {
            reason: error.to_string(),
        });
    }
    let mut offers = Vec::new();
    for (id, terms) in &status.offers {
        let Some(model) = client.model_version(*id).await? else {
            continue;
        };
        let name = super::model::label(&model);
        let here = engine.has_model(model.manifest.content_id);
        if !here {
            faults.push(Fault::ModelMissing { model: name.clone() });
        }
        offers.push((name, *terms, here));
    }
    faults.sort();

    let folder = running::state_folder(&context.base_path);
    let running = StateLock::is_held(&folder);
    let worker: Option<Json> = std::fs::read_to_string(folder.join(STATUS_FILE))
        .ok()
        .filter(|_| running)
        .and_then(|text| serde_json::from_str(&text).ok());
    let state = worker
        .as_ref()
        .and_then(|w| w.get("state")?.as_str())
        .unwrap_or("not running")
        .to_owned();

    if context.json {
        let offers: Vec<Json> = offers
            .iter()
            .map(|(name, t, here)| {
                json!({"model": name, "price": planck(t.price), "capacity": t.capacity, "in_store": here})
            })
            .collect();
        print_json(&json!({
            "account": account.to_string(),
            "state": state,
            "faults": faults.iter().map(ShownFault::from).collect::<Vec<_>>(),
            "chain": {"name": properties.chain, "genesis": format!("{genesis:?}"), "best_block": best.number},
            "free": planck(balance.free),
            "reserved": planck(balance.reserved),
            "stake": status.stake.as_ref().map(stake::stake_to_json),
            "reputation": f64::from(status.reputation.deconstruct()) / 1e9,
            "missed": status.missed,
            "suspended": status.suspended,
            "in_flight": status.in_flight,
            "offers": offers,
            "worker": worker,
        }));
        return Ok(());
    }
    let mut text = format!(
        "{account}\nchain       {}, block {}\nworker      {state}\nfree        {}\n",
        properties.chain,
        best.number,
        mesh(balance.free)
    );
    if let Some(stake) = &status.stake {
        text += &stake::show_stake(stake);
        text += &format!(
            "reputation  {:.3}, {} deadlines missed in a row, {} jobs at work\n",
            f64::from(status.reputation.deconstruct()) / 1e9,
            status.missed,
            status.in_flight
        );
    }
    for (name, terms, here) in &offers {
        let stored = if *here { "" } else { ", its file is missing" };
        text += &format!(
            "offer       {name}: {} per million MACs, capacity {}{stored}\n",
            mesh(terms.price),
            terms.capacity
        );
    }
    match faults.as_slice() {
        [] if running => text += "everything is in order\n",
        [] => text += "everything is in order: start the worker with `llmesh-worker run`\n",
        faults => {
            text += "at fault:\n";
            for fault in faults {
                text += &format!("  {}\n", show_fault(fault));
            }
        }
    }
    print(text.trim_end());
    Ok(())
}
