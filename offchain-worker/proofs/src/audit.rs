//! What is said in an audit, and what follows from it: pure functions that the chain, a worker and a simulation share.

use crate::{SignedReceipt, merkle, sketch::close};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use llmesh_primitives::{
    AuditId, ModelVersionId, Receipt, Sketch, Verdict,
    attestation::{Finding, Preimages, Vote, Withheld},
};
use scale_info::TypeInfo;
use sp_core::H256;
use sp_runtime::{
    Perbill,
    traits::{BlakeTwo256, Hash},
};

/// Keeps a ballot apart from every other hash.
pub const BALLOT_DOMAIN: &[u8; 16] = b"llmesh/ballot/v1";

/// What a host shows of the work that an audit is about.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[allow(clippy::large_enum_variant, reason = "it is a call's argument, one at a time")]
pub enum Opening {
    /// The receipt of a job's result, whose hash the chain has.
    Job {
        receipt: Receipt,
        /// The version that the job was for.
        version: ModelVersionId,
    },
    /// The receipt in a leaf of a lane's tree; the leaf's value is the receipt's fee.
    Leaf {
        proof: merkle::Proof,
        receipt: SignedReceipt,
    },
}

/// A verifier's commitment to `finding` in one stage of an audit.
///
/// ```text
/// blake2_256("llmesh/ballot/v1" ++ audit (u64) ++ stage (u8) ++ account ++ salt (32 bytes) ++ finding)
/// ```
///
/// with account and finding in SCALE. The account is in it so that another's ballot can not be used as one's own; the
/// salt is random and secret until it is revealed, so that it can not be guessed from the few findings without a sketch.
pub fn ballot<A: Encode>(audit: AuditId, stage: u8, account: &A, finding: &Finding, salt: &[u8; 32]) -> H256 {
    BlakeTwo256::hash_of(&(BALLOT_DOMAIN, audit, stage, account, salt, finding))
}

/// What a stage of an audit means for one sitting member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It found what the verdict says: paid.
    Right,
    /// What it said it found is refuted by two thirds of the committee: slashed.
    Wrong,
    /// Neither.
    Void,
    /// It did not reveal.
    Silent,
}

/// How a stage of an audit ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The members differ; the next stage asks more of them.
    Escalate,
    /// The audit is over.
    Verdict(Verdict),
}

/// A stage, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    pub outcome: Outcome,
    /// One for each sitting member, in their order.
    pub roles: Vec<Role>,
}

/// On which side a vote is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// The host's work is good.
    Agrees,
    /// The host's work is bad.
    Accuses,
    /// The host did not give the data to tell.
    NoData,
    /// Nothing.
    Void,
}

/// A vote and what can be said of it alone.
struct Counted {
    vote: Vote,
    side: Side,
    /// It has a sketch and that is not close to the host's.
    far: bool,
}

impl Counted {
    fn new(vote: Vote, host: &Sketch, tolerance: Perbill) -> Self {
        let far = matches!(vote.finding, Finding::Ran(own) if !close(&own, host, tolerance));
        let side = match (vote.finding, vote.preimages) {
            (Finding::Abstained, _) => Side::Void,
            (Finding::NoInput, _) => Side::NoData,
            (Finding::Fails, _) | (Finding::Ran(_), Preimages::Bad) => Side::Accuses,
            (Finding::Ran(_), _) if far => Side::Accuses,
            (Finding::Ran(_), Preimages::Missing) => Side::NoData,
            (Finding::Ran(_), Preimages::Good) => Side::Agrees,
        };
        Self { vote, side, far }
    }

    fn sketch(&self) -> Option<&Sketch> {
        match &self.vote.finding {
            Finding::Ran(sketch) => Some(sketch),
            _ => None,
        }
    }

    fn fails(&self) -> bool {
        self.vote.finding == Finding::Fails
    }

    fn bad(&self) -> bool {
        self.sketch().is_some() && self.vote.preimages == Preimages::Bad
    }

    /// Whether it has a sketch, and that is close to `reference`.
    fn is_close_to(&self, reference: Option<&Sketch>, tolerance: Perbill) -> bool {
        match (reference, self.sketch()) {
            (Some(reference), Some(own)) => close(reference, own, tolerance),
            _ => false,
        }
    }
}

/// The largest set of sketches that are close to one of them: that one, and how many they are. Among sets of one size
/// the smallest sketch wins, so that the order of the members does not matter.
fn largest_group<'a>(
    sketches: impl Iterator<Item = &'a Sketch> + Clone,
    tolerance: Perbill,
) -> Option<(&'a Sketch, usize)> {
    sketches
        .clone()
        .map(|centre| {
            let size = sketches
                .clone()
                .filter(|other| close(centre, other, tolerance))
                .count();
            (centre, size)
        })
        .max_by(|(a, m), (b, n)| m.cmp(n).then_with(|| b.0.cmp(&a.0)))
}

/// Counts one stage of an audit.
///
/// `votes` has one entry for each sitting member, `None` for one that did not reveal. `host` is the host's sketch of the
/// stage, `tolerance` the model's. At `last_stage` there is nobody else to ask. Fewer than `min_quorum` votes never
/// convict.
///
/// A vote **agrees** when its sketch is close to the host's and the host's data was good; it **accuses** when the sketch
/// is not close, the data was bad, or the model fails; it has **no data** when input, output or probe did not come.
/// Abstentions count for nothing. With `voters` the number of votes of the three kinds:
///
/// 1. Nobody: the next stage, [`Verdict::Inconclusive`] at the last.
/// 2. All agree: [`Verdict::Match`].
/// 3. Otherwise the next stage, and at the last:
///    - **Mismatch** when two thirds of the voters say one and the same: a sketch (the largest group of close ones among
///      those that are not close to the host's), bad data, or that the model fails.
///    - **Withheld** when those without data, and those with an accusation that at least one other shares, are two thirds
///      together. A host that gives its data to some and not to others does not get away with a divided committee.
///    - **Match** when two thirds agree.
///    - **Inconclusive** otherwise.
///
/// [`Role::Wrong`] is only for a sketch that two thirds of the voters refute with one of their own: among the accusing at
/// a mismatch, among the agreeing at a match; and for the claim of bad data against a match. Only groups of
/// members that are on one side are formed: a sketch half way between the two sides joins neither.
pub fn tally(
    votes: &[Option<Vote>],
    host: &Sketch,
    tolerance: Perbill,
    last_stage: bool,
    min_quorum: u32,
) -> Tally {
    let counted: Vec<Option<Counted>> = votes
        .iter()
        .map(|vote| vote.map(|vote| Counted::new(vote, host, tolerance)))
        .collect();
    let cast = || counted.iter().flatten();
    let voters = cast().filter(|c| c.side != Side::Void).count();
    let is_most = |count: usize| count.saturating_mul(3) >= voters.saturating_mul(2);
    let end = |verdict, role: &dyn Fn(&Counted) -> Role| Tally {
        outcome: Outcome::Verdict(verdict),
        roles: roles(&counted, role),
    };

    if cast().all(|c| matches!(c.side, Side::Agrees | Side::Void)) && voters > 0 {
        return end(Verdict::Match, &|c| right_if(c.side == Side::Agrees));
    }
    if !last_stage {
        return Tally {
            outcome: Outcome::Escalate,
            roles: roles(&counted, |_| Role::Void),
        };
    }
    // The sketch of the largest group among these votes, when that is two thirds of the voters.
    let most_of = |of: &dyn Fn(&Counted) -> bool| {
        let sketches = counted
            .iter()
            .flatten()
            .filter(|c| of(c))
            .filter_map(Counted::sketch);
        largest_group(sketches, tolerance)
            .filter(|(_, size)| is_most(*size))
            .map(|(sketch, _)| *sketch)
    };
    let fails = cast().filter(|c| c.fails()).count();
    let bad = cast().filter(|c| c.bad()).count();
    let far = cast().filter(|c| c.far).filter_map(Counted::sketch);
    let (far, far_group) = largest_group(far, tolerance).map_or((None, 0), |(s, n)| (Some(*s), n));

    if voters > 0 && u32::try_from(voters).is_ok_and(|voters| voters >= min_quorum) {
        let by_sketch = far.filter(|_| is_most(far_group));
        if by_sketch.is_some() || is_most(bad) {
            let reference = by_sketch.or_else(|| most_of(&Counted::bad));
            return end(Verdict::Mismatch, &|c| {
                let close = c.is_close_to(reference.as_ref(), tolerance);
                if c.sketch().is_some() && reference.is_some() && !close {
                    Role::Wrong
                } else {
                    right_if(c.sketch().is_some() && c.side == Side::Accuses)
                }
            });
        }
        if is_most(fails) {
            return end(Verdict::Mismatch, &|c| right_if(c.fails()));
        }
        let against = |c: &Counted| {
            c.side == Side::NoData
                || (c.bad() && bad > 1)
                || (c.fails() && fails > 1)
                || (c.far && far_group > 1 && c.is_close_to(far.as_ref(), tolerance))
        };
        if is_most(cast().filter(|c| against(c)).count()) {
            return end(Verdict::Withheld(Withheld::Data), &|c| right_if(against(c)));
        }
    }
    if voters > 0 && is_most(cast().filter(|c| c.side == Side::Agrees).count()) {
        let reference = most_of(&|c| c.side == Side::Agrees);
        return end(Verdict::Match, &|c| {
            let refuted = c.far && reference.is_some() && !c.is_close_to(reference.as_ref(), tolerance);
            if refuted || c.bad() {
                Role::Wrong
            } else {
                right_if(c.side == Side::Agrees)
            }
        });
    }
    end(Verdict::Inconclusive, &|_| Role::Void)
}

fn right_if(right: bool) -> Role {
    if right { Role::Right } else { Role::Void }
}

fn roles(counted: &[Option<Counted>], role: impl Fn(&Counted) -> Role) -> Vec<Role> {
    counted
        .iter()
        .map(|counted| counted.as_ref().map_or(Role::Silent, &role))
        .collect()
}
