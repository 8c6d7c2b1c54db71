//! Brings vouchers to the chain: many channels in one extrinsic, when it is worth the fee or time runs out.

use super::{chainview::ChainView, unix_ms};
use crate::audit::{EvidenceError, EvidenceStore, LaneEpoch, ROUND_MS};
use llmesh_chain::{ChainApi, ChainError, HeadState, Included, Signer, Wait, calls};
use llmesh_payments::{ClaimDue, ClaimPolicy, LaneFacts, LaneKey, PayeeBook};
use llmesh_primitives::{ChannelId, Claim, LaneId, Work, channel::MAX_CLAIMS};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle};

/// Blocks between two looks.
const LOOK_EVERY: u32 = 3;
/// Claim what is there when a channel has no more blocks left than this: half of the shortest challenge window.
const BLOCKS_LEFT: u32 = 10;
/// Never claim less: about the fee of a claim.
const DUST: u128 = 1_000_000_000;
/// Claim when more than this part of the stake is unsettled.
const PRESSURE_PERCENT: u8 = 50;
/// Time for the last claims when the worker stops.
const LAST_CLAIMS: Duration = Duration::from_secs(15);

pub(crate) struct Parts {
    pub book: Arc<PayeeBook>,
    pub chain: Arc<ChainView>,
    pub signer: Signer,
    /// Claim a lane when so much can be claimed, in planck.
    pub above: u128,
    /// Knows the receipts behind each sum.
    pub evidence: EvidenceStore,
}

/// The task that claims.
pub(crate) struct Handle {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Handle {
    /// Ends at once.
    pub fn kill(&self) {
        self.task.abort();
    }

    /// Claims what is worth it, and ends.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(LAST_CLAIMS, self.task).await.is_err() {
            abort.abort();
            tracing::warn!(
                "the last claims were not made; vouchers are on disk and are claimed after the next start"
            );
        }
    }
}

pub(crate) fn spawn(parts: Parts) -> Handle {
    let (stop, mut stopped) = watch::channel(false);
    let task = tokio::spawn(async move {
        let mut heads = parts.chain.client().follow_finalized();
        let mut next = 0;
        loop {
            let head = heads.borrow_and_update().clone();
            if let HeadState::At(head) = head
                && head.number >= next
            {
                next = head.number.saturating_add(LOOK_EVERY);
                parts.look(head.number).await;
            }
            tokio::select! {
                changed = heads.changed() => if changed.is_err() {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    heads = parts.chain.client().follow_finalized();
                },
                () = parts.book.claims_wanted() => next = 0,
                () = asked(&mut stopped) => break,
            }
        }
        if let Some(block) = parts.chain.block() {
            parts.look(block).await;
        }
    });
    Handle { stop, task }
}

async fn asked(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|s| *s).await;
}

impl Parts {
    /// Looks at what the chain says of our lanes, and claims what is due.
    async fn look(&self, block: u32) {
        match self.chain.client().operator(self.signer.account_id()).await {
            Ok(stake) => {
                let stake = stake.map_or(0, |s| s.own.saturating_add(s.delegated));
                self.book.set_stake_limit(stake);
            }
            Err(error) => tracing::debug!(%error, "the stake was not read"),
        }
        if let Err(error) = self.refresh(block).await {
            tracing::debug!(%error, "the lanes were not read");
            return;
        }
        let policy = ClaimPolicy {
            now: block,
            worth: self.above.max(DUST),
            dust: DUST.min(self.above),
            blocks_left: BLOCKS_LEFT,
            pressure_percent: PRESSURE_PERCENT,
        };
        let due = self.book.claims(&policy);
        if due.is_empty() {
            return;
        }
        let mut claims = Vec::new();
        for due in due {
            if claims.len() >= MAX_CLAIMS as usize {
                break;
            }
            match self.cover(due).await {
                Ok(claim) => claims.extend(claim),
                Err(error) => {
                    tracing::warn!(%error, "the receipts behind a claim could not be had");
                    return;
                }
            }
        }
        if claims.is_empty() {
            return;
        }
        if let Err(error) = self.claim(&claims).await {
            tracing::warn!(%error, lanes = claims.len(), "claims were not made; they are tried again");
        }
    }

    /// The claim with the receipts that it adds: those after the last that claims covered, up to the first whose request
    /// is at work. None if nothing would be paid for them yet.
    async fn cover(&self, due: ClaimDue) -> Result<Option<Claim>, EvidenceError> {
        let lane = lane_of(&due.claim);
        let key = LaneKey {
            channel: lane.channel,
            lane: lane.lane,
        };
        let Some(to) = self.book.close(key, lane.epoch) else {
            return Ok(None);
        };
        let work = self.evidence.work(lane, due.claim.covered, to).await?;
        // Numbers without a receipt alone are nothing to commit to.
        let work = if work.value > 0 { work } else { Work::default() };
        if due.pays(work.value) == 0 {
            return Ok(None);
        }
        Ok(Some(Claim { work, ..due.claim }))
    }

    /// Takes over what the chain says of the lanes in the book.
    async fn refresh(&self, block: u32) -> Result<(), ChainError> {
        let keys: Vec<LaneKey> = self.book.lanes().into_iter().map(|l| l.key).collect();
        let channels: BTreeSet<ChannelId> = keys.iter().map(|k| k.channel).collect();
        for id in channels {
            let (read, channel) = self.chain.channel(id, false).await?;
            self.note_over(id, channel.as_ref().map(|c| c.epoch), &keys).await;
            let written = match channel {
                None => self.book.gone(id, block.min(read)).await.map(|gone| {
                    for lane in gone.iter().filter(|g| g.lost > 0) {
                        tracing::warn!(
                            channel = id,
                            lost = lane.lost,
                            "a channel ended before it was claimed"
                        );
                    }
                }),
                Some(channel) => {
                    let facts: Vec<LaneFacts> = keys
                        .iter()
                        .filter(|k| k.channel == id)
                        .filter_map(|k| LaneFacts::of(id, k.lane, &channel, read))
                        .collect();
                    self.book.refresh(&facts).await
                }
            };
            if let Err(error) = written {
                tracing::warn!(%error, "the book of channels was not written");
            }
        }
        Ok(())
    }

    /// When what is claimed or over now can not be audited any more, in milliseconds since 1970.
    async fn needed_until(&self) -> u64 {
        let periods = self.chain.client().attestation().await;
        let needed = periods.map_or(crate::audit::JOBS_KEPT_MS, |p| {
            u64::from(p.horizon)
                .saturating_add(2)
                .saturating_mul(ROUND_MS)
                .saturating_add(p.challenge_period_ms)
        });
        unix_ms().saturating_add(needed)
    }

    /// Tells the store of evidence which of the channel's lanes there will be no more claims on. `epoch` is the one that
    /// the chain has now, if it has the channel.
    async fn note_over(&self, channel: ChannelId, epoch: Option<u32>, keys: &[LaneKey]) {
        for lane in self.book.lanes().into_iter().filter(|l| l.key.channel == channel) {
            if !keys.contains(&lane.key) || epoch == Some(lane.epoch) {
                continue;
            }
            let over = LaneEpoch {
                channel,
                epoch: lane.epoch,
                lane: lane.key.lane,
            };
            if let Err(error) = self.evidence.over(over, self.needed_until().await).await {
                tracing::warn!(%error, "the store of evidence was not written");
            }
        }
    }

    async fn claim(&self, claims: &[Claim]) -> Result<(), ChainError> {
        let included = self
            .chain
            .client()
            .submit(&calls::claim_batch(claims), &self.signer, Wait::Finalized)
            .await?;
        let keep_until = self.needed_until().await;
        let mut claimed = 0u128;
        for (channel, lane, cumulative, paid) in paid(&included) {
            claimed = claimed.saturating_add(paid);
            // What is counted here is what was paid for this claim; the book wants the lane's whole.
            let total = match self.chain.channel(channel, true).await {
                Ok((_, Some(record))) => record.lanes.get(usize::from(lane)).map(|l| l.paid),
                _ => None,
            };
            let Some(total) = total else { continue };
            if let Err(error) = self.book.claimed(channel, lane, cumulative, total).await {
                tracing::warn!(%error, "the book of channels was not written");
            }
            if let Some(claim) = claims.iter().find(|c| (c.channel, c.lane) == (channel, lane))
                && let up_to = claim.covered.saturating_add(claim.work.leaves.into())
                && let Err(error) = self.evidence.claimed(lane_of(claim), up_to, keep_until).await
            {
                tracing::warn!(%error, "the store of evidence was not written");
            }
        }
        tracing::info!(
            lanes = claims.len(),
            block = included.block.number,
            fees = crate::amount::show(claimed),
            "claimed"
        );
        Ok(())
    }
}

/// Channel, lane, sum claimed and payment of each claim that was paid.
fn paid(included: &Included) -> Vec<(ChannelId, LaneId, u128, u128)> {
    included
        .events
        .iter()
        .filter(|e| e.pallet == "Settlement" && e.name == "Claimed")
        .filter_map(|e| {
            Some((
                ChannelId::try_from(e.number("channel")?).ok()?,
                LaneId::try_from(e.number("lane")?).ok()?,
                e.number("cumulative")?,
                e.number("paid")?,
            ))
        })
        .collect()
}

fn lane_of(claim: &Claim) -> LaneEpoch {
    LaneEpoch {
        channel: claim.channel,
        epoch: claim.epoch,
        lane: claim.lane,
    }
}
