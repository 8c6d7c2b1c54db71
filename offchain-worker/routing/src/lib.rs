//! Routing of the mesh: graph in, paths out. No network, no clock (time is a parameter), no chance.
//!
//! - [`metric`] makes one cost out of what is known of a link or a node: latency, loss, reputation, stake,
//!   compute power, load and price.
//! - [`Graph`] holds those costs and takes changes one by one.
//! - [`Finder`] answers "how do I get from here to any host of this model": the cheapest path, or the K
//!   cheapest.
//! - [`Plan`] keeps the answer for one request, decides what is tried next when a hop fails, and refills
//!   itself.
//! - [`Balancer`] spreads requests over hosts that are equally good, by their capacity.
//! - [`Queue`] decides which request a host takes next, and which it refuses at once, and why.
//!
//! Everything is integer arithmetic, and ties are broken by the callers' ids. So two nodes that know the same
//! take the same decisions, on every machine, in whatever order they came to know it.
//!
//! ```
//! use llmesh_routing::{Finder, Graph, Host, Query};
//!
//! let mut graph = Graph::new();
//! for (id, relay) in [("me", None), ("relay", Some(50)), ("host", None)] {
//!     graph.set_node(id, relay)?;
//! }
//! graph.set_edge(&"me", &"relay", 1_000)?;
//! graph.set_edge(&"relay", &"host", 2_000)?;
//! graph.set_edge(&"me", &"host", 9_000)?;
//!
//! let (me, host) = (graph.node(&"me").unwrap(), graph.node(&"host").unwrap());
//! let mut finder = Finder::new();
//! let found = finder.routes(&graph, &Query::new(me, &[Host { node: host, cost: 300 }], 3));
//! let costs: Vec<u64> = found.iter().map(|route| route.cost).collect();
//! assert_eq!(costs, [1_000 + 50 + 2_000 + 300, 9_000 + 300]);
//! # Ok::<(), llmesh_routing::GraphError>(())
//! ```

mod adjacency;
mod balance;
mod failover;
mod graph;
mod heap;
pub mod metric;
mod paths;
mod queue;

pub use balance::Balancer;
pub use failover::{Failure, Plan, order};
pub use graph::{Graph, GraphError, MAX_COST, NODE_LIMIT, Node};
pub use paths::{Finder, Found, Host, Query, Route, RouteRef, Tree, TreeHop};
pub use queue::{Class, Queue, QueueConfig, Refusal, Request, Taken, Ticket};
