//! What is known of the mesh: who has which links, and the paths that follow from it.
//!
//! Each worker measures its own links and gossips them. The last word of a worker about itself counts: a statement is
//! signed by its author (gossip does that), carries a sequence number that only grows, and is forgotten when it is not
//! renewed. What the chain says of a worker (stake, reputation, price) never comes from gossip.

use codec::{Decode, DecodeAll, Encode};
use llmesh_mesh::PeerId;
use llmesh_routing::{
    Finder, Graph, Host, Plan, Query,
    metric::{Link, Peer, Weights},
};
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

/// Most links that one worker can state.
pub const MAX_LINKS: usize = 64;
/// Most workers whose statements are kept.
pub const MAX_PEERS: usize = 16_384;
/// A statement that is not renewed for so long is forgotten.
pub const LIFETIME: Duration = Duration::from_secs(90);
/// Longest statement in bytes.
pub const MAX_STATEMENT: usize = 8 * 1024;
/// Paths planned for a request.
const PATHS: usize = 3;
/// Costs within this many thousandths count as equal.
const SLACK_PERMILLE: u32 = 50;
/// What a link that was never used is taken for: a connection has to be made first.
const UNTRIED: Link = Link {
    latency_us: 30_000,
    loss_ppm: 20_000,
};

/// What a worker says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Statement {
    /// Layout of what follows; 1.
    pub version: u8,
    /// Grows with each statement, across restarts too: milliseconds since 1970 at the time of writing.
    pub sequence: u64,
    /// Whether it passes on requests of others.
    pub relays: bool,
    /// Part of its capacity in use, in parts per million.
    pub load_ppm: u32,
    /// Links that are up.
    pub links: Vec<StatedLink>,
}

/// A link as its near end measures it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StatedLink {
    /// The peer id's bytes.
    pub to: Vec<u8>,
    /// Round trip in microseconds.
    pub rtt_us: u32,
    /// In parts per million.
    pub loss_ppm: u32,
}

/// Why a statement does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    #[error("longer than a statement can be")]
    TooLong,
    #[error("not a statement")]
    Malformed,
    #[error("of a layout that is not known")]
    UnknownVersion,
    #[error("names more links than it may, one twice, or itself")]
    BadLinks,
    #[error("older than what is known")]
    Stale,
    #[error("there is no room for another worker's statements")]
    Full,
}

impl Statement {
    /// Reads a statement.
    ///
    /// # Errors
    /// When it is too long, malformed, or of another layout.
    pub fn read(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > MAX_STATEMENT {
            return Err(StatementError::TooLong);
        }
        if bytes.first() != Some(&1) {
            return Err(StatementError::UnknownVersion);
        }
        Self::decode_all(&mut &*bytes).map_err(|_| StatementError::Malformed)
    }
}

struct Known {
    sequence: u64,
    load_ppm: u32,
    relays: bool,
    links: Vec<(PeerId, Link)>,
    heard: Instant,
}

/// What the chain says of a worker, for costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// Whole MESH.
    pub stake: u64,
    pub reputation_ppm: u32,
}

/// A host that can answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub peer: PeerId,
    /// What the answer costs, in planck.
    pub fee: u128,
    /// Work units: millions of multiply-accumulates.
    pub work: u64,
    /// Answers that it computes at the same time.
    pub capacity: u32,
}

/// The mesh as this worker knows it.
pub struct Topology {
    me: PeerId,
    weights: Weights,
    graph: Graph<PeerId>,
    finder: Finder,
    known: HashMap<PeerId, Known>,
    credit: HashMap<PeerId, Credit>,
    own: HashMap<PeerId, Link>,
}

impl Topology {
    /// Only this worker, and nothing known.
    pub fn new(me: PeerId) -> Self {
        let mut graph = Graph::new();
        // The first node of an empty graph always fits.
        let _ = graph.set_node(me, None);
        Self {
            me,
            weights: Weights::default(),
            graph,
            finder: Finder::new(),
            known: HashMap::new(),
            credit: HashMap::new(),
            own: HashMap::new(),
        }
    }

    /// Takes what the chain says of all workers. Who is not named has no standing: nothing is routed through it.
    pub fn set_credit(&mut self, credit: HashMap<PeerId, Credit>) {
        self.credit = credit;
        let nodes: Vec<PeerId> = self.graph.nodes().map(|(_, id)| *id).collect();
        for peer in nodes {
            self.refresh_node(peer);
        }
    }

    /// Takes this worker's own links, all of them.
    pub fn set_own_links(&mut self, links: impl IntoIterator<Item = (PeerId, Link)>) {
        let links: HashMap<PeerId, Link> = links.into_iter().filter(|(peer, _)| *peer != self.me).collect();
        let gone: Vec<PeerId> = self
            .own
            .keys()
            .filter(|p| !links.contains_key(p))
            .copied()
            .collect();
        for peer in gone {
            self.graph.remove_edge(&self.me, &peer);
        }
        for (peer, link) in &links {
            self.refresh_node(*peer);
            let _ = self.graph.set_edge(&self.me, peer, self.weights.link_cost(*link));
        }
        self.own = links;
    }

    /// What this worker says of itself.
    pub fn statement(&self, sequence: u64, relays: bool, load_ppm: u32) -> Statement {
        let mut links: Vec<_> = self.own.iter().collect();
        // The best ones, when there are more than can be stated.
        links.sort_by_key(|(peer, link)| (link.latency_us, **peer));
        let links = links
            .into_iter()
            .take(MAX_LINKS)
            .map(|(peer, link)| StatedLink {
                to: peer.to_bytes(),
                rtt_us: link.latency_us.saturating_mul(2),
                loss_ppm: link.loss_ppm,
            })
            .collect();
        Statement {
            version: 1,
            sequence,
            relays,
            load_ppm,
            links,
        }
    }

    /// Takes a statement of `author`, whose signature the caller has checked.
    ///
    /// # Errors
    /// When it does not count; what was known stays.
    pub fn merge(
        &mut self,
        author: PeerId,
        statement: &Statement,
        now: Instant,
    ) -> Result<(), StatementError> {
        if author == self.me {
            return Err(StatementError::Stale);
        }
        match self.known.get(&author) {
            Some(known) if known.sequence >= statement.sequence => return Err(StatementError::Stale),
            None if self.known.len() >= MAX_PEERS => return Err(StatementError::Full),
            _ => {}
        }
        if statement.links.len() > MAX_LINKS {
            return Err(StatementError::BadLinks);
        }
        let mut seen = HashSet::new();
        let mut links = Vec::with_capacity(statement.links.len());
        for link in &statement.links {
            let to = PeerId::from_bytes(&link.to).map_err(|_| StatementError::BadLinks)?;
            if to == author || !seen.insert(to) {
                return Err(StatementError::BadLinks);
            }
            let link = Link {
                latency_us: link.rtt_us / 2,
                loss_ppm: link.loss_ppm,
            };
            links.push((to, link));
        }
        let before = self.known.remove(&author);
        for (gone, _) in before.iter().flat_map(|k| &k.links) {
            if !seen.contains(gone) {
                self.graph.remove_edge(&author, gone);
            }
        }
        let known = Known {
            sequence: statement.sequence,
            load_ppm: statement.load_ppm.min(1_000_000),
            relays: statement.relays,
            links: links.clone(),
            heard: now,
        };
        self.known.insert(author, known);
        self.refresh_node(author);
        for (to, link) in links {
            // Links to this worker are its own to measure, and nobody passes through the one who asks.
            if to != self.me {
                self.refresh_node(to);
                let _ = self.graph.set_edge(&author, &to, self.weights.link_cost(link));
            }
        }
        Ok(())
    }

    /// Forgets what was not renewed.
    pub fn expire(&mut self, now: Instant) {
        let old: Vec<PeerId> = self
            .known
            .iter()
            .filter(|(_, k)| now.saturating_duration_since(k.heard) > LIFETIME)
            .map(|(p, _)| *p)
            .collect();
        for peer in old {
            if let Some(known) = self.known.remove(&peer) {
                for (to, _) in known.links {
                    self.graph.remove_edge(&peer, &to);
                }
            }
            self.refresh_node(peer);
        }
        let bare: Vec<PeerId> = self
            .graph
            .nodes()
            .filter(|(node, id)| {
                **id != self.me
                    && !self.known.contains_key(id)
                    && !self.own.contains_key(id)
                    && self.graph.edges_from(*node).next().is_none()
            })
            .map(|(_, id)| *id)
            .collect();
        let aimed_at: HashSet<PeerId> = self
            .known
            .values()
            .flat_map(|k| k.links.iter().map(|(to, _)| *to))
            .collect();
        for peer in bare {
            if !aimed_at.contains(&peer) {
                self.graph.remove_node(&peer);
            }
        }
    }

    /// Plans a request: the cheapest ways to the candidates. A candidate that is not linked to is taken as reachable by
    /// a connection that is yet to be made. Candidates without standing are left out.
    pub fn plan(&mut self, candidates: &[Candidate], avoid: &[PeerId]) -> Planned {
        let mut hosts = Vec::with_capacity(candidates.len());
        let mut made = Vec::new();
        for candidate in candidates {
            if candidate.peer == self.me {
                continue;
            }
            self.refresh_node(candidate.peer);
            let load_ppm = self.known.get(&candidate.peer).map_or(0, |k| k.load_ppm);
            let Some(peer) = self.peer(&candidate.peer, load_ppm, candidate) else {
                continue;
            };
            let Some(cost) = self.weights.host_cost(&peer, candidate.work) else {
                continue;
            };
            if !self.own.contains_key(&candidate.peer)
                && self
                    .graph
                    .set_edge(&self.me, &candidate.peer, self.weights.link_cost(UNTRIED))
                    .is_ok()
            {
                made.push(candidate.peer);
            }
            if let Some(node) = self.graph.node(&candidate.peer) {
                hosts.push(Host { node, cost });
            }
        }
        let avoid: Vec<_> = avoid.iter().filter_map(|p| self.graph.node(p)).collect();
        let planned = self.graph.node(&self.me).map(|me| {
            let query = Query::new(me, &hosts, PATHS.max(hosts.len().min(8))).avoiding(&avoid, &[]);
            Plan::new(&self.graph, &mut self.finder, &query, SLACK_PERMILLE)
        });
        let paths = planned
            .map(|plan| {
                plan.routes()
                    .iter()
                    .map(|route| Path {
                        cost: route.cost,
                        hops: route
                            .nodes
                            .iter()
                            .skip(1)
                            .filter_map(|node| self.graph.id(*node).copied())
                            .collect(),
                    })
                    .filter(|path| !path.hops.is_empty())
                    .collect()
            })
            .unwrap_or_default();
        for peer in made {
            self.graph.remove_edge(&self.me, &peer);
        }
        Planned { paths }
    }

    /// The candidates that can be asked, with the cost of the cheapest way to each, the best first.
    pub fn rank(&mut self, candidates: &[Candidate], avoid: &[PeerId]) -> Vec<(PeerId, u64)> {
        let mut ranked = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            if candidate.peer == self.me {
                if let Some(peer) = self.peer(&candidate.peer, 0, candidate)
                    && let Some(cost) = self.weights.host_cost(&peer, candidate.work)
                {
                    ranked.push((candidate.peer, cost));
                }
                continue;
            }
            let planned = self.plan(std::slice::from_ref(candidate), avoid);
            if let Some(best) = planned.paths.iter().map(|path| path.cost).min() {
                ranked.push((candidate.peer, best));
            }
        }
        ranked.sort_by_key(|(peer, cost)| (*cost, *peer));
        ranked
    }

    /// The ways to one worker, the cheapest first; at most a few.
    pub fn paths_to(&mut self, peer: PeerId, avoid: &[PeerId]) -> Vec<Vec<PeerId>> {
        let candidate = Candidate {
            peer,
            fee: 0,
            work: 1,
            capacity: 1,
        };
        let avoid: Vec<PeerId> = avoid.iter().filter(|p| **p != peer).copied().collect();
        let planned = self.plan(&[candidate], &avoid);
        if planned.paths.is_empty() {
            // A host that the chain does not know (yet): straight, or not at all.
            return vec![vec![peer]];
        }
        planned.paths.into_iter().map(|path| path.hops).collect()
    }

    /// Time that the links of a way take there and back, in microseconds; links that were never used count as an
    /// estimate.
    pub fn latency_us(&self, hops: &[PeerId]) -> u64 {
        let mut from = self.me;
        let mut total = 0u64;
        for hop in hops {
            let link = if from == self.me {
                self.own.get(hop).copied()
            } else {
                let stated = self.known.get(&from).map(|k| &k.links);
                stated.and_then(|links| links.iter().find(|(to, _)| to == hop).map(|(_, link)| *link))
            };
            let one_way = link.unwrap_or(UNTRIED).latency_us;
            total = total.saturating_add(u64::from(one_way).saturating_mul(2));
            from = *hop;
        }
        total
    }

    /// How many workers are known, this one included, and how many links.
    pub fn size(&self) -> (usize, usize) {
        (self.graph.len(), self.graph.edge_count())
    }

    fn peer(&self, id: &PeerId, load_ppm: u32, candidate: &Candidate) -> Option<Peer> {
        let credit = self.credit.get(id)?;
        Some(Peer {
            reputation_ppm: credit.reputation_ppm,
            stake: credit.stake,
            // A nominal billion multiply-accumulates a second for each answer that it computes at a time: what a host
            // really needs shows in its load.
            capacity: u64::from(candidate.capacity).saturating_mul(1_000),
            load_ppm,
            price: u64::try_from(candidate.fee / 1_000_000).unwrap_or(u64::MAX),
        })
    }

    /// Brings a node's willingness and cost to relay up to date.
    fn refresh_node(&mut self, peer: PeerId) {
        if peer == self.me {
            return;
        }
        let known = self.known.get(&peer);
        let relay = known.filter(|k| k.relays).and_then(|k| {
            let credit = self.credit.get(&peer)?;
            self.weights.relay_cost(&Peer {
                reputation_ppm: credit.reputation_ppm,
                stake: credit.stake,
                capacity: 1,
                load_ppm: k.load_ppm,
                price: 0,
            })
        });
        let _ = self.graph.set_node(peer, relay);
    }
}

/// The ways to go for one request, in the order in which to try them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    pub paths: Vec<Path>,
}

/// One way to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// See [`llmesh_routing::metric`].
    pub cost: u64,
    /// The hops after this worker; the host last.
    pub hops: Vec<PeerId>,
}

impl Path {
    /// The host at the end.
    pub fn host(&self) -> Option<PeerId> {
        self.hops.last().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credit(peers: &[PeerId]) -> HashMap<PeerId, Credit> {
        peers
            .iter()
            .map(|p| {
                let credit = Credit {
                    stake: 2_000,
                    reputation_ppm: 990_000,
                };
                (*p, credit)
            })
            .collect()
    }

    fn link(ms: u32) -> Link {
        Link {
            latency_us: ms * 1_000,
            loss_ppm: 0,
        }
    }

    fn statement(sequence: u64, links: &[(PeerId, u32)]) -> Statement {
        Statement {
            version: 1,
            sequence,
            relays: true,
            load_ppm: 0,
            links: links
                .iter()
                .map(|(to, ms)| StatedLink {
                    to: to.to_bytes(),
                    rtt_us: ms * 2_000,
                    loss_ppm: 0,
                })
                .collect(),
        }
    }

    fn candidate(peer: PeerId) -> Candidate {
        Candidate {
            peer,
            fee: 1_000_000_000,
            work: 10,
            capacity: 1,
        }
    }

    fn hops(planned: &Planned) -> Vec<Vec<PeerId>> {
        planned.paths.iter().map(|p| p.hops.clone()).collect()
    }

    #[test]
    fn a_measured_way_round_beats_a_connection_that_is_not_made() {
        let [me, relay, host] = [(); 3].map(|()| PeerId::random());
        let now = Instant::now();
        let mut topology = Topology::new(me);
        topology.set_credit(credit(&[me, relay, host]));
        topology.set_own_links([(relay, link(1))]);
        topology.merge(relay, &statement(1, &[(host, 2)]), now).unwrap();
        let planned = topology.plan(&[candidate(host)], &[]);
        assert_eq!(hops(&planned), [vec![relay, host], vec![host]]);
        // The edge to try was for this plan alone.
        assert_eq!(topology.statement(1, true, 0).links.len(), 1);
        // Without the relay only the direct way is left.
        assert_eq!(hops(&topology.plan(&[candidate(host)], &[relay])), [vec![host]]);
        topology.expire(now + LIFETIME + Duration::from_secs(1));
        assert_eq!(hops(&topology.plan(&[candidate(host)], &[])), [vec![host]]);
    }

    #[test]
    fn who_has_no_standing_neither_relays_nor_serves() {
        let [me, relay, host] = [(); 3].map(|()| PeerId::random());
        let mut topology = Topology::new(me);
        topology.set_credit(credit(&[host]));
        topology.set_own_links([(relay, link(1))]);
        topology
            .merge(relay, &statement(1, &[(host, 1)]), Instant::now())
            .unwrap();
        assert_eq!(hops(&topology.plan(&[candidate(host)], &[])), [vec![host]]);
        topology.set_credit(HashMap::new());
        assert_eq!(topology.plan(&[candidate(host)], &[]), Planned::default());
    }

    #[test]
    fn statements_are_checked() {
        let [me, author, other] = [(); 3].map(|()| PeerId::random());
        let mut topology = Topology::new(me);
        let now = Instant::now();
        let good = statement(5, &[(other, 1)]);
        assert_eq!(topology.merge(author, &good, now), Ok(()));
        assert_eq!(topology.merge(author, &good, now), Err(StatementError::Stale));
        assert_eq!(
            topology.merge(me, &statement(9, &[]), now),
            Err(StatementError::Stale)
        );
        for bad in [
            statement(6, &[(author, 1)]),
            statement(6, &[(other, 1), (other, 2)]),
            statement(6, &vec![(other, 1); MAX_LINKS + 1]),
        ] {
            assert_eq!(topology.merge(author, &bad, now), Err(StatementError::BadLinks));
        }
        assert_eq!(Statement::read(&good.encode()), Ok(good.clone()));
        assert_eq!(
            Statement::read(&vec![1; MAX_STATEMENT + 1]),
            Err(StatementError::TooLong)
        );
        assert_eq!(Statement::read(&[]), Err(StatementError::UnknownVersion));
        assert_eq!(Statement::read(&[2, 0]), Err(StatementError::UnknownVersion));
        assert_eq!(Statement::read(&[1, 0]), Err(StatementError::Malformed));
        let mut long = good.encode();
        long.push(0);
        assert_eq!(Statement::read(&long), Err(StatementError::Malformed));
    }

    #[test]
    fn a_link_that_is_gone_is_no_longer_used() {
        let [me, relay, host] = [(); 3].map(|()| PeerId::random());
        let now = Instant::now();
        let mut topology = Topology::new(me);
        topology.set_credit(credit(&[relay, host]));
        topology.set_own_links([(relay, link(1)), (host, link(9))]);
        topology.merge(relay, &statement(1, &[(host, 1)]), now).unwrap();
        assert_eq!(
            hops(&topology.plan(&[candidate(host)], &[])),
            [vec![relay, host], vec![host]]
        );
        topology.merge(relay, &statement(2, &[]), now).unwrap();
        assert_eq!(hops(&topology.plan(&[candidate(host)], &[])), [vec![host]]);
        topology.set_own_links([]);
        assert_eq!(topology.size().1, 0);
    }
}
