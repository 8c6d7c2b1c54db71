//! How long routing takes on seeded meshes of 10,000 nodes, alone and against igraph and networkx.
//!
//! `cargo bench -p llmesh-routing -- [--queries N] [--reference-queries N] [--alone]`
//!
//! Every number is of single queries; nothing is kept from one query to the next. Against the libraries every
//! query is put to all three in turn (ours, igraph, networkx), costs are compared, and a ratio is one of
//! medians. The libraries' times are taken inside their process around the one call that finds the paths.
//! While they work, they and whatever else runs take the caches; so ours is timed twice: cold, and after ten
//! other queries, as in a node that is in use. The libraries take long enough for that to make no difference
//! to them.

#[path = "../tests/support/reference.rs"]
mod reference;
#[path = "../tests/support/mod.rs"]
mod support;

use std::{env, hint::black_box, process::ExitCode, time::Instant};

use llmesh_routing::{Failure, Finder, Host, Node, Plan, Query, Tree};
use reference::Reference;
use support::{Chance, Mesh, Shape};

const NODES: u32 = 10_000;
const K: usize = 3;
const SHAPES: [(Shape, u64); 3] = [(Shape::Random, 11), (Shape::Regional, 12), (Shape::Local, 13)];

struct Options {
    queries: usize,
    reference_queries: usize,
    alone: bool,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        queries: 2_000,
        reference_queries: 20,
        alone: false,
    };
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments
                .next()
                .and_then(|value| value.parse().ok())
                .filter(|value| *value > 0);
            value.ok_or_else(|| format!("{argument} needs a number above 0"))
        };
        match argument.as_str() {
            "--queries" => options.queries = number()?,
            "--reference-queries" => options.reference_queries = number()?,
            "--alone" => options.alone = true,
            // What cargo itself passes on.
            "--bench" => {}
            _ => return Err(format!("unknown option {argument}")),
        }
    }
    Ok(options)
}

/// Nanoseconds, smallest first.
struct Times(Vec<u64>);

impl Times {
    fn new(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    fn at(&self, percent: usize) -> u64 {
        self.0
            .get((self.0.len() * percent / 100).min(self.0.len() - 1))
            .copied()
            .unwrap_or(0)
    }

    fn print(&self, what: &str) {
        println!(
            "  {what:<52} p50 {:>9.1} us   p95 {:>9.1} us   max {:>9.1} us",
            self.at(50) as f64 / 1e3,
            self.at(95) as f64 / 1e3,
            self.at(100) as f64 / 1e3
        );
    }
}

fn time<T>(run: impl FnOnce() -> T) -> (T, u64) {
    let start = Instant::now();
    let result = black_box(run());
    (result, start.elapsed().as_nanos() as u64)
}

fn questions(mesh: &Mesh, hosts: usize, count: usize) -> Vec<(Node, Vec<Host>)> {
    let mut chance = Chance(hosts as u64);
    (0..count)
        .map(|_| {
            let from = mesh.relay(&mut chance);
            (
                mesh.node(from),
                mesh.as_hosts(&mesh.hosts(&mut chance, from, hosts)),
            )
        })
        .collect()
}

fn alone(mesh: &mut Mesh, queries: usize) {
    let mut finder = Finder::new();
    for (hosts, k) in [(1, K), (8, K), (64, K), (1, 1), (1, 16)] {
        let questions = questions(mesh, hosts, queries);
        let mut ask = |(from, hosts): &(Node, Vec<Host>)| {
            time(|| finder.routes(&mesh.graph, &Query::new(*from, hosts, k)).len()).1
        };
        for question in questions.iter().take(queries / 10) {
            ask(question);
        }
        let times = questions.iter().map(ask).collect();
        Times::new(times).print(&format!("K = {k}, {hosts} host(s)"));
    }
    let (_, hosts) = questions(mesh, 8, 1).remove(0);
    let mut tree = Tree::new();
    let times = (0..50)
        .map(|_| time(|| tree.fill(&mesh.graph, &hosts)).1)
        .collect();
    Times::new(times).print("tree to the nearest of 8 hosts from every node");
    reroute(mesh, &mut finder, queries);
}

/// A relay in the middle of the path in use fails: out of the plan, out of the graph, and the plan filled up
/// again.
fn reroute(mesh: &mut Mesh, finder: &mut Finder, queries: usize) {
    let (mut made, mut next, mut removed, mut repaired) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut without_next = 0;
    for (from, hosts) in questions(mesh, 8, queries) {
        let (mut plan, took) = time(|| Plan::new(&mesh.graph, finder, &Query::new(from, &hosts, K), 20));
        made.push(took);
        let Some(path) = plan.current().filter(|path| path.nodes.len() > 2) else {
            continue;
        };
        let gone = path.nodes[path.nodes.len() / 2];
        let (found, took) = time(|| plan.fail(Failure::Node(gone)).is_some());
        next.push(took);
        without_next += usize::from(!found);
        let id = *mesh.graph.id(gone).expect("it is on a path");
        removed.push(time(|| mesh.graph.remove_node(&id)).1);
        repaired.push(time(|| plan.repair(&mesh.graph, finder).is_some()).1);
        mesh.graph
            .set_node(id, mesh.relays[id as usize])
            .expect("there is room");
        for &(tail, head, cost) in mesh.edges.iter().filter(|edge| edge.0 == id || edge.1 == id) {
            mesh.graph
                .set_edge(&tail, &head, cost)
                .expect("both ends are there");
        }
    }
    Times::new(made).print("plan: K = 3, 8 hosts, ways around what is shared");
    let next = Times::new(next);
    next.print("re-route after a relay failed: the next path");
    Times::new(removed).print("  the relay out of the graph");
    Times::new(repaired).print("  the plan searched anew");
    println!(
        "  of {} failures {without_next} left no path at hand",
        next.0.len()
    );
}

/// Returns whether all costs agree.
fn against(mesh: &Mesh, reference: &mut Reference, queries: usize) -> bool {
    let toll = |id: u32| mesh.relays[id as usize];
    let arcs: Vec<_> = mesh
        .edges
        .iter()
        .filter_map(|&(tail, head, cost)| Some((tail, head, cost + toll(tail)?)))
        .collect();
    reference.graph(NODES as usize, &arcs);
    let mut finder = Finder::new();
    let others = questions(mesh, 1, 10);
    let mut agree = true;
    for count in [1, 8] {
        let mut chance = Chance(count as u64 + 100);
        let mut times = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        for query in 0..queries + 2 {
            let from = mesh.relay(&mut chance);
            let hosts = mesh.hosts(&mut chance, from, count);
            let known = mesh.as_hosts(&hosts);
            let from_toll = toll(from).expect("it relays");
            let query_ours = Query::new(mesh.node(from), &known, K);
            let mut ask = |query: &Query<'_>| {
                time(|| {
                    let found = finder.routes(&mesh.graph, query);
                    [0, 1, 2].map(|rank| found.get(rank).map(|route| route.cost))
                })
            };
            let (_, cold) = ask(&query_ours);
            for (from, hosts) in &others {
                ask(&Query::new(*from, hosts, K));
            }
            let (ours, warm) = ask(&query_ours);
            let mut all = [warm, cold, 0, 0];
            let ours: Vec<u64> = ours.into_iter().flatten().map(|cost| cost + from_toll).collect();
            for (at, engine) in [(2, "igraph"), (3, "networkx")] {
                let theirs = reference.routes(engine, from, &hosts, K);
                all[at] = theirs.took_ns;
                if theirs.costs != ours {
                    println!(
                        "  MISMATCH with {engine}: {from} to {hosts:?}: {ours:?}, theirs {:?}",
                        theirs.costs
                    );
                    agree = false;
                }
            }
            // Two queries to warm up.
            if query >= 2 {
                times
                    .iter_mut()
                    .zip(all)
                    .for_each(|(times, took)| times.push(took));
            }
        }
        let [warm, cold, igraph, networkx] = times.map(Times::new);
        let names = [
            (&warm, "ours"),
            (&cold, "ours, cold"),
            (&igraph, "igraph"),
            (&networkx, "networkx"),
        ];
        for (times, name) in names {
            times.print(&format!("in turn, K = {K}, {count} host(s): {name}"));
        }
        let ratio = |theirs: &Times, ours: &Times| theirs.at(50) as f64 / ours.at(50) as f64;
        println!(
            "  p50 against igraph {:.0} x (cold {:.0} x), against networkx {:.0} x (cold {:.0} x)",
            ratio(&igraph, &warm),
            ratio(&igraph, &cold),
            ratio(&networkx, &warm),
            ratio(&networkx, &cold)
        );
    }
    agree
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let mut reference = if options.alone {
        Err("--alone".into())
    } else {
        Reference::start()
    };
    match &mut reference {
        Ok(reference) => println!("compared with {}", reference.versions()),
        Err(why) => println!("not compared: {why}"),
    }
    let mut agree = true;
    for (shape, seed) in SHAPES {
        let mut mesh = Mesh::new(shape, NODES, seed);
        let degree = mesh.edges.len() as f64 / f64::from(NODES);
        println!(
            "{shape:?}: {NODES} nodes, {} edges ({degree:.1} a node), seed {seed}",
            mesh.edges.len()
        );
        alone(&mut mesh, options.queries);
        if let Ok(reference) = &mut reference {
            agree &= against(&mesh, reference, options.reference_queries);
        }
    }
    match (reference, agree) {
        (Ok(_), true) => println!("no cost mismatch"),
        (Ok(_), false) => return ExitCode::FAILURE,
        (Err(_), _) => {}
    }
    ExitCode::SUCCESS
}
