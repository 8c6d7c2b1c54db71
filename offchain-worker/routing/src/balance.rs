//! Smooth weighted round-robin between hosts that are equally good.
//!
//! nginx's algorithm (M. Dounin, "Upstream: smooth weighted round-robin balancing", 2012, in
//! `ngx_http_upstream_round_robin.c`): at every pick each candidate's credit grows by its weight, the
//! greatest credit wins and pays the sum of all weights. Over as many picks as the sum of the weights, each
//! host is picked exactly as often as its weight says, and its turns are spread evenly: weights 5, 1, 1 give
//! a a b a c a a.

/// Deals requests out to hosts by weight, which is their live capacity. Deterministic: at equal credit the
/// smaller id wins, and the order in which hosts were added does not matter.
#[derive(Clone, Debug)]
pub struct Balancer<I> {
    /// In the order of ids.
    hosts: Vec<Seat<I>>,
}

#[derive(Clone, Debug)]
struct Seat<I> {
    id: I,
    weight: u32,
    credit: i64,
}

impl<I> Default for Balancer<I> {
    fn default() -> Self {
        Self { hosts: Vec::new() }
    }
}

impl<I: Ord> Balancer<I> {
    /// A balancer without hosts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a host or changes its weight, from the next pick on. Weight 0: it stays, and gets nothing.
    ///
    /// Credits are scaled along with the sum of weights, so that what a host is owed or owes stays the same
    /// number of turns: a host whose weight drops from a thousand to one is not shut out for the next
    /// thousand picks.
    pub fn set(&mut self, id: I, weight: u32) {
        let before = self.total();
        match self.hosts.binary_search_by(|host| host.id.cmp(&id)) {
            Ok(at) if self.hosts[at].weight == weight => return,
            Ok(at) => self.hosts[at].weight = weight,
            Err(at) => self.hosts.insert(
                at,
                Seat {
                    id,
                    weight,
                    credit: 0,
                },
            ),
        }
        self.rescale(before);
    }

    /// Removes a host. Says whether it was there.
    pub fn remove(&mut self, id: &I) -> bool {
        let before = self.total();
        let Ok(at) = self.hosts.binary_search_by(|host| host.id.cmp(id)) else {
            return false;
        };
        self.hosts.remove(at);
        self.rescale(before);
        true
    }

    /// The host whose turn it is; `None` when no host has a weight.
    pub fn pick(&mut self) -> Option<&I> {
        self.pick_among(|_| true)
    }

    /// The host whose turn it is among those that `eligible` accepts, for example those that a request has
    /// not tried yet. The others neither earn nor pay.
    pub fn pick_among(&mut self, mut eligible: impl FnMut(&I) -> bool) -> Option<&I> {
        let mut total = 0;
        let mut first: Option<usize> = None;
        for at in 0..self.hosts.len() {
            let host = &mut self.hosts[at];
            if host.weight == 0 || !eligible(&host.id) {
                continue;
            }
            host.credit += i64::from(host.weight);
            total += i64::from(host.weight);
            let credit = host.credit;
            if first.is_none_or(|first| credit > self.hosts[first].credit) {
                first = Some(at);
            }
        }
        let host = &mut self.hosts[first?];
        host.credit -= total;
        Some(&host.id)
    }

    /// The weight of a host.
    pub fn weight(&self, id: &I) -> Option<u32> {
        let at = self.hosts.binary_search_by(|host| host.id.cmp(id)).ok()?;
        Some(self.hosts[at].weight)
    }

    /// How many hosts there are.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there are no hosts.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    fn total(&self) -> i64 {
        self.hosts.iter().map(|host| i64::from(host.weight)).sum()
    }

    /// Brings all credits to the new sum of weights and their own sum back to zero.
    fn rescale(&mut self, before: i64) {
        let now = self.total();
        let mut sum: i64 = 0;
        for host in &mut self.hosts {
            host.credit = match before {
                0 => 0,
                _ => (i128::from(host.credit) * i128::from(now) / i128::from(before)) as i64,
            };
            if host.weight == 0 {
                host.credit = 0;
            }
            sum += host.credit;
        }
        // What rounding, or a host that went, leaves over is spread over the others, as evenly as whole
        // numbers allow.
        let live = self.hosts.iter().filter(|host| host.weight > 0).count() as i64;
        if live == 0 {
            return;
        }
        let (share, mut rest) = (sum.div_euclid(live), sum.rem_euclid(live));
        for host in self.hosts.iter_mut().filter(|host| host.weight > 0) {
            let extra = i64::from(rest > 0);
            rest -= extra;
            host.credit -= share + extra;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_nginx_own_example() {
        let mut balancer = Balancer::new();
        for (id, weight) in [("c", 1), ("a", 5), ("b", 1)] {
            balancer.set(id, weight);
        }
        let turns: String = (0..14).map(|_| *balancer.pick().unwrap()).collect();
        assert_eq!(turns, "aabacaaaabacaa");
    }

    #[test]
    fn nobody_to_pick() {
        let mut balancer = Balancer::new();
        assert_eq!(balancer.pick(), None);
        balancer.set("a", 0);
        assert_eq!(balancer.pick(), None);
        balancer.set("a", 1);
        assert_eq!(balancer.pick_among(|id| *id != "a"), None);
        assert_eq!(balancer.pick(), Some(&"a"));
        assert!(balancer.remove(&"a") && !balancer.remove(&"a"));
        assert_eq!(balancer.pick(), None);
    }

    #[test]
    fn a_fall_in_capacity_does_not_shut_a_host_out() {
        let mut balancer = Balancer::new();
        balancer.set("big", 1_000_000);
        balancer.set("small", 999_999);
        balancer.pick();
        balancer.set("big", 1);
        balancer.set("small", 1);
        let turns: Vec<&str> = (0..4).map(|_| *balancer.pick().unwrap()).collect();
        assert_eq!(turns.iter().filter(|id| **id == "big").count(), 2);
    }
}
