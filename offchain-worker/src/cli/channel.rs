//! `channel ...`

use super::{
    CliError,
    args::ChannelCommand,
    context::Context,
    output::{mesh, planck},
};
use crate::net::{Directory, identity::KeyFolder};
use llmesh_chain::{AccountId, Call, ChainApi, ChainChannel, NodeClient, Signer, Wait, calls};
use llmesh_primitives::{ChannelId, ChannelState, channel::MAX_LANES};
use serde_json::{Value as Json, json};
use std::cmp::Reverse;

pub(super) async fn run(context: &Context, command: ChannelCommand) -> Result<(), CliError> {
    match command {
        ChannelCommand::Open {
            model,
            host,
            budget,
            lifetime,
        } => {
            let mut hosts = host;
            if let Some(model) = &model {
                let found = context.resolve(model).await?;
                let mut live = live_hosts(context, found.id).await?;
                live.retain(|host| !hosts.contains(host));
                live.truncate((MAX_LANES as usize).saturating_sub(hosts.len()));
                if live.is_empty() && hosts.is_empty() {
                    return Err(CliError::Failed(format!(
                        "no host in good standing offers {model}"
                    )));
                }
                hosts.extend(live);
            }
            hosts.sort_by_key(|h| h.0);
            hosts.dedup();
            let (call, included, id) = open(context, &hosts, budget, lifetime, context.wait).await?;
            if context.json {
                let lanes: Vec<String> = hosts.iter().map(ToString::to_string).collect();
                let extra = json!({"channel": id, "hosts": lanes, "budget": planck(budget)});
                context.print_included(&call, &included, extra);
            } else {
                super::output::print(format_args!(
                    "channel {id} is open in block {}: {} for each of {} hosts",
                    included.block,
                    mesh(budget),
                    hosts.len()
                ));
            }
            Ok(())
        }
        ChannelCommand::Fund {
            channel,
            host,
            amount,
        } => {
            let found = known(context, channel).await?;
            let lane = found.lanes.iter().position(|l| l.host == host);
            let call = match lane.and_then(|l| u16::try_from(l).ok()) {
                Some(lane) => calls::fund_lane(channel, lane, amount),
                None => calls::add_lane(channel, host, amount),
            };
            context.submit_and_print(&call).await
        }
        ChannelCommand::Extend { channel, lifetime } => {
            submit_known(context, channel, calls::extend_channel(channel, lifetime)).await
        }
        ChannelCommand::List => list(context).await,
        ChannelCommand::Close { channel } => {
            submit_known(context, channel, calls::close_channel(channel)).await
        }
        ChannelCommand::Settle { channel } => {
            submit_known(context, channel, calls::settle_channel(channel)).await
        }
    }
}

/// Opens a channel whose vouchers are signed by the key in this base path. Returns the call, the
/// transaction and the number.
pub(super) async fn open(
    context: &Context,
    hosts: &[AccountId],
    budget: u128,
    lifetime: u32,
    wait: Wait,
) -> Result<(Call, llmesh_chain::Included, ChannelId), CliError> {
    if hosts.is_empty() || hosts.len() > MAX_LANES as usize {
        return Err(CliError::Usage(format!(
            "a channel has 1 to {MAX_LANES} lanes, not {}: name the hosts with --host",
            hosts.len()
        )));
    }
    let signer = payer(context)?;
    let lanes: Vec<(AccountId, u128)> = hosts.iter().map(|h| (*h, budget)).collect();
    let call = calls::open_channel(&signer.account32(), &lanes, lifetime);
    let included = context.submit_and_wait(&call, wait).await?;
    let id = included
        .event("Settlement", "ChannelOpened")
        .and_then(|e| e.number("channel"))
        .and_then(|n| ChannelId::try_from(n).ok())
        .ok_or_else(|| {
            CliError::Failed("the channel was opened, but its number is not in the events".into())
        })?;
    Ok((call, included, id))
}

/// The key that signs vouchers and requests; made when missing.
pub(super) fn payer(context: &Context) -> Result<Signer, CliError> {
    let folder = KeyFolder::open(crate::net::keys_folder(&context.base_path))?;
    Ok(folder.payer()?)
}

/// The hosts of a model that can be asked over the mesh: as many as a channel has lanes, the cheapest first and of these those of
/// the best reputation.
pub(super) async fn live_hosts(
    context: &Context,
    model: llmesh_primitives::ModelVersionId,
) -> Result<Vec<AccountId>, CliError> {
    let directory = Directory::new();
    directory.refresh(&context.client).await?;
    let snapshot = directory.snapshot();
    let mut live: Vec<_> = snapshot
        .live_offers(model)
        .map(|(host, terms)| (terms.price, Reverse(host.reputation_ppb), host.account.0))
        .collect();
    live.sort_unstable();
    live.truncate(MAX_LANES as usize);
    Ok(live.into_iter().map(|(_, _, host)| host.into()).collect())
}

async fn known(context: &Context, id: ChannelId) -> Result<ChainChannel, CliError> {
    context.connect().await?.channel(id).await?.ok_or_else(|| {
        CliError::Failed(format!(
            "the chain has no channel {id}: the number is wrong, or it was settled"
        ))
    })
}

async fn submit_known(context: &Context, id: ChannelId, call: Call) -> Result<(), CliError> {
    known(context, id).await?;
    context.submit_and_print(&call).await
}

async fn list(context: &Context) -> Result<(), CliError> {
    let payer = context.signer()?.account_id();
    let client = context.connect().await?;
    let head = client.best_head().await?;
    let channels = client.channels_of(payer).await?;
    context.show(
        || {
            let channels: Vec<Json> = channels.iter().map(|(id, c)| to_json(*id, c)).collect();
            json!({"account": payer.to_string(), "block": head.number, "channels": channels})
        },
        || {
            if channels.is_empty() {
                return "no channels: llmesh-worker channel open --model NAME --budget AMOUNT".into();
            }
            let mut text = String::new();
            for (id, channel) in &channels {
                let state = match channel.state {
                    ChannelState::Open => format!("open until block {}", channel.expires_at),
                    ChannelState::Closing { until } => {
                        format!("closing, hosts can claim until block {until}")
                    }
                };
                text += &format!("channel {id}: {state}\n");
                for (i, lane) in channel.lanes.iter().enumerate() {
                    text += &format!(
                        "  lane {i}: {} has {}, {} paid\n",
                        lane.host,
                        mesh(lane.funded),
                        mesh(lane.paid)
                    );
                }
            }
            text
        },
    );
    Ok(())
}

fn to_json(id: ChannelId, channel: &ChainChannel) -> Json {
    let (state, until) = match channel.state {
        ChannelState::Open => ("open", channel.expires_at),
        ChannelState::Closing { until } => ("closing", until),
    };
    let lanes: Vec<Json> = channel
        .lanes
        .iter()
        .map(|lane| {
            json!({
                "host": lane.host.to_string(),
                "funded": planck(lane.funded),
                "paid": planck(lane.paid),
                "claimed": planck(lane.claimed),
                "nonce": lane.nonce,
                "released": lane.released,
            })
        })
        .collect();
    json!({
        "channel": id,
        "signer": channel.signer.to_string(),
        "epoch": channel.epoch,
        "state": state,
        "until": until,
        "deposit": planck(channel.deposit),
        "lanes": lanes,
    })
}
