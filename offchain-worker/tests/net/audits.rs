//! Audits on the chain in memory: its rules are the pallet's as far as a worker can tell, and what is checked is checked by
//! the same code.

use crate::world::{World, genesis};
use codec::DecodeAll;
use llmesh_chain::{AccountId, Arg, Call, ChainAudit, ChainDuty, H256, Signer};
use llmesh_primitives::{
    AuditId, Claim, Sketch, WorkOrigin,
    attestation::{Audit, AuditState, Batch, BatchOrigin, Duty, DutyItem, Member, Preimages, Subject, Vote},
};
use llmesh_proofs::{Opening, audit::ballot};
use sp_runtime::AccountId32;

/// An audit with the batch that it was drawn from.
#[derive(Clone)]
pub struct Running {
    pub audit: ChainAudit,
    pub batch: Batch<AccountId>,
}

fn plain(account: &AccountId32) -> AccountId {
    AccountId::from(*AsRef::<[u8; 32]>::as_ref(account))
}

impl World {
    /// Draws the receipt at `point` of a claim that was paid, with these verifiers.
    pub fn audit(&self, claim: &Claim, point: u128, verifiers: &[AccountId32]) -> AuditId {
        let mut state = self.state();
        let channel = state.channels[&claim.channel].clone();
        let host = plain(&channel.lanes[usize::from(claim.lane)].host);
        let id = state.audits.len() as AuditId;
        let members: Vec<Member<AccountId>> = verifiers
            .iter()
            .map(|account| Member {
                account: plain(account),
                ballot: None,
                vote: None,
            })
            .collect();
        let until = state.block + 10_000;
        let running = Running {
            audit: Audit {
                host,
                subject: Subject::Leaf { batch: 0, point },
                round: 3,
                state: AuditState::Opening { until },
                seed: H256::repeat_byte(0x5e),
                budget: claim.work.value,
                receipt: None,
                model: None,
                stage: 0,
                seats: members.len() as u8,
                members: members.try_into().unwrap(),
                sketch: None,
            },
            batch: Batch {
                host,
                round: 1,
                origin: BatchOrigin::Lane {
                    channel: claim.channel,
                    epoch: claim.epoch,
                    lane: claim.lane,
                    covered: claim.covered,
                    root: claim.work.root,
                    leaves: claim.work.leaves,
                    signer: channel.signer.clone(),
                },
                receipts: claim.work.leaves,
                value: claim.work.value,
                fees: claim.work.value,
            },
        };
        state.audits.insert(id, running);
        id
    }

    /// Lets the time run out for what is awaited in an audit, but for a few blocks.
    pub fn hurry(&self, id: AuditId) {
        let mut state = self.state();
        let soon = state.block + 3;
        let audit = &mut state.audits.get_mut(&id).unwrap().audit;
        match &mut audit.state {
            AuditState::Opening { until }
            | AuditState::Committing { until }
            | AuditState::Publishing { until }
            | AuditState::Revealing { until } => *until = soon,
            AuditState::Finished(_) => {}
        }
    }

    /// The votes, once everybody has revealed.
    pub fn votes(&self, id: AuditId) -> Option<Vec<Vote>> {
        let state = self.state();
        let audit = &state.audits[&id].audit;
        audit.members.iter().map(|m| m.vote).collect()
    }

    pub fn duties_of(&self, who: [u8; 32]) -> Vec<ChainDuty> {
        let state = self.state();
        let mut all = Vec::new();
        for (id, Running { audit, batch }) in &state.audits {
            let host = audit.host.0 == who;
            let member = audit.members.iter().find(|m| m.account.0 == who);
            let duty = match audit.state {
                AuditState::Opening { until } if host => Some((Duty::Open, until)),
                AuditState::Publishing { until } if host => Some((Duty::Publish, until)),
                AuditState::Committing { until } if member.is_some_and(|m| m.ballot.is_none()) => {
                    Some((Duty::Commit, until))
                }
                AuditState::Revealing { until } if member.is_some_and(|m| m.vote.is_none()) => {
                    Some((Duty::Reveal, until))
                }
                _ => None,
            };
            if let Some((duty, until)) = duty {
                all.push(DutyItem {
                    audit: *id,
                    duty,
                    until,
                    record: audit.clone(),
                    batch: Some(batch.clone()),
                });
            }
        }
        all
    }

    pub fn step(&self, call: &Call, signer: &Signer) {
        let arg = |name: &str| &call.args.iter().find(|(n, _)| *n == name).unwrap().1;
        let shared = |name: &str| match arg(name) {
            Arg::Shared(bytes) => bytes.clone(),
            other => panic!("{other:?}"),
        };
        let Arg::Number(id) = arg("audit") else {
            panic!("an audit has a number")
        };
        let id = *id as AuditId;
        let who = signer.account_id();
        let mut state = self.state();
        let until = state.block + 10_000;
        let Running { audit, batch } = state.audits.get_mut(&id).unwrap();
        match call.name {
            "open" => {
                assert_eq!((audit.host, &audit.state), (who, &audit.state));
                let opening = Opening::decode_all(&mut &shared("opening")[..]).unwrap();
                let Opening::Leaf { proof, receipt } = opening else {
                    panic!("a leaf was drawn")
                };
                let BatchOrigin::Lane {
                    covered,
                    root,
                    leaves,
                    signer: client,
                    ..
                } = &batch.origin
                else {
                    panic!("a claim was drawn")
                };
                let work = llmesh_primitives::Work {
                    root: *root,
                    leaves: *leaves,
                    value: batch.value,
                };
                let values = proof
                    .verify(&work, receipt.hash(), receipt.receipt.fee)
                    .expect("the proof holds");
                let Subject::Leaf { point, .. } = audit.subject else {
                    panic!("a leaf was drawn")
                };
                assert!(values.contains(&point), "{values:?} {point}");
                receipt.verify_on(genesis()).unwrap();
                assert_eq!(receipt.request.terms.client, *client);
                let WorkOrigin::Request { sequence, .. } = receipt.receipt.origin else {
                    panic!("a request was answered")
                };
                assert_eq!(covered + u64::from(proof.index) + 1, sequence);
                audit.model = Some(receipt.request.terms.version);
                audit.receipt = Some(receipt.receipt);
                audit.state = AuditState::Committing { until };
            }
            "commit" => {
                assert!(matches!(audit.state, AuditState::Committing { .. }));
                let hash = H256::decode_all(&mut &shared("ballot")[..]).unwrap();
                let member = audit.members.iter_mut().find(|m| m.account == who).unwrap();
                assert!(member.ballot.replace(hash).is_none(), "committed twice");
                if audit.members.iter().all(|m| m.ballot.is_some()) {
                    audit.state = AuditState::Publishing { until };
                }
            }
            "publish" => {
                assert!(matches!(audit.state, AuditState::Publishing { .. }));
                assert_eq!(audit.host, who);
                audit.sketch = Some(Sketch::decode_all(&mut &shared("sketch")[..]).unwrap());
                audit.state = AuditState::Revealing { until };
            }
            "reveal" => {
                assert!(matches!(audit.state, AuditState::Revealing { .. }));
                let vote = Vote::decode_all(&mut &shared("vote")[..]).unwrap();
                let salt = <[u8; 32]>::decode_all(&mut &shared("salt")[..]).unwrap();
                let stage = audit.stage;
                let member = audit.members.iter_mut().find(|m| m.account == who).unwrap();
                let account = AccountId32::new(who.0);
                let expected = ballot(id, stage, &account, &vote.finding, &salt);
                assert_eq!(member.ballot, Some(expected), "the vote opens the ballot");
                member.vote = Some(vote);
                if audit.members.iter().all(|m| m.vote.is_some()) {
                    audit.state = AuditState::Finished(if vote.preimages == Preimages::Good {
                        llmesh_primitives::Verdict::Match
                    } else {
                        llmesh_primitives::Verdict::Inconclusive
                    });
                }
            }
            name => panic!("{name} is not in this chain"),
        }
    }
}
