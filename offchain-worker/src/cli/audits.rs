//! `audits ...`

use super::{
    CliError,
    args::AuditsCommand,
    context::Context,
    output::{mesh, print, print_json},
    receipt,
};
use codec::{DecodeAll, Encode};
use llmesh_chain::{AccountId, ChainApi, ChainAudit, calls};
use llmesh_primitives::{
    AuditId, Verdict,
    attestation::{AuditState, Finding, Preimages, STAGE_SEATS, Subject, Vote, Withheld},
};
use llmesh_proofs::{
    audit::{Outcome, tally},
    sketch::close,
};
use serde_json::{Value as Json, json};
use sp_runtime::Perbill;
use std::{io::Read, path::Path};

/// Audits in one answer of the node.
const PAGE: u32 = 100;
/// No file of an audit is longer.
const MAX_FILE: u64 = 256 * 1024;

pub(super) async fn run(context: &Context, command: AuditsCommand) -> Result<(), CliError> {
    match command {
        AuditsCommand::List { account, all, from } => list(context, account, all, from).await,
        AuditsCommand::Show { audit } => show(context, audit).await,
        AuditsCommand::Check { .. } => Err(CliError::Failed("nothing to connect to".into())),
        AuditsCommand::Challenge { receipt: file } => {
            let receipt = receipt::read_receipt(&file)?;
            receipt
                .verify()
                .map_err(|e| CliError::Failed(format!("the receipt does not hold: {e}")))?;
            context.submit_and_print(&calls::challenge(&receipt)).await
        }
    }
}

async fn list(
    context: &Context,
    account: Option<AccountId>,
    all: bool,
    from: AuditId,
) -> Result<(), CliError> {
    let who = if all {
        None
    } else {
        Some(context.account(account)?)
    };
    let client = context.connect().await?;
    let mut audits: Vec<(AuditId, ChainAudit)> = Vec::new();
    let mut next = from;
    loop {
        let page = client.audits(next, PAGE, who).await?;
        let Some((last, _)) = page.last() else { break };
        next = last.saturating_add(1);
        audits.extend(page);
    }
    let status = client.attestation().await?;
    context.show(
        || {
            json!({
                "round": status.round,
                "window_blocks": status.window,
                "open_audits": status.open_audits,
                "audits": audits.iter().map(|(id, audit)| to_json(*id, audit)).collect::<Vec<_>>(),
            })
        },
        || {
            if audits.is_empty() {
                return format!("no audits (round {})", status.round);
            }
            audits
                .iter()
                .map(|(id, audit)| {
                    format!(
                        "{id:>6}  {:<34} {:<48}  {}, stage {} with {} of {} verifiers{}\n",
                        state(audit),
                        audit.host.to_string(),
                        subject(audit),
                        audit.stage.saturating_add(1),
                        audit.seats,
                        audit.members.len(),
                        audit
                            .receipt
                            .as_ref()
                            .map(|r| format!(", fee {}", mesh(r.fee)))
                            .unwrap_or_default(),
                    )
                })
                .collect()
        },
    );
    Ok(())
}

async fn show(context: &Context, id: AuditId) -> Result<(), CliError> {
    let client = context.connect().await?;
    let audit = client.audit(id).await?.ok_or_else(|| {
        CliError::Failed(format!(
            "there is no audit {id}, or its record is not kept any more"
        ))
    })?;
    let tolerance = match audit.model {
        Some(version) => client.model_version(version).await?.map(|m| m.manifest.tolerance),
        None => None,
    };
    let mut document = to_json(id, &audit);
    document["tolerance_ppb"] = json!(tolerance.map(Perbill::deconstruct));
    document["record"] = json!(format!("0x{}", hex::encode(audit.encode())));
    context.show(
        || document,
        || {
            let mut text = format!(
                "audit    {id}\nhost     {}\nstate    {}\nsubject  {}\nstage    {} of {}\n",
                audit.host,
                state(&audit),
                subject(&audit),
                audit.stage.saturating_add(1),
                STAGE_SEATS.len()
            );
            if let Some(receipt) = &audit.receipt {
                text.push_str(&format!(
                    "model    {:?}\nfee      {}\nreceipt  {:?}\n",
                    receipt.model,
                    mesh(receipt.fee),
                    receipt.hash(&audit.host.0)
                ));
            }
            for member in audit.sitting() {
                let close = tolerance.and_then(|t| distance(&audit, member.vote.as_ref()?, t));
                text.push_str(&format!(
                    "verifier {}  {}{}\n",
                    member.account,
                    member
                        .vote
                        .as_ref()
                        .map_or_else(|| waiting(member.ballot.is_some()), vote_text),
                    match close {
                        Some(true) => ", as the host's",
                        Some(false) => ", not as the host's",
                        None => "",
                    }
                ));
            }
            text
        },
    );
    Ok(())
}

fn waiting(committed: bool) -> String {
    if committed { "has committed" } else { "nothing yet" }.into()
}

fn distance(audit: &ChainAudit, vote: &Vote, tolerance: Perbill) -> Option<bool> {
    match (vote.finding, &audit.sketch) {
        (Finding::Ran(own), Some(host)) => Some(close(&own, host, tolerance)),
        _ => None,
    }
}

/// `audits check`: counts the votes of an audit again, from what `audits show --json` wrote. Needs no node.
pub(super) fn check(as_json: bool, file: &Path) -> Result<(), CliError> {
    let name = file.display();
    let bad = |what: &str| CliError::Failed(format!("{name}: {what}"));
    let document: Json =
        serde_json::from_str(&read(file)?).map_err(|e| bad(&format!("this is not JSON: {e}")))?;
    let record = document["record"]
        .as_str()
        .and_then(|text| hex::decode(text.strip_prefix("0x")?).ok())
        .and_then(|bytes| ChainAudit::decode_all(&mut bytes.as_slice()).ok())
        .ok_or_else(|| bad("`record` is not an audit as `audits show --json` writes it"))?;
    let AuditState::Finished(said) = record.state else {
        return Err(bad("the audit is not over"));
    };
    let (found, why) = recount(&record, document["tolerance_ppb"].as_u64())?;
    let holds = found.is_none_or(|verdict| verdict == said);
    if as_json {
        print_json(&json!({
            "valid": holds,
            "verdict": verdict_text(said),
            "recounted": found.map(verdict_text),
            "because": why,
        }));
    } else {
        print(format_args!("the chain says {}\n{why}", verdict_text(said)));
    }
    if holds {
        Ok(())
    } else {
        Err(CliError::Failed(format!(
            "the votes make it {}, not {}",
            found.map_or_else(String::new, verdict_text),
            verdict_text(said)
        )))
    }
}

/// The verdict that follows from the votes, where it is they that decide.
fn recount(record: &ChainAudit, tolerance: Option<u64>) -> Result<(Option<Verdict>, String), CliError> {
    let said = match record.state {
        AuditState::Finished(verdict) => verdict,
        _ => Verdict::Inconclusive,
    };
    let none = |why: &str| Ok((None, why.to_owned()));
    match said {
        Verdict::Withheld(Withheld::Receipt) => {
            return none("the host showed no receipt in time: nobody voted");
        }
        Verdict::Withheld(Withheld::Sketch) => {
            return none("the host published no sketch in time: nobody voted");
        }
        _ => {}
    }
    let votes: Vec<Option<Vote>> = record.sitting().iter().map(|m| m.vote).collect();
    let Some(host) = &record.sketch else {
        return none("there was no committee: nobody voted");
    };
    let tolerance = tolerance
        .and_then(|parts| u32::try_from(parts).ok())
        .map(Perbill::from_parts)
        .ok_or_else(|| CliError::Failed("`tolerance_ppb` is missing".into()))?;
    // Every preset's least number of votes for a conviction is at least this.
    let counted = tally(&votes, host, tolerance, true, 1);
    let Outcome::Verdict(verdict) = counted.outcome else {
        return none("the votes ask for a larger committee, and there was nobody left");
    };
    let why = format!(
        "{} of {} sitting verifiers revealed; by the rules their votes make it {}",
        votes.iter().flatten().count(),
        votes.len(),
        verdict_text(verdict)
    );
    // With fewer votes than a conviction takes, a divided or accusing committee ends without one.
    if said == Verdict::Inconclusive && verdict.is_conviction() {
        return Ok((None, format!("{why}, but they are too few to convict")));
    }
    Ok((Some(verdict), why))
}

fn read(file: &Path) -> Result<String, CliError> {
    let name = file.display();
    let mut text = String::new();
    let opened = std::fs::File::open(file).and_then(|f| f.take(MAX_FILE + 1).read_to_string(&mut text));
    let length = opened.map_err(|e| CliError::Failed(format!("{name}: {e}")))?;
    if length as u64 > MAX_FILE {
        return Err(CliError::Failed(format!("{name}: longer than an audit can be")));
    }
    Ok(text)
}

fn verdict_text(verdict: Verdict) -> String {
    match verdict {
        Verdict::Match => "match",
        Verdict::Mismatch => "mismatch",
        Verdict::Withheld(Withheld::Receipt) => "withheld receipt",
        Verdict::Withheld(Withheld::Sketch) => "withheld sketch",
        Verdict::Withheld(Withheld::Data) => "withheld data",
        Verdict::Inconclusive => "inconclusive",
    }
    .into()
}

fn state(audit: &ChainAudit) -> String {
    match audit.state {
        AuditState::Opening { until } => format!("waits for the receipt until {until}"),
        AuditState::Committing { until } => format!("verifiers run it until {until}"),
        AuditState::Publishing { until } => format!("waits for the sketch until {until}"),
        AuditState::Revealing { until } => format!("verifiers reveal until {until}"),
        AuditState::Finished(verdict) => verdict_text(verdict),
    }
}

fn subject(audit: &ChainAudit) -> String {
    match &audit.subject {
        Subject::Leaf { batch, .. } => format!("drawn from batch {batch} of claims"),
        Subject::Job { job, .. } => format!("drawn: job {job}"),
        Subject::Challenge { by, .. } => format!("challenged by {by}"),
    }
}

fn vote_text(vote: &Vote) -> String {
    let finding = match vote.finding {
        Finding::Ran(_) => "ran it",
        Finding::Fails => "the model fails on this input",
        Finding::NoInput => "got no input",
        Finding::Abstained => "abstained",
    };
    match (vote.finding, vote.preimages) {
        (Finding::Ran(_), Preimages::Bad) => format!("{finding}, the answer does not follow"),
        (Finding::Ran(_), Preimages::Missing) => format!("{finding}, got no answer to compare"),
        _ => finding.into(),
    }
}

fn to_json(id: AuditId, audit: &ChainAudit) -> Json {
    let (state, until, verdict) = match audit.state {
        AuditState::Opening { until } => ("opening", Some(until), None),
        AuditState::Committing { until } => ("committing", Some(until), None),
        AuditState::Publishing { until } => ("publishing", Some(until), None),
        AuditState::Revealing { until } => ("revealing", Some(until), None),
        AuditState::Finished(verdict) => ("finished", None, Some(verdict_text(verdict))),
    };
    let (cause, detail) = match &audit.subject {
        Subject::Leaf { batch, point } => (
            "claim",
            json!({"batch": batch.to_string(), "point": point.to_string()}),
        ),
        Subject::Job { job, receipt } => (
            "job",
            json!({"job": job.to_string(), "receipt": format!("{receipt:?}")}),
        ),
        Subject::Challenge { by, deposit } => (
            "challenge",
            json!({"by": by.to_string(), "deposit": deposit.to_string()}),
        ),
    };
    json!({
        "audit": id.to_string(),
        "host": audit.host.to_string(),
        "round": audit.round,
        "state": state,
        "until": until,
        "verdict": verdict,
        "cause": cause,
        "subject": detail,
        "model": audit.model,
        "receipt": audit.receipt.as_ref().map(|r| format!("{:?}", r.hash(&audit.host.0))),
        "fee": audit.receipt.as_ref().map(|r| r.fee.to_string()),
        "stage": audit.stage.saturating_add(1),
        "verifiers": audit.sitting().iter().map(|member| json!({
            "account": member.account.to_string(),
            "committed": member.ballot.is_some(),
            "vote": member.vote.as_ref().map(vote_text),
        })).collect::<Vec<_>>(),
        "drawn": audit.members.iter().map(|m| m.account.to_string()).collect::<Vec<_>>(),
    })
}
