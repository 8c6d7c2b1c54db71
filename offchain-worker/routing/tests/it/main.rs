//! What routing promises, checked on random input against plain and slow ways to the same answers.

mod balance;
mod costs;
mod failover;
mod incremental;
mod k_shortest;
mod networkx;
mod plain;
mod queue;
#[path = "../support/reference.rs"]
mod reference;
#[path = "../support/mod.rs"]
mod support;
