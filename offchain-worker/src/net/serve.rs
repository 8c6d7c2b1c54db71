//! This host's answers to sealed requests.
//!
//! In this order, each step cheaper than the one after it or needed by it: open the seal, check the terms, look whether
//! the request was asked before, look at model and inputs, look at price and channel, take the voucher, wait for a turn,
//! compute, sign the receipt, answer. No answer leaves before its voucher, its receipt and its evidence are on disk. What
//! is admitted is computed even if the link it came by breaks: its client asks again over another path and gets the same
//! answer for the same money.

use super::{
    Shared,
    answers::{Answers, Found, wait},
    chainview::{BookChannel, ChainView},
    forward::Passing,
    schedule::{NoTurn, Scheduler},
    unix_ms,
};
use crate::audit::{Evidence, EvidenceStore};
use bytes::Bytes;
use codec::Encode;
use llmesh_chain::{H256, Signer};
use llmesh_engine::{EngineError, Executor, ModelRef, RunRequest};
use llmesh_payments::{Admission, LaneFacts, PayeeBook, VoucherRefusal};
use llmesh_primitives::{ModelVersionId, OfferTerms, Priority, Receipt, Tensors, WorkOrigin};
use llmesh_proofs::SignedReceipt;
use llmesh_protocol::{
    Answer, AnswerSealer, Ask, Detail, KeyRing, MeshTensors, OpenError, Outcome, Progress, Refusal,
    ReplayCache, RequestFault, VoucherFault, VoucherRefused, open, replay::ReplayConfig,
};
use llmesh_routing::Class;
use sp_runtime::AccountId32;
use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

/// Requests whose terms live longer are refused: their ids would have to be remembered for so long.
pub const MAX_LIFETIME_MS: u64 = 10 * 60 * 1000;

/// Room for evidence that has to be there before a request is taken: the largest tensors and a probe.
const ROOM_FOR_ONE: u64 = 4 << 20;

/// What a host service is made of.
pub(crate) struct Parts {
    pub shared: Arc<Shared>,
    pub signer: Signer,
    pub genesis: H256,
    pub chain: Arc<ChainView>,
    pub executor: Arc<dyn Executor>,
    pub payee: Arc<PayeeBook>,
    pub keys: Arc<RwLock<KeyRing>>,
    pub scheduler: Scheduler,
    pub evidence: EvidenceStore,
}

pub(crate) struct HostService {
    parts: Parts,
    account: AccountId32,
    replay: Mutex<ReplayCache>,
    answers: Answers,
}

/// A request that passed every check that costs nothing.
struct Checked {
    ask: Ask,
    request: H256,
    offer: Offered,
    inputs: Tensors,
    priority: Priority,
    facts: LaneFacts,
}

/// What this host offers of a model.
struct Offered {
    version: ModelVersionId,
    model: ModelRef,
    runtime_class: llmesh_primitives::RuntimeClass,
    units: u64,
    terms: OfferTerms,
}

impl HostService {
    pub fn new(parts: Parts) -> Self {
        Self {
            account: parts.signer.account32(),
            parts,
            replay: Mutex::new(ReplayCache::new(ReplayConfig {
                max_lifetime_ms: MAX_LIFETIME_MS,
                ..ReplayConfig::default()
            })),
            answers: Answers::default(),
        }
    }

    /// Answers a sealed request: a sealed message, or a refusal in clear for what can not be opened.
    pub async fn serve(self: &Arc<Self>, passing: Passing) -> Result<Bytes, Refusal> {
        let opened = {
            let keys = self.parts.keys.read().unwrap_or_else(PoisonError::into_inner);
            open(&keys, &passing.header, &passing.sealed, &mut rand::rng())
        };
        let (answer, mut sealer) = match opened {
            Ok((ask, mut sealer)) => {
                let wants_progress = ask.progress;
                (
                    self.answer(ask, &passing, &mut sealer, wants_progress).await,
                    sealer,
                )
            }
            // Its client made it so, and is told under the seal.
            Err(OpenError::Content { error, answers }) => (Err(error.into()), *answers),
            Err(error) => return Err(error.refusal()),
        };
        let answer = answer.unwrap_or_else(|refusal| {
            self.parts.shared.counters.refused(&refusal);
            Arc::new(Answer::Refused(refusal))
        });
        sealer
            .answer(&answer)
            .map(Bytes::from)
            .map_err(|error| internal(&error))
    }

    async fn answer(
        self: &Arc<Self>,
        ask: Ask,
        passing: &Passing,
        sealer: &mut AnswerSealer,
        wants_progress: bool,
    ) -> Result<Arc<Answer>, Refusal> {
        let now = unix_ms();
        let request = ask.verify(self.parts.genesis, &self.account, now)?;
        let expires_at = ask.request.terms.expires_at;
        let slot = match self.answers.find(request, expires_at, now) {
            Found::Known(pending) => {
                let answer = tokio::time::timeout_at(passing.deadline, wait(pending)).await;
                return match answer {
                    Ok(Some(answer)) => Ok(answer),
                    Ok(None) => Err(Refusal::Internal),
                    Err(_) => Err(Refusal::Deadline { needed_ms: 0 }),
                };
            }
            Found::New(slot) => slot,
        };
        let checked = self.check(ask, request).await?;
        let client = checked.ask.request.terms.client.clone();
        // Only now: a refused request can be asked again with the same id once it is put right.
        let outcome = self
            .replay
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(request, &client, expires_at, now);
        match outcome {
            Outcome::Fresh => {}
            Outcome::Seen => return Err(Refusal::Replayed),
            Outcome::Full { free_at } => {
                let wait_ms = u32::try_from(free_at.saturating_sub(now)).unwrap_or(u32::MAX);
                return Err(Refusal::Busy { wait_ms });
            }
            Outcome::QuotaUsed => return Err(Refusal::QuotaUsed { wait_ms: 1_000 }),
            Outcome::Expired | Outcome::TooLong => return Err(Refusal::Expired { now }),
        }
        let forget = Forget {
            service: self.clone(),
            request: Some(request),
        };
        let admission = self
            .parts
            .payee
            .admit(
                &checked.facts,
                &checked.ask.voucher,
                checked.ask.price,
                request,
                checked.ask.request.terms.place.sequence,
            )
            .await
            .map_err(|refusal| voucher_refused(&self.parts.payee, &checked.facts, refusal))?;

        let (waiting, _) = self.parts.scheduler.counts();
        if wants_progress && waiting > 0 {
            let wait = self.parts.scheduler.expected_wait(class(checked.priority));
            let progress = Progress::Queued {
                position: u32::try_from(waiting).unwrap_or(u32::MAX),
                wait_ms: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX),
            };
            tell(passing, sealer, progress);
        }
        let deadline = passing.deadline;
        let turn = self
            .parts
            .scheduler
            .turn(class(checked.priority), deadline.into_std())
            .await
            .map_err(|no| self.no_turn(no, checked.priority))?;
        if wants_progress {
            tell(passing, sealer, Progress::Started);
        }

        // From here on the work is done whether or not the link holds.
        let service = self.clone();
        let work = tokio::spawn(async move {
            let _turn = turn;
            let answer = service.compute(checked, admission).await;
            match answer {
                Ok(answer) => {
                    let answer = Arc::new(answer);
                    forget.keep();
                    slot.done(answer.clone());
                    Ok(answer)
                }
                Err(refusal) => Err(refusal),
            }
        });
        match tokio::time::timeout_at(deadline, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(Refusal::Internal),
            Err(_) => Err(Refusal::Deadline { needed_ms: 0 }),
        }
    }

    /// Model, inputs, price and channel.
    async fn check(&self, ask: Ask, request: H256) -> Result<Checked, Refusal> {
        let bad = |fault| Refusal::BadRequest { fault };
        let terms = &ask.request.terms;
        // What can not be shown to an audit later is not begun.
        if !self.parts.evidence.has_room(ROOM_FOR_ONE) {
            tracing::warn!(
                "no room for evidence: requests are refused until audits are over or the disk has space again"
            );
            return Err(Refusal::Busy { wait_ms: 60_000 });
        }
        let offer = self.offered(terms.version)?;
        if offer.model.content_id != terms.model {
            return Err(bad(RequestFault::OtherModel));
        }
        if !self.parts.executor.has_model(terms.model) {
            return Err(Refusal::ModelNotHere);
        }
        let bad_input = |reason: &dyn std::fmt::Display| Refusal::BadInput {
            detail: Detail::new(&reason.to_string()),
        };
        ask.inputs
            .check_inputs(&offer.model.signature)
            .map_err(|e| bad_input(&e))?;
        let inputs = Tensors::try_from(ask.inputs.clone()).map_err(|e| bad_input(&e))?;
        let priority = self.priority(&offer, ask.price).await?;
        let facts = self.facts(&ask).await?;
        if facts.signer != terms.client {
            return Err(bad(RequestFault::NotTheSigner));
        }
        Ok(Checked {
            request,
            offer,
            inputs,
            priority,
            facts,
            ask,
        })
    }

    fn offered(&self, version: ModelVersionId) -> Result<Offered, Refusal> {
        let snapshot = self.parts.shared.directory.snapshot();
        let model = snapshot.models.get(&version).ok_or(Refusal::ModelNotHere)?;
        let terms = snapshot
            .offers
            .get(&version)
            .into_iter()
            .flatten()
            .find(|(host, _)| host.0 == *AsRef::<[u8; 32]>::as_ref(&self.account))
            .map(|(_, terms)| *terms)
            .ok_or(Refusal::ModelNotHere)?;
        Ok(Offered {
            version,
            model: ModelRef::from(&model.manifest),
            runtime_class: model.manifest.runtime_class,
            units: model.manifest.complexity,
            terms,
        })
    }

    /// The most urgent priority that the price pays for.
    async fn priority(&self, offer: &Offered, price: u128) -> Result<Priority, Refusal> {
        let mut required = u128::MAX;
        for priority in [Priority::Urgent, Priority::High, Priority::Normal] {
            let fee = self
                .parts
                .chain
                .fee(offer.version, offer.terms.price, priority)
                .await
                .map_err(|error| internal(&error))?
                .ok_or(Refusal::ModelNotHere)?;
            if price >= fee.acceptable() {
                return Ok(priority);
            }
            required = fee.now;
        }
        Err(Refusal::PriceTooLow { required })
    }

    async fn facts(&self, ask: &Ask) -> Result<LaneFacts, Refusal> {
        let voucher = &ask.voucher.voucher;
        let lane = |channel: &BookChannel, block| LaneFacts::of(ask.channel, voucher.lane, channel, block);
        let (block, channel) = self
            .parts
            .chain
            .channel(ask.channel, false)
            .await
            .map_err(|error| internal(&error))?;
        let facts = channel.as_ref().and_then(|c| lane(c, block));
        // A lane that was added or topped up a moment ago.
        if facts.as_ref().is_some_and(|f| f.funded >= voucher.cumulative) {
            return facts.ok_or(Refusal::ChannelUnknown);
        }
        let (block, channel) = self
            .parts
            .chain
            .channel(ask.channel, true)
            .await
            .map_err(|error| internal(&error))?;
        let channel = channel.ok_or(Refusal::ChannelUnknown)?;
        lane(&channel, block).ok_or(Refusal::ChannelUnknown)
    }

    async fn compute(&self, checked: Checked, admission: Admission) -> Result<Answer, Refusal> {
        let Checked {
            ask,
            request,
            offer,
            inputs,
            ..
        } = checked;
        let shown = inputs.encode();
        let run = RunRequest::new(offer.model, inputs).with_probe();
        let execution = self
            .parts
            .executor
            .execute(run)
            .await
            .map_err(|error| engine_refusal(&error))?;
        let kept_outputs = execution.outputs.encode();
        let outputs = MeshTensors::from(execution.outputs);
        let place = ask.request.terms.place;
        let receipt = Receipt {
            origin: WorkOrigin::Request {
                channel: place.channel,
                epoch: place.epoch,
                lane: place.lane,
                sequence: place.sequence,
                request,
            },
            model: ask.request.terms.model,
            runtime_class: offer.runtime_class,
            input_hash: ask.request.terms.input_hash,
            output_hash: outputs.hash(),
            probe_hash: execution.probe_hash,
            units: offer.units,
            fee: ask.price,
        };
        let signer = &self.parts.signer;
        let receipt = SignedReceipt::new(receipt, self.account.clone(), ask.request, |payload| {
            signer.sign(payload)
        });
        let evidence = Evidence {
            receipt: receipt.receipt.clone(),
            signed: Some(receipt.clone()),
            version: offer.version,
            inputs: shown,
            outputs: kept_outputs,
            probe: execution.probe.map(|probe| probe.encode()),
        };
        // Side by side: two syncs take the time of one. Room was there when the request was taken.
        let (kept, served) = tokio::join!(
            self.parts.evidence.put(receipt.hash(), evidence, None),
            admission.served(receipt.hash()),
        );
        kept.map_err(|error| internal(&error))?;
        // Both are on disk: from now on a claim can cover the receipt.
        drop(served.map_err(|error| internal(&error))?);
        self.parts.shared.counters.served(ask.price, execution.elapsed);
        Ok(Answer::Done { outputs, receipt })
    }

    fn no_turn(&self, no: NoTurn, priority: Priority) -> Refusal {
        let wait = self.parts.scheduler.expected_wait(class(priority));
        let ms = |d: Duration| u32::try_from(d.as_millis()).unwrap_or(u32::MAX);
        match no {
            NoTurn::Stopping => Refusal::ShuttingDown,
            NoTurn::Late => Refusal::Deadline { needed_ms: ms(wait) },
            NoTurn::Refused(llmesh_routing::Refusal::TooLate { needed_us, .. }) => Refusal::Deadline {
                needed_ms: u32::try_from(needed_us / 1_000).unwrap_or(u32::MAX),
            },
            NoTurn::Refused(_) => Refusal::Busy { wait_ms: ms(wait) },
        }
    }
}

/// Lets a request be asked again when it was not answered.
struct Forget {
    service: Arc<HostService>,
    request: Option<H256>,
}

impl Forget {
    fn keep(mut self) {
        self.request = None;
    }
}

impl Drop for Forget {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            self.service
                .replay
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&request);
        }
    }
}

/// Sends a progress message if somebody listens and has room.
fn tell(passing: &Passing, sealer: &mut AnswerSealer, progress: Progress) {
    if let Some(to) = &passing.progress
        && to.capacity() > 0
        && let Ok(sealed) = sealer.progress(&progress)
    {
        let _ = to.try_send(sealed.into());
    }
}

fn class(priority: Priority) -> Class {
    match priority {
        Priority::Urgent => Class::Urgent,
        Priority::High => Class::High,
        Priority::Normal => Class::Normal,
    }
}

fn internal(error: &dyn std::fmt::Display) -> Refusal {
    tracing::warn!(%error, "a request could not be served");
    Refusal::Internal
}

fn engine_refusal(error: &EngineError) -> Refusal {
    match error {
        EngineError::Busy => Refusal::Busy { wait_ms: 500 },
        EngineError::Stopped => Refusal::ShuttingDown,
        EngineError::OutputTooLarge { .. } => Refusal::OutputTooLarge {
            limit: llmesh_primitives::tensor::MAX_TENSOR_BYTES,
        },
        EngineError::Input { .. } | EngineError::InputValue { .. } => Refusal::BadInput {
            detail: Detail::new(&error.to_string()),
        },
        error if error.is_models_fault() => Refusal::ModelFailed {
            detail: Detail::new(&error.to_string()),
        },
        error => internal(error),
    }
}

/// The books' word in the protocol's terms.
fn voucher_refused(book: &PayeeBook, facts: &LaneFacts, refusal: VoucherRefusal) -> Refusal {
    use VoucherRefusal as R;
    let fault = match &refusal {
        R::NotOpen => return Refusal::ChannelClosing,
        R::NearExpiry { at } => return Refusal::ChannelExpiring { last_block: *at },
        R::AtWork | R::AlreadyServed { .. } => return Refusal::Replayed,
        R::Busy | R::TooManyLanes => return Refusal::QuotaUsed { wait_ms: 1_000 },
        R::Storage(error) => return internal(error),
        R::Number { highest } => return Refusal::NumberTaken { highest: *highest },
        R::OtherLane if facts.epoch > 0 => VoucherFault::OtherEpoch,
        R::OtherLane => VoucherFault::OtherChannel,
        R::OtherHost => VoucherFault::OtherLane,
        R::StaleFacts => VoucherFault::OtherEpoch,
        R::BadSignature => VoucherFault::BadSignature,
        R::Contradiction => VoucherFault::Conflict,
        R::Underfunded { .. } => VoucherFault::AboveFunds,
        R::Short { .. } | R::TooFarAhead { .. } => VoucherFault::TooLittle,
        R::OverStake { .. } => VoucherFault::AboveStake,
    };
    let (served, needed) = refusal.disagreement().unwrap_or_default();
    let lane = book.lanes().into_iter().find(|l| l.key == facts.key);
    Refusal::Voucher(VoucherRefused {
        fault,
        epoch: facts.epoch,
        lane: facts.key.lane,
        nonce: 0,
        signed: lane.as_ref().map_or(0, |l| l.signed),
        served,
        needed,
    })
}
