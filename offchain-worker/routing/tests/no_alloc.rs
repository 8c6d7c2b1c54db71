//! A finder that is warm allocates nothing.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use llmesh_routing::{Finder, Query};
use support::{Chance, Mesh, Shape};

mod support;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_warm_finder_allocates_nothing() {
    for shape in [Shape::Random, Shape::Regional, Shape::Local] {
        let mesh = Mesh::new(shape, 2_000, 7);
        let mut chance = Chance(8);
        let queries: Vec<_> = (0..50)
            .map(|_| {
                let from = mesh.relay(&mut chance);
                (mesh.node(from), mesh.as_hosts(&mesh.hosts(&mut chance, from, 4)))
            })
            .collect();
        let mut finder = Finder::new();
        let mut ask = || {
            let cost = |route: llmesh_routing::RouteRef<'_>| route.cost;
            queries
                .iter()
                .map(|(from, hosts)| {
                    finder
                        .routes(&mesh.graph, &Query::new(*from, hosts, 3))
                        .iter()
                        .map(cost)
                        .sum::<u64>()
                })
                .sum::<u64>()
        };
        let first = ask();
        let before = ALLOCATIONS.get();
        let second = ask();
        assert_eq!(ALLOCATIONS.get() - before, 0, "{shape:?}");
        assert_eq!(first, second);
    }
}
