//! One cost out of everything that is known of a link or a node.
//!
//! # The unit
//! A cost says how much delay a client would rather accept than take this hop. One unit is a millisecond,
//! costs are whole **micro-units**: nanoseconds. What is a delay anyway (latency, waiting, computing) counts
//! as itself; what is not (the risk of a failure, a price, missing stake) is turned into one by a [`Weights`]
//! entry that says what it is worth. Costs add up over hops. All arithmetic is on integers with 128-bit
//! intermediates and saturates at [`MAX_COST`].
//!
//! # The formulas
//! With odds(x) = x / (1 - x), x held to at most 99 %:
//!
//! - a link costs `latency + (latency + retry) * odds(loss)`
//! - passing on costs `forward * (1 + odds(load)) + standing`
//! - serving costs `work / capacity * (1 + odds(load)) + standing`
//! - where `standing = failover * odds(1 - reputation) + trust * s / (s + stake) + price * worth`
//!
//! - Link: a hop that loses a share p of its messages takes 1 / (1 - p) attempts (the expected transmission
//!   count: De Couto, Aguayo, Bicket, Morris, "A high-throughput path metric for multi-hop wireless routing",
//!   2003), and each further attempt costs the wait for the timeout too.
//! - Load: 1 + odds(load) = 1 / (1 - load) is the time in an M/M/1 queue relative to the bare service time.
//! - Reputation is the chance that a node does its part; odds(1 - reputation) failures are expected before a
//!   success, and each costs a failover.
//! - Stake: none costs all of `trust`, `s` of it half. What is staked can be slashed; more of it counts less
//!   and less.
//!
//! Every formula is monotone in each input: more latency, loss, load or price never lowers a cost, more
//! reputation, stake or capacity never raises one.

use crate::MAX_COST;

/// One in parts per million, the unit of all shares here.
pub const PPM: u32 = 1_000_000;

/// Shares that a cost goes to infinity with count as this at most: odds of 99 to 1.
const WORST: u64 = 990_000;

/// What is known of a link in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Microseconds one way.
    pub latency_us: u32,
    /// Lost or timed out, in parts per million.
    pub loss_ppm: u32,
}

/// What is known of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// From the chain, in parts per million.
    pub reputation_ppm: u32,
    /// Whole MESH at stake.
    pub stake: u64,
    /// Work units a second that the node can do when idle (for models: a million multiply-accumulates each).
    pub capacity: u64,
    /// The part of its capacity in use, in parts per million.
    pub load_ppm: u32,
    /// What the request would cost there, in millionths of a MESH: for relaying or for serving.
    pub price: u64,
}

/// What things that are no delay are worth. Microseconds, except where it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// The wait before a lost message is sent again.
    pub retry_us: u32,
    /// The time an idle relay needs to pass a request on and its answer back.
    pub forward_us: u32,
    /// The delay that a failed hop costs until another path has answered.
    pub failover_us: u32,
    /// What a node without stake is worse than one with endless stake.
    pub trust_us: u32,
    /// The stake at which half of `trust_us` is left, in whole MESH; at least 1.
    pub trust_stake: u64,
    /// Below this stake, in whole MESH, a node neither relays nor serves.
    pub minimum_stake: u64,
    /// Nanoseconds of delay that a client would accept to save a millionth of a MESH.
    pub price_ns: u32,
}

impl Default for Weights {
    /// A lost message waits 200 ms, a failover 500 ms; stake is worth 5 ms, half of it at the chain's minimum
    /// bond of 1,000 MESH, which is also required; a thousandth of a MESH is worth 1 ms.
    fn default() -> Self {
        Self {
            retry_us: 200_000,
            forward_us: 100,
            failover_us: 500_000,
            trust_us: 5_000,
            trust_stake: 1_000,
            minimum_stake: 1_000,
            price_ns: 1_000,
        }
    }
}

impl Weights {
    /// The cost of a link, in micro-units, at least 1.
    pub fn link_cost(&self, link: Link) -> u64 {
        let latency = u64::from(link.latency_us) * 1_000;
        let again = latency + u64::from(self.retry_us) * 1_000;
        hold(u128::from(latency) + odds(again, u64::from(link.loss_ppm))).max(1)
    }

    /// The cost of passing a request on, in micro-units; `None` when the stake is too low. Whether the node
    /// is willing to relay at all is the caller's to know.
    pub fn relay_cost(&self, peer: &Peer) -> Option<u64> {
        let forward = u64::from(self.forward_us) * 1_000;
        self.node_cost(
            peer,
            u128::from(forward) + odds(forward, u64::from(peer.load_ppm)),
        )
    }

    /// The cost of serving a request of so many work units, in micro-units; `None` when the stake is too low
    /// or there is no capacity.
    pub fn host_cost(&self, peer: &Peer, work: u64) -> Option<u64> {
        // A request that takes longer than the greatest cost counts as that: what follows can not overflow
        // then.
        let compute = (u128::from(work) * 1_000_000_000).checked_div(u128::from(peer.capacity))?;
        let compute = hold(compute);
        self.node_cost(
            peer,
            u128::from(compute) + odds(compute, u64::from(peer.load_ppm)),
        )
    }

    fn node_cost(&self, peer: &Peer, busy: u128) -> Option<u64> {
        if peer.stake < self.minimum_stake {
            return None;
        }
        let doubt = u64::from(PPM.saturating_sub(peer.reputation_ppm));
        let risk = odds(u64::from(self.failover_us) * 1_000, doubt);
        let half = u128::from(self.trust_stake.max(1));
        let trust = u128::from(self.trust_us) * 1_000 * half / (half + u128::from(peer.stake));
        let price = u128::from(peer.price) * u128::from(self.price_ns);
        Some(hold(busy + risk + trust + price))
    }
}

/// value * share / (1 - share), rounded down.
fn odds(value: u64, share_ppm: u64) -> u128 {
    let share = share_ppm.min(WORST);
    u128::from(value) * u128::from(share) / u128::from(u64::from(PPM) - share)
}

fn hold(cost: u128) -> u64 {
    cost.min(u128::from(MAX_COST)) as u64
}

/// What measurements say of a link: smoothed latency, its variation, and loss.
///
/// Latency is smoothed as TCP does it (RFC 6298: 1/8 of each new sample for the mean, 1/4 for the mean
/// deviation), loss with 1/16 of each outcome. All in fixed point; the same samples give the same state
/// everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkEstimate {
    /// Round trip, microseconds times 8.
    mean_x8: u64,
    /// Mean deviation of it, microseconds times 4.
    deviation_x4: u64,
    /// Parts per million times 16.
    loss_x16: u32,
    samples: u32,
}

impl LinkEstimate {
    /// Nothing measured yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An answer came after so many microseconds.
    pub fn answered(&mut self, round_trip_us: u32) {
        let sample = u64::from(round_trip_us);
        if self.samples == 0 {
            self.mean_x8 = sample * 8;
            self.deviation_x4 = sample * 2;
        } else {
            let deviation = sample.abs_diff(self.mean_x8 / 8);
            self.deviation_x4 = self.deviation_x4 - self.deviation_x4 / 4 + deviation;
            self.mean_x8 = self.mean_x8 - self.mean_x8 / 8 + sample;
        }
        self.samples = self.samples.saturating_add(1);
        self.loss_x16 -= self.loss_x16 / 16;
    }

    /// No answer came in time.
    pub fn lost(&mut self) {
        self.loss_x16 = self.loss_x16 - self.loss_x16 / 16 + PPM;
    }

    /// The link as [`Weights::link_cost`] takes it; `None` before the first answer.
    pub fn link(&self) -> Option<Link> {
        if self.samples == 0 {
            return None;
        }
        let latency_us = u32::try_from(self.mean_x8 / 16).unwrap_or(u32::MAX);
        Some(Link {
            latency_us,
            loss_ppm: (self.loss_x16 / 16).min(PPM),
        })
    }

    /// How long to wait for an answer before it counts as lost: mean plus four deviations, in microseconds;
    /// `None` before the first answer.
    pub fn timeout_us(&self) -> Option<u64> {
        (self.samples > 0).then(|| self.mean_x8 / 8 + self.deviation_x4.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn link() -> impl Strategy<Value = Link> {
        (0u32.., 0..=PPM).prop_map(|(latency_us, loss_ppm)| Link {
            latency_us: latency_us >> 8,
            loss_ppm,
        })
    }

    fn peer() -> impl Strategy<Value = Peer> {
        (0..=PPM, 0u64..1 << 40, 0u64..1 << 50, 0..=PPM, 0u64..1 << 30).prop_map(
            |(reputation_ppm, stake, capacity, load_ppm, price)| Peer {
                reputation_ppm,
                stake,
                capacity,
                load_ppm,
                price,
            },
        )
    }

    fn weights() -> impl Strategy<Value = Weights> {
        (
            0u32..1 << 20,
            0u32..1 << 20,
            0u32..1 << 20,
            0u32..1 << 20,
            0u64..1 << 30,
            0u64..5_000,
            0u32..1 << 16,
        )
            .prop_map(
                |(retry_us, forward_us, failover_us, trust_us, trust_stake, minimum_stake, price_ns)| {
                    Weights {
                        retry_us,
                        forward_us,
                        failover_us,
                        trust_us,
                        trust_stake,
                        minimum_stake,
                        price_ns,
                    }
                },
            )
    }

    /// `None`, which is "not at all", is worse than any cost.
    fn worth(cost: Option<u64>) -> u64 {
        cost.unwrap_or(u64::MAX)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_worse_link_never_costs_less(weights in weights(), link in link(), more in 0u32..1 << 24) {
            let cost = weights.link_cost(link);
            prop_assert!((1..=MAX_COST).contains(&cost));
            let slower = Link { latency_us: link.latency_us + more, ..link };
            let lossier = Link { loss_ppm: link.loss_ppm.saturating_add(more), ..link };
            prop_assert!(weights.link_cost(slower) >= cost);
            prop_assert!(weights.link_cost(lossier) >= cost);
        }

        #[test]
        fn a_worse_node_never_costs_less(
            weights in weights(),
            peer in peer(),
            more in 1u64..1 << 20,
            work: u32,
        ) {
            let bits = more as u32;
            let worse = [
                Peer { reputation_ppm: peer.reputation_ppm.saturating_sub(bits), ..peer },
                Peer { stake: peer.stake.saturating_sub(more), ..peer },
                Peer { capacity: peer.capacity.saturating_sub(more), ..peer },
                Peer { load_ppm: peer.load_ppm.saturating_add(bits), ..peer },
                Peer { price: peer.price + more, ..peer },
            ];
            let (relay, host) = (weights.relay_cost(&peer), weights.host_cost(&peer, work.into()));
            prop_assert!(relay.is_none_or(|cost| cost <= MAX_COST));
            prop_assert!(host.is_none_or(|cost| cost <= MAX_COST));
            for worse in worse {
                prop_assert!(worth(weights.relay_cost(&worse)) >= worth(relay), "{worse:?}");
                prop_assert!(worth(weights.host_cost(&worse, work.into())) >= worth(host), "{worse:?}");
            }
            prop_assert!(worth(weights.host_cost(&peer, u64::from(work) + more)) >= worth(host));
        }

        #[test]
        fn estimates_stay_within_what_was_seen(samples in proptest::collection::vec(1u32.., 1..200)) {
            let mut estimate = LinkEstimate::new();
            for &sample in &samples {
                estimate.answered(sample);
            }
            let link = estimate.link().unwrap();
            let (low, high) = (samples.iter().min().unwrap(), samples.iter().max().unwrap());
            prop_assert!(link.latency_us >= low / 2 - low.min(&1) && link.latency_us <= high / 2);
            prop_assert_eq!(link.loss_ppm, 0);
            prop_assert!(estimate.timeout_us().unwrap() > u64::from(link.latency_us));
        }
    }

    #[test]
    fn the_defaults_order_things_as_people_would() {
        let weights = Weights::default();
        let good = Link {
            latency_us: 20_000,
            loss_ppm: 0,
        };
        let lossy = Link {
            latency_us: 10_000,
            loss_ppm: 100_000,
        };
        assert_eq!(weights.link_cost(good), 20_000_000);
        assert!(weights.link_cost(lossy) > weights.link_cost(good));

        let peer = Peer {
            reputation_ppm: 990_000,
            stake: 1_000,
            capacity: 1_000,
            load_ppm: 500_000,
            price: 1_000,
        };
        // 10 ms of work, doubled by the load; 5.05 ms of risk; 2.5 ms for the low stake; 1 ms for the price.
        assert_eq!(
            weights.host_cost(&peer, 10),
            Some(20_000_000 + 5_050_505 + 2_500_000 + 1_000_000)
        );
        assert_eq!(weights.host_cost(&Peer { capacity: 0, ..peer }, 10), None);
        assert_eq!(weights.relay_cost(&Peer { stake: 999, ..peer }), None);
    }

    #[test]
    fn loss_is_learnt_and_forgotten() {
        let mut estimate = LinkEstimate::new();
        estimate.lost();
        assert_eq!(estimate.link(), None, "no latency known yet");
        estimate.answered(10_000);
        for _ in 0..200 {
            estimate.lost();
        }
        assert!(estimate.link().unwrap().loss_ppm > 990_000);
        for _ in 0..200 {
            estimate.answered(10_000);
        }
        assert!(estimate.link().unwrap().loss_ppm < 100);
        assert_eq!(estimate.link().unwrap().latency_us, 5_000);
    }
}
