//! Packed arcs in one arena: like CSR to read, but every node's block can grow, shrink and move on its own.

/// Bits of a cell that hold the node; the other 40 hold the weight.
const NODE_BITS: u32 = 24;
const NODE_MASK: u64 = (1 << NODE_BITS) - 1;

/// The greatest weight that a cell can hold; as a weight it says "this arc leaves a node that does not
/// relay".
pub(crate) const CLOSED: u64 = (1 << (64 - NODE_BITS)) - 1;

/// Dense ids stay below this.
pub(crate) const MAX_NODES: usize = 1 << 22;

/// One arc as its owner sees it: the node at the other end and the weight, eight bytes together, so that the
/// arcs of a node of usual degree are one cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arc(u64);

impl Arc {
    #[inline]
    pub fn new(node: u32, weight: u64) -> Self {
        debug_assert!(weight <= CLOSED && u64::from(node) <= NODE_MASK);
        Self(weight << NODE_BITS | u64::from(node))
    }

    #[inline]
    pub fn node(self) -> u32 {
        (self.0 & NODE_MASK) as u32
    }

    #[inline]
    pub fn weight(self) -> u64 {
        self.0 >> NODE_BITS
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Block {
    start: u32,
    len: u32,
    room: u32,
}

/// The arcs of one direction. Every arc knows the position of its mirror image in the other direction's
/// block, so that removing it there takes no search. Positions count from the start of a block: moving a
/// block changes none.
#[derive(Debug, Default)]
pub(crate) struct Arcs {
    arcs: Vec<Arc>,
    mirrors: Vec<u32>,
    blocks: Vec<Block>,
    /// Cells that no block owns any more.
    lost: usize,
}

impl Arcs {
    pub fn reserve(&mut self, nodes: usize, arcs: usize) {
        self.blocks.reserve(nodes);
        self.arcs.reserve(arcs);
        self.mirrors.reserve(arcs);
    }

    pub fn add_node(&mut self) {
        self.blocks.push(Block::default());
    }

    #[inline]
    pub fn of(&self, node: u32) -> &[Arc] {
        let block = &self.blocks[node as usize];
        &self.arcs[block.start as usize..][..block.len as usize]
    }

    /// Tells the processor that the arcs of `node` will be read soon. Which node a search takes next is known
    /// a whole node earlier, and waiting for memory is most of what a search does: this saves a sixth of its
    /// time, and more when other programs use the caches.
    #[inline]
    pub fn prefetch(&self, node: u32) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

            let start = self.blocks[node as usize].start as usize;
            let first = self.arcs.as_ptr().wrapping_add(start).cast::<i8>();
            // SAFETY: a prefetch reads nothing, whatever the address, and every x86-64 processor has the
            // instruction.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(first);
                _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(64));
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = node;
    }

    /// The position of the arc between `node` and `other`: O(degree).
    pub fn find(&self, node: u32, other: u32) -> Option<u32> {
        self.of(node)
            .iter()
            .position(|arc| arc.node() == other)
            .map(|at| at as u32)
    }

    pub fn mirror(&self, node: u32, at: u32) -> u32 {
        self.mirrors[self.cell(node, at)]
    }

    pub fn set(&mut self, node: u32, at: u32, weight: u64) {
        let cell = self.cell(node, at);
        self.arcs[cell] = Arc::new(self.arcs[cell].node(), weight);
    }

    pub fn set_mirror(&mut self, node: u32, at: u32, mirror: u32) {
        let cell = self.cell(node, at);
        self.mirrors[cell] = mirror;
    }

    /// Adds an arc and returns its position: O(1), and O(degree) when the block has to move.
    pub fn push(&mut self, node: u32, arc: Arc, mirror: u32) -> u32 {
        let block = self.blocks[node as usize];
        if block.len == block.room {
            self.grow(node);
        }
        let block = &mut self.blocks[node as usize];
        let at = block.len;
        block.len += 1;
        let cell = (block.start + at) as usize;
        self.arcs[cell] = arc;
        self.mirrors[cell] = mirror;
        at
    }

    /// Removes an arc. The block's last arc takes its place: its other end and mirror are returned, so that
    /// the mirror can be told.
    pub fn swap_remove(&mut self, node: u32, at: u32) -> Option<(u32, u32)> {
        let hole = self.cell(node, at);
        let block = &mut self.blocks[node as usize];
        block.len -= 1;
        if block.len == at {
            return None;
        }
        let last = (block.start + block.len) as usize;
        self.arcs[hole] = self.arcs[last];
        self.mirrors[hole] = self.mirrors[last];
        Some((self.arcs[hole].node(), self.mirrors[hole]))
    }

    /// Forgets all arcs of `node` on this side.
    pub fn clear(&mut self, node: u32) {
        self.lost += self.blocks[node as usize].room as usize;
        self.blocks[node as usize] = Block::default();
    }

    /// Lays the blocks out in the order of their nodes, without gaps.
    pub fn compact(&mut self) {
        let live: usize = self.blocks.iter().map(|block| block.len as usize).sum();
        let mut arcs = Vec::with_capacity(live + live / 4);
        let mut mirrors = Vec::with_capacity(live + live / 4);
        for block in &mut self.blocks {
            let cells = block.start as usize..(block.start + block.len) as usize;
            block.start = arcs.len() as u32;
            block.room = block.len;
            arcs.extend_from_slice(&self.arcs[cells.clone()]);
            mirrors.extend_from_slice(&self.mirrors[cells]);
        }
        self.arcs = arcs;
        self.mirrors = mirrors;
        self.lost = 0;
    }

    #[inline]
    fn cell(&self, node: u32, at: u32) -> usize {
        let block = &self.blocks[node as usize];
        debug_assert!(at < block.len);
        (block.start + at) as usize
    }

    fn grow(&mut self, node: u32) {
        // Half of the arena lost: an update in a while pays for all, which keeps the price of one update
        // constant.
        if self.lost > 1024 && self.lost > self.arcs.len() / 2 {
            self.compact();
        }
        let old = self.blocks[node as usize];
        let room = (old.len * 2).max(4);
        let start = self.arcs.len() as u32;
        let cells = old.start as usize..(old.start + old.len) as usize;
        self.arcs.extend_from_within(cells.clone());
        self.mirrors.extend_from_within(cells);
        self.arcs.resize(start as usize + room as usize, Arc(0));
        self.mirrors.resize(start as usize + room as usize, 0);
        self.lost += old.room as usize;
        self.blocks[node as usize] = Block {
            start,
            len: old.len,
            room,
        };
    }
}
