//! `job ...`

use super::{
    CliError,
    args::{JobCommand, MaxFee, PriorityArg, SubmitArgs},
    context::Context,
    model,
    output::{mesh, planck, print, print_json},
};
use crate::tensors;
use llmesh_chain::{AccountId, ChainApi, ChainJob, ChainModel, HeadState, NodeClient, calls};
use llmesh_primitives::{
    AssignmentState, JobId, JobOutcome, JobParams, JobResult, JobState, Priority, Tensors, api::Quote,
};
use serde_json::{Value as Json, json};
use std::time::Duration;

pub(super) async fn run(context: &Context, command: JobCommand) -> Result<(), CliError> {
    match command {
        JobCommand::Submit(args) => submit(context, args).await,
        JobCommand::Watch { job, timeout } => watch(context, job, timeout).await,
        JobCommand::Show { job } => {
            context.connect().await?;
            show(context, job, &known(context, job).await?).await
        }
        JobCommand::Cancel { job } => context.submit_and_print(&calls::cancel_job(job)).await,
    }
}

async fn known(context: &Context, id: JobId) -> Result<ChainJob, CliError> {
    context.client.job(id).await?.ok_or_else(|| {
        CliError::Failed(format!(
            "the chain has no job {id}: the number is wrong, or its record was removed"
        ))
    })
}

async fn submit(context: &Context, args: SubmitArgs) -> Result<(), CliError> {
    context.signer()?;
    let mut inputs = Vec::with_capacity(args.input.len());
    for text in &args.input {
        inputs.push(tensors::parse(text, |path| std::fs::read(path)).map_err(CliError::Usage)?);
    }
    let found = context.resolve(&args.model).await?;
    let signature = &found.manifest.signature;
    if let Err(error) = signature.check_inputs(&inputs) {
        let wanted: Vec<String> = signature.inputs.iter().map(tensors::show_spec).collect();
        let message = format!(
            "the inputs do not fit {}: {error}; it takes {}",
            model::label(&found),
            wanted.join(", ")
        );
        return Err(CliError::Usage(message));
    }
    let inputs =
        Tensors::try_from(inputs).map_err(|_| CliError::Usage("at most 16 tensors are taken".into()))?;
    let priority = match args.priority {
        PriorityArg::Normal => Priority::Normal,
        PriorityArg::High => Priority::High,
        PriorityArg::Urgent => Priority::Urgent,
    };
    let quote = context
        .client
        .quote(found.id, priority, args.min_reputation)
        .await?;
    let max_fee = match args.max_fee {
        MaxFee::Planck(fee) => fee,
        MaxFee::Auto => automatic_fee(&found, quote, args.redundancy)?,
    };
    let params = JobParams {
        max_fee,
        redundancy: args.redundancy,
        priority,
        min_reputation: args.min_reputation,
    };
    let call = calls::submit_job(found.id, &inputs, &params);
    let included = context.submit(&call).await?;
    let job = included
        .event("Jobs", "Submitted")
        .and_then(|e| e.number("job"))
        .and_then(|n| JobId::try_from(n).ok())
        .ok_or_else(|| {
            CliError::Failed("the job was submitted, but its number is not in the events".into())
        })?;
    if args.watch {
        tracing::info!(job, block = included.block.number, "submitted");
        if !context.json {
            print(format_args!(
                "job {job} submitted in block {}",
                included.block.number
            ));
        }
        return watch(context, job, args.timeout).await;
    }
    if context.json {
        let extra = json!({"job": job, "model": model::label(&found), "max_fee": planck(max_fee)});
        context.print_included(&call, &included, extra);
    } else {
        print(format_args!(
            "job {job} submitted in block {}, at most {}\nllmesh-worker job watch {job}",
            included.block.number,
            mesh(max_fee)
        ));
    }
    Ok(())
}

/// Enough for every live offer.
fn automatic_fee(model: &ChainModel, quote: Option<Quote>, redundancy: u8) -> Result<u128, CliError> {
    let highest = quote.and_then(|q| q.highest).ok_or_else(|| {
        CliError::Failed(format!(
            "no live host offers {}, so there is no price to go by: name one with --max-fee to submit it all the same",
            model::label(model)
        ))
    })?;
    highest
        .checked_mul(redundancy.into())
        .ok_or_else(|| CliError::Failed("the price is too large: name a limit with --max-fee".into()))
}

/// Heads that a job may be missing in before it counts as unknown.
const PATIENCE: u32 = 4;

async fn watch(context: &Context, id: JobId, timeout: Duration) -> Result<(), CliError> {
    context.connect().await?;
    let mut heads = context.client.follow_best();
    let mut last = String::new();
    // The block with the submission may be replaced by another one, which then holds it a little later.
    let mut unseen = 0;
    let follow = async {
        loop {
            let state = heads.borrow_and_update().clone();
            match state {
                HeadState::At(head) => match context.client.job(id).await {
                    Ok(Some(job)) => {
                        let now = describe(&job);
                        if now != last {
                            tracing::info!(job = id, block = head.number, "{now}");
                            if !context.json {
                                print(format_args!("block {}: {now}", head.number));
                            }
                            last = now;
                        }
                        if matches!(job.state, JobState::Finished(_)) {
                            return Ok(job);
                        }
                    }
                    Ok(None) if unseen < PATIENCE => unseen += 1,
                    Ok(None) => return known(context, id).await,
                    // The node is away for a moment; the next head tells.
                    Err(error) if error.is_transient() => tracing::warn!(%error, "still waiting"),
                    Err(error) => return Err(error.into()),
                },
                HeadState::Lost {
                    wrong_chain: true,
                    reason,
                } => return Err(CliError::Failed(reason)),
                HeadState::Lost { reason, .. } => tracing::warn!("{reason}"),
                HeadState::Waiting => {}
            }
            if heads.changed().await.is_err() {
                return Err(CliError::Failed("the connection to the node ended".into()));
            }
        }
    };
    let job = tokio::time::timeout(timeout, follow).await.map_err(|_| {
        CliError::Failed(format!(
            "job {id} is not over after {timeout:?}; look again with `job watch {id}`"
        ))
    })??;
    show(context, id, &job).await?;
    match job.state {
        JobState::Finished(JobOutcome::Settled) => Ok(()),
        _ => Err(CliError::Failed(format!(
            "job {id} ended without all its results: {}",
            describe(&job)
        ))),
    }
}

fn describe(job: &ChainJob) -> String {
    match job.state {
        JobState::Queued => "queued".into(),
        JobState::Running => {
            let at_work: Vec<String> = job
                .assignments
                .iter()
                .filter(|a| a.state == AssignmentState::Pending)
                .map(|a| format!("{} until block {}", a.host, a.deadline))
                .collect();
            format!("running: {}", at_work.join(", "))
        }
        JobState::Finished(outcome) => outcome_name(outcome),
    }
}

fn outcome_name(outcome: JobOutcome) -> String {
    match outcome {
        JobOutcome::Settled => "settled".into(),
        JobOutcome::PartiallySettled => "partially settled".into(),
        JobOutcome::Cancelled => "cancelled".into(),
        JobOutcome::Expired => "expired".into(),
        JobOutcome::Failed(reason) => format!("failed: {reason:?}"),
    }
}

async fn show(context: &Context, id: JobId, job: &ChainJob) -> Result<(), CliError> {
    let results = context.client.results(id).await?;
    if context.json {
        print_json(&job_to_json(id, job, &results));
        return Ok(());
    }
    let account = &job.account;
    let mut text = format!(
        "job {id}: {}\nmodel version {}, submitted in block {}\nfee {} (hosts {}, pool {}, treasury {}), refunded {}\n",
        describe(job),
        job.model,
        job.submitted_at,
        mesh(account.fee),
        mesh(account.host_paid),
        mesh(account.pool_paid),
        mesh(account.treasury_paid),
        mesh(account.refunded),
    );
    for a in &job.assignments {
        text += &format!(
            "{}: drawn in block {}, {}\n",
            a.host,
            a.drawn_at,
            assignment_state(&a.state)
        );
    }
    for (host, result) in &results {
        for tensor in &result.outputs {
            let values = tensors::elements(tensor);
            let head: Vec<String> = values.iter().take(8).map(ToString::to_string).collect();
            let more = if values.len() > 8 { ", ..." } else { "" };
            text += &format!(
                "{host}: {} {} {:?} [{}{more}]\n",
                tensor.name_str(),
                tensor.element_type.name(),
                tensor.shape.as_slice(),
                head.join(", ")
            );
        }
    }
    print(text.trim_end());
    Ok(())
}

fn assignment_state(state: &AssignmentState<u32>) -> String {
    match state {
        AssignmentState::Pending => "at work".into(),
        AssignmentState::Delivered { at, .. } => format!("delivered in block {at}"),
        AssignmentState::TimedOut => "missed the deadline".into(),
        AssignmentState::Declined(reason) => format!("handed it back: {reason:?}"),
    }
}

fn job_to_json(id: JobId, job: &ChainJob, results: &[(AccountId, JobResult)]) -> Json {
    let (state, outcome) = match job.state {
        JobState::Queued => ("queued", Json::Null),
        JobState::Running => ("running", Json::Null),
        JobState::Finished(outcome) => ("finished", Json::String(outcome_name(outcome))),
    };
    let assignments: Vec<Json> = job
        .assignments
        .iter()
        .map(|a| {
            let (state, delivered) = match &a.state {
                AssignmentState::Pending => ("pending", None),
                AssignmentState::Delivered { at, .. } => ("delivered", Some(*at)),
                AssignmentState::TimedOut => ("timed-out", None),
                AssignmentState::Declined(_) => ("declined", None),
            };
            json!({
                "host": a.host.to_string(),
                "fee": planck(a.fee),
                "drawn_at": a.drawn_at,
                "deadline": a.deadline,
                "state": state,
                "delivered_at": delivered,
            })
        })
        .collect();
    let results: Vec<Json> = results
        .iter()
        .map(|(host, r)| {
            json!({
                "host": host.to_string(),
                "outputs": r.outputs.iter().map(tensors::to_json).collect::<Vec<_>>(),
                "receipt": {
                    "model": format!("{:?}", r.receipt.model),
                    "runtime_class": format!("{:?}", r.receipt.runtime_class),
                    "input_hash": format!("{:?}", r.receipt.input_hash),
                    "output_hash": format!("{:?}", r.receipt.output_hash),
                    "probe_hash": r.receipt.probe_hash.map(|h| format!("{h:?}")),
                    "fee": planck(r.receipt.fee),
                    "hash": format!("{:?}", r.receipt.hash(host)),
                },
            })
        })
        .collect();
    json!({
        "job": id,
        "owner": job.owner.to_string(),
        "model": job.model,
        "state": state,
        "outcome": outcome,
        "submitted_at": job.submitted_at,
        "expires_at": job.expires_at,
        "finished_at": job.finished_at,
        "max_fee": planck(job.params.max_fee),
        "redundancy": job.params.redundancy,
        "input_hash": format!("{:?}", job.input_hash),
        "account": {
            "escrowed": planck(job.account.escrowed),
            "fee": planck(job.account.fee),
            "host_paid": planck(job.account.host_paid),
            "pool_paid": planck(job.account.pool_paid),
            "treasury_paid": planck(job.account.treasury_paid),
            "refunded": planck(job.account.refunded),
        },
        "assignments": assignments,
        "results": results,
    })
}
