//! Seeded meshes of any size, for tests and benches.
#![allow(dead_code)]

use std::collections::HashMap;

use llmesh_routing::{
    Graph, Host, Node,
    metric::{Link, Peer, Weights},
};

/// SplitMix64 (Steele, Lea, Flood, 2014): the same numbers everywhere.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}

/// What a seeded mesh looks like. All have eight neighbours a node on average, and links that cost something
/// else in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Neighbours anywhere, latency by chance: a plain overlay network.
    Random,
    /// Nodes on a plane, most neighbours near, one of four anywhere, latency by distance: regional clusters.
    Regional,
    /// Nodes on a plane, neighbours near only, latency by distance: many hops.
    Local,
}

/// A mesh with its costs, and a list of them to hand to other programs.
pub struct Mesh {
    pub graph: Graph<u32>,
    pub relays: Vec<Option<u64>>,
    pub edges: Vec<(u32, u32, u64)>,
    pub serving: Vec<u64>,
}

const SIDE: u64 = 10_000;

impl Mesh {
    /// `size` nodes with ids from 0; one in five does not relay.
    pub fn new(shape: Shape, size: u32, seed: u64) -> Self {
        let mut chance = Chance(seed);
        let places: Vec<(u64, u64)> = (0..size)
            .map(|_| (chance.below(SIDE), chance.below(SIDE)))
            .collect();
        let near = Near::new(&places);
        let mut links = HashMap::new();
        for a in 0..size {
            let mut neighbours = match shape {
                Shape::Random => Vec::new(),
                Shape::Regional => near.of(&places, a, 3),
                Shape::Local => near.of(&places, a, 5),
            };
            while neighbours.len() < 4 {
                neighbours.push(chance.below(u64::from(size)) as u32);
            }
            for b in neighbours {
                if a != b {
                    links.entry((a.min(b), a.max(b))).or_insert(());
                }
            }
        }
        let mut links: Vec<(u32, u32)> = links.into_keys().collect();
        links.sort_unstable();

        let weights = Weights::default();
        let mut edges = Vec::new();
        for (a, b) in links {
            let latency = match shape {
                Shape::Random => 500 + chance.below(80_000),
                Shape::Regional | Shape::Local => 200 + distance(places[a as usize], places[b as usize]) * 8,
            };
            for (from, to) in [(a, b), (b, a)] {
                let latency_us = (latency + chance.below(latency / 4 + 1)) as u32;
                let loss_ppm = chance.below(20_000) as u32;
                edges.push((from, to, weights.link_cost(Link { latency_us, loss_ppm })));
            }
        }
        let peers: Vec<Peer> = (0..size).map(|_| peer(&mut chance)).collect();
        let relays: Vec<Option<u64>> = peers
            .iter()
            .map(|peer| weights.relay_cost(peer).filter(|_| chance.below(5) > 0))
            .collect();
        let serving = peers
            .iter()
            .map(|peer| weights.host_cost(peer, 2_000).expect("it has capacity"))
            .collect();

        let mut graph = Graph::with_capacity(size as usize, edges.len());
        for id in 0..size {
            graph.set_node(id, relays[id as usize]).expect("there is room");
        }
        for &(from, to, cost) in &edges {
            graph.set_edge(&from, &to, cost).expect("both ends are there");
        }
        graph.compact();
        Self {
            graph,
            relays,
            edges,
            serving,
        }
    }

    /// A node by chance, one that relays.
    pub fn relay(&self, chance: &mut Chance) -> u32 {
        loop {
            let id = chance.below(self.relays.len() as u64) as u32;
            if self.relays[id as usize].is_some() {
                return id;
            }
        }
    }

    /// So many different nodes by chance, none of them `from`, with what serving costs there.
    pub fn hosts(&self, chance: &mut Chance, from: u32, count: usize) -> Vec<(u32, u64)> {
        let mut hosts: Vec<(u32, u64)> = Vec::new();
        while hosts.len() < count {
            let id = chance.below(self.serving.len() as u64) as u32;
            if id != from && hosts.iter().all(|host| host.0 != id) {
                hosts.push((id, self.serving[id as usize]));
            }
        }
        hosts
    }

    pub fn node(&self, id: u32) -> Node {
        self.graph.node(&id).expect("it is in the graph")
    }

    pub fn as_hosts(&self, hosts: &[(u32, u64)]) -> Vec<Host> {
        hosts
            .iter()
            .map(|&(id, cost)| Host {
                node: self.node(id),
                cost,
            })
            .collect()
    }
}

fn peer(chance: &mut Chance) -> Peer {
    Peer {
        reputation_ppm: 950_000 + chance.below(50_000) as u32,
        stake: 1_000 + chance.below(20_000),
        capacity: 50_000 + chance.below(1_000_000),
        load_ppm: chance.below(900_000) as u32,
        price: chance.below(5_000),
    }
}

fn distance(a: (u64, u64), b: (u64, u64)) -> u64 {
    (a.0.abs_diff(b.0).pow(2) + a.1.abs_diff(b.1).pow(2)).isqrt()
}

/// Nodes by cell of the plane.
struct Near {
    cells: Vec<Vec<u32>>,
    across: u64,
}

impl Near {
    fn new(places: &[(u64, u64)]) -> Self {
        let across = (places.len() as u64 / 4).isqrt().max(1);
        let mut near = Self {
            cells: vec![Vec::new(); (across * across) as usize],
            across,
        };
        for (place, id) in places.iter().zip(0..) {
            let (x, y) = near.cell(*place);
            near.cells[(y * across + x) as usize].push(id);
        }
        near
    }

    fn cell(&self, place: (u64, u64)) -> (u64, u64) {
        (place.0 * self.across / SIDE, place.1 * self.across / SIDE)
    }

    /// The nearest `count` nodes of the cells around.
    fn of(&self, places: &[(u64, u64)], id: u32, count: usize) -> Vec<u32> {
        let place = places[id as usize];
        let (x, y) = self.cell(place);
        let mut found = Vec::new();
        for cell_y in y.saturating_sub(1)..=(y + 1).min(self.across - 1) {
            for cell_x in x.saturating_sub(1)..=(x + 1).min(self.across - 1) {
                found.extend(&self.cells[(cell_y * self.across + cell_x) as usize]);
            }
        }
        found.retain(|&other| other != id);
        found.sort_unstable_by_key(|&other| (distance(place, places[other as usize]), other));
        found.truncate(count);
        found
    }
}
