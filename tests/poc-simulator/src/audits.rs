//! Audits, one by one: a committee is drawn, each member says what its kind says, the votes are counted.

use crate::Rng;
use llmesh_primitives::{
    ElementType, Sketch, Verdict,
    attestation::{Finding, MAX_COMMITTEE, Preimages, STAGE_SEATS, Vote},
};
use llmesh_proofs::{
    audit::{Outcome, Role, tally},
    draw::weighted,
    sampling::{audit_seed, committee_seed, draw_seed, stage_seed},
    sketch::sketch,
};
use sp_core::H256;
use sp_runtime::Perbill;
use std::{
    ops::AddAssign,
    sync::atomic::{AtomicU64, Ordering},
};

/// The tolerance that magika was calibrated to.
pub const TOLERANCE: Perbill = Perbill::from_parts(500_000);
/// The widest honest difference measured, between batch sizes.
pub const HONEST_NOISE: f64 = 2.5e-4;
/// Fewest votes that convict.
pub const MIN_QUORUM: u32 = 3;
/// Elements of a probe.
pub const ELEMENTS: usize = 96;

/// How far the host's probe is from the one that the model yields, as relative distance (L2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distance {
    Exactly(f64),
    /// Uniform between the two.
    Between(f64, f64),
    /// Another model: another vector altogether.
    Unrelated,
}

/// What a host does when it is audited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defence {
    /// It gives out what it has. The only thing that an honest host does.
    ShowsAll,
    /// It runs the model after all and publishes the right sketch; its probe does not fit it.
    CoversUp,
    /// It gives its input to each member with this chance only, in percent, so that the committee is divided.
    Divides(u8),
}

/// What colluding members want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collusion {
    /// To save the host: they copy its sketch.
    Saves,
    /// To have the host convicted: they agree on one other sketch.
    Accuses,
    /// The same without a risk: they claim that they got nothing.
    ClaimsNoInput,
    /// To be many that are paid: they disagree until the last stage, then they agree.
    Prolongs,
}

/// One population, its network, and one kind of host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Verifiers, all with the same stake and reputation.
    pub verifiers: usize,
    /// Share of them that colludes.
    pub colluding: f64,
    pub collusion: Collusion,
    /// Share of them that makes its sketch up.
    pub lazy: f64,
    /// Chance that a sitting member does not answer in a stage.
    pub churn: f64,
    /// Chance that what the host gives to a member does not arrive, for input and for preimages.
    pub loss: f64,
    pub distance: Distance,
    pub defence: Defence,
}

impl Setting {
    /// A hundred honest verifiers, an honest host with noise up to the widest, a perfect network.
    pub const fn honest() -> Self {
        Self {
            verifiers: 100,
            colluding: 0.0,
            collusion: Collusion::Saves,
            lazy: 0.0,
            churn: 0.0,
            loss: 0.0,
            distance: Distance::Between(0.0, HONEST_NOISE),
            defence: Defence::ShowsAll,
        }
    }

    fn kind(&self, verifier: usize) -> Kind {
        let colluding = (self.colluding * self.verifiers as f64).round() as usize;
        let lazy = (self.lazy * self.verifiers as f64).round() as usize;
        if verifier < colluding {
            Kind::Colluding
        } else if verifier < colluding + lazy {
            Kind::Lazy
        } else {
            Kind::Honest
        }
    }
}

/// What kind of verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Honest,
    Lazy,
    Colluding,
}

/// How many audits ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub audits: u64,
    pub matches: u64,
    pub mismatches: u64,
    pub withheld: u64,
    pub inconclusive: u64,
    /// Audits that went beyond their first stage.
    pub escalated: u64,
    /// Times that a verifier ran the model.
    pub runs: u64,
    /// Members that sat when it ended, by kind and role (right, wrong, void, silent).
    pub roles: [[u64; 4]; 3],
}

impl Counts {
    /// Share of the audits that convicted the host.
    pub fn convicted(&self) -> f64 {
        self.share(self.mismatches + self.withheld)
    }

    /// `count` for each audit.
    pub fn share(&self, count: u64) -> f64 {
        count as f64 / self.audits.max(1) as f64
    }

    pub fn of(&self, kind: Kind, role: Role) -> u64 {
        self.roles[kind as usize][role_index(role)]
    }

    /// Of the seats of this kind, the share with this role.
    pub fn seat_share(&self, kind: Kind, role: Role) -> f64 {
        let seats: u64 = self.roles[kind as usize].iter().sum();
        self.of(kind, role) as f64 / seats.max(1) as f64
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.audits += other.audits;
        self.matches += other.matches;
        self.mismatches += other.mismatches;
        self.withheld += other.withheld;
        self.inconclusive += other.inconclusive;
        self.escalated += other.escalated;
        self.runs += other.runs;
        let pairs = self.roles.iter_mut().flatten().zip(other.roles.iter().flatten());
        for (sum, part) in pairs {
            *sum += part;
        }
    }
}

const fn role_index(role: Role) -> usize {
    match role {
        Role::Right => 0,
        Role::Wrong => 1,
        Role::Void => 2,
        Role::Silent => 3,
    }
}

/// Runs `audits` of them on `threads`. The same seed and name give the same counts on any number of threads.
pub fn run(setting: &Setting, audits: u64, seed: u64, name: &str, threads: usize) -> Counts {
    const SHARD: u64 = 1_000;
    let shards = audits.div_ceil(SHARD);
    let next = AtomicU64::new(0);
    let work = || {
        let mut counts = Counts::default();
        loop {
            let shard = next.fetch_add(1, Ordering::Relaxed);
            if shard >= shards {
                return counts;
            }
            let mut rng = Rng::new(seed, &format!("{name}/{shard}"));
            for _ in 0..SHARD.min(audits - shard * SHARD) {
                counts += audit(setting, &mut rng);
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let mut counts = Counts::default();
        for worker in workers {
            match worker.join() {
                Ok(part) => counts += part,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        counts
    })
}

fn vector(rng: &mut Rng) -> Vec<f32> {
    (0..ELEMENTS).map(|_| (rng.unit() * 16.0 - 8.0) as f32).collect()
}

fn moved(truth: &[f32], distance: f64, rng: &mut Rng) -> Vec<f32> {
    let noise = vector(rng);
    let length = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let scale = distance * length(truth) / length(&noise);
    let pairs = truth.iter().zip(&noise);
    pairs
        .map(|(t, n)| (f64::from(*t) + scale * f64::from(*n)) as f32)
        .collect()
}

fn sketch_of(seed: H256, probe: &[f32]) -> Sketch {
    let bytes: Vec<u8> = probe.iter().flat_map(|x| x.to_le_bytes()).collect();
    sketch(seed, [(ElementType::F32, bytes.as_slice())])
}

/// One audit from the draw of its committee to its end.
pub fn audit(setting: &Setting, rng: &mut Rng) -> Counts {
    let truth = vector(rng);
    let probe = match setting.distance {
        Distance::Exactly(distance) => moved(&truth, distance, rng),
        Distance::Between(low, high) => {
            let distance = low + (high - low) * rng.unit();
            moved(&truth, distance, rng)
        }
        Distance::Unrelated => vector(rng),
    };
    let seed = audit_seed(draw_seed(rng.hash(), rng.number()), 0);
    let weights = vec![1_000_000_000_000_000u128; setting.verifiers];
    let seats_at = |stage: usize| {
        let most = STAGE_SEATS.get(stage).copied().unwrap_or(MAX_COMMITTEE) as usize;
        most.min(setting.verifiers)
    };
    let mut counts = Counts {
        audits: 1,
        ..Counts::default()
    };
    let (mut stage, mut ran) = (0usize, 0u64);
    loop {
        let seats = seats_at(stage);
        let last = seats == seats_at(STAGE_SEATS.len() - 1);
        // A draw of more begins with the draw of fewer: the members of this stage are the first of all fifteen.
        let members = weighted(&weights, seats, committee_seed(seed));
        let stage_seed = stage_seed(seed, stage as u8);
        let own = sketch_of(stage_seed, &truth);
        let of_probe = sketch_of(stage_seed, &probe);
        let published = match setting.defence {
            Defence::CoversUp => own,
            Defence::ShowsAll | Defence::Divides(_) => of_probe,
        };
        // What colluding accusers agreed on.
        let conspired = match setting.collusion {
            Collusion::Accuses => sketch_of(stage_seed, &vector(rng)),
            _ => own,
        };
        let votes: Vec<Option<Vote>> = members
            .iter()
            .map(|member| {
                if rng.chance(setting.churn) {
                    return None;
                }
                let (finding, preimages) = match setting.kind(*member) {
                    Kind::Honest => honest_vote(setting, own, rng),
                    Kind::Lazy => (Finding::Ran(sketch_of(stage_seed, &vector(rng))), Preimages::Good),
                    Kind::Colluding => match setting.collusion {
                        Collusion::Saves => (Finding::Ran(published), Preimages::Good),
                        Collusion::Accuses => (Finding::Ran(conspired), Preimages::Good),
                        Collusion::Prolongs if last => (Finding::Ran(own), Preimages::Good),
                        Collusion::ClaimsNoInput | Collusion::Prolongs => {
                            (Finding::NoInput, Preimages::Missing)
                        }
                    },
                };
                Some(Vote { finding, preimages })
            })
            .collect();
        // A member keeps its probe: in a later stage only the sketch is new.
        let honest = members.iter().zip(&votes);
        let runs = honest
            .filter(|(member, vote)| setting.kind(**member) == Kind::Honest && vote.is_some())
            .count();
        ran = ran.max(runs as u64);

        let counted = tally(&votes, &published, TOLERANCE, last, MIN_QUORUM);
        let verdict = match counted.outcome {
            Outcome::Escalate => {
                counts.escalated = 1;
                stage += 1;
                continue;
            }
            Outcome::Verdict(verdict) => verdict,
        };
        match verdict {
            Verdict::Match => counts.matches = 1,
            Verdict::Mismatch => counts.mismatches = 1,
            Verdict::Withheld(_) => counts.withheld = 1,
            Verdict::Inconclusive => counts.inconclusive = 1,
        }
        for (member, role) in members.iter().zip(counted.roles) {
            counts.roles[setting.kind(*member) as usize][role_index(role)] += 1;
        }
        counts.runs = ran;
        return counts;
    }
}

fn honest_vote(setting: &Setting, own: Sketch, rng: &mut Rng) -> (Finding, Preimages) {
    let given = match setting.defence {
        Defence::Divides(percent) => rng.chance(f64::from(percent) / 100.0),
        _ => true,
    };
    if !given || rng.chance(setting.loss) {
        return (Finding::NoInput, Preimages::Missing);
    }
    let preimages = if rng.chance(setting.loss) {
        Preimages::Missing
    } else if setting.defence == Defence::CoversUp {
        Preimages::Bad
    } else {
        Preimages::Good
    };
    (Finding::Ran(own), preimages)
}
