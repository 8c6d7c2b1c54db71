//! A binary Merkle sum tree over any number of leaves, BLAKE2b-256.
//!
//! A leaf is 32 bytes (the hash of a receipt) and a value in planck (its fee). Laid end to end, the values of the leaves
//! tile `0..total`; a proof shows which part of it a leaf covers, so that whoever draws a point of the total gets the
//! one leaf that it falls into, each in proportion to its value.
//!
//! The shape is the one of RFC 6962 (certificate transparency), section 2.1: a tree of `n` leaves has the largest power
//! of two below `n` on its left. Put otherwise: each level pairs its nodes from the left, and an odd one out moves up
//! as it is. Three hashes, each with a domain of its own, so that a node can not be passed off as a leaf (second
//! preimage) or a subtree as a tree. Integers are little-endian:
//!
//! ```text
//! leaf = blake2_256(0x00 ++ "llmesh/sum-tree/v1" ++ leaf (32 bytes) ++ value (u128))
//! node = blake2_256(0x01 ++ "llmesh/sum-tree/v1" ++ left ++ sum of left (u128) ++ right ++ sum of right (u128))
//! root = blake2_256(0x02 ++ "llmesh/sum-tree/v1" ++ number of leaves (u32) ++ top ++ sum of top (u128))
//! ```
//!
//! `top` is the one node at the top, or 32 zero bytes with the sum 0 when there are no leaves. A node covers the sums of
//! both its children and not only theirs together: with the total alone a host could state other parts to each
//! challenger. A sum of two children that overflows makes no node. The root covers the number of leaves: in the tree of
//! RFC 6962 itself a proof for leaf 2 of 3 also verifies as one for leaf 1 of 2. With the number fixed, the path of each
//! index is its own, and what is on the left of the path fixes the range: one index has one leaf and one range under one
//! root, even when its maker lied about sums. A part that a lie covers has no proof at all, which counts as withheld.
//!
//! The proof for one of `n` leaves is at most `5 + 48 * ceil(log2 n)` bytes: 485 bytes for 1,000 leaves, 821 for
//! 100,000.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::ops::Range;
use llmesh_primitives::Work;
use scale_info::TypeInfo;
use sp_core::{ConstU32, H256, bounded::BoundedVec};
use sp_runtime::traits::{BlakeTwo256, Hash};

/// Keeps these hashes apart from every other hash.
pub const DOMAIN: &[u8; 18] = b"llmesh/sum-tree/v1";
/// Most leaves of a tree.
pub const MAX_LEAVES: u32 = u32::MAX;
/// Most siblings in a proof.
pub const MAX_DEPTH: u32 = 32;
/// The leaf of a sequence number without a receipt.
pub const GAP: (H256, u128) = (H256::zero(), 0);

/// A hash of the tree and the sum of the values under it.
type Node = (H256, u128);

fn leaf_node(leaf: H256, value: u128) -> Node {
    (BlakeTwo256::hash_of(&(0u8, DOMAIN, leaf, value)), value)
}

/// `None` when the sum overflows.
fn checked_node(left: Node, right: Node) -> Option<Node> {
    let sum = left.1.checked_add(right.1)?;
    Some((BlakeTwo256::hash_of(&(1u8, DOMAIN, left, right)), sum))
}

/// For nodes whose values are known to have a sum.
fn node(left: Node, right: Node) -> Node {
    checked_node(left, right).unwrap_or_default()
}

fn root_hash(count: u32, top: Node) -> H256 {
    BlakeTwo256::hash_of(&(2u8, DOMAIN, count, top))
}

fn work(count: u32, top: Node) -> Work {
    Work {
        root: root_hash(count, top),
        leaves: count,
        value: top.1,
    }
}

/// Why a leaf can not be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeError {
    /// There can be no more leaves than [`MAX_LEAVES`].
    TooManyLeaves,
    /// The values would add up to 2^128 or more.
    Overflow,
}

impl core::fmt::Display for TreeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooManyLeaves => write!(f, "a tree has at most {MAX_LEAVES} leaves"),
            Self::Overflow => f.write_str("the sum of the values has more than 128 bits"),
        }
    }
}

impl core::error::Error for TreeError {}

/// Computes a root leaf by leaf, with at most 32 nodes in memory. Its state can be stored and taken up again: at most
/// 1,541 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode)]
pub struct Builder {
    count: u32,
    /// The tops of the full subtrees so far, the largest first: one for each bit that is set in `count`. Their sums
    /// have a sum.
    tops: BoundedVec<Node, ConstU32<MAX_DEPTH>>,
}

impl Decode for Builder {
    fn decode<I: codec::Input>(input: &mut I) -> Result<Self, codec::Error> {
        let builder = Self {
            count: Decode::decode(input)?,
            tops: Decode::decode(input)?,
        };
        if builder.tops.len() != builder.count.count_ones() as usize {
            return Err("the number of subtrees does not fit the number of leaves".into());
        }
        builder
            .tops
            .iter()
            .try_fold(0u128, |sum, top| sum.checked_add(top.1))
            .ok_or("the sum of the subtrees has more than 128 bits")?;
        Ok(builder)
    }
}

impl Builder {
    /// No leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves so far.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Sum of the values so far.
    pub fn value(&self) -> u128 {
        self.tops.iter().fold(0, |sum, top| sum.saturating_add(top.1))
    }

    /// Adds a leaf and returns its index.
    ///
    /// # Errors
    /// [`TreeError`]; the builder is as it was.
    pub fn push(&mut self, leaf: H256, value: u128) -> Result<u32, TreeError> {
        let count = self.count.checked_add(1).ok_or(TreeError::TooManyLeaves)?;
        self.value().checked_add(value).ok_or(TreeError::Overflow)?;
        // As in adding 1 to a binary number: each trailing 1 is a full subtree that this leaf completes.
        let mut top = leaf_node(leaf, value);
        for _ in 0..self.count.trailing_ones() {
            if let Some(left) = self.tops.pop() {
                top = node(left, top);
            }
        }
        self.tops.try_push(top).map_err(|_| TreeError::TooManyLeaves)?;
        Ok(core::mem::replace(&mut self.count, count))
    }

    /// The root over all leaves so far.
    pub fn root(&self) -> H256 {
        self.work().root
    }

    /// Root, number and sum of all leaves so far.
    pub fn work(&self) -> Work {
        let top = self
            .tops
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node(left, right))
            .unwrap_or_default();
        work(self.count, top)
    }
}

/// A whole tree in memory, twice 48 bytes a leaf, for many proofs of it.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The nodes of the leaves, of the pairs above, ..., up to the top alone.
    levels: Vec<Vec<Node>>,
    count: u32,
}

impl Tree {
    /// The tree over these leaves and their values.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn new(leaves: Vec<(H256, u128)>) -> Result<Self, TreeError> {
        let count = u32::try_from(leaves.len()).map_err(|_| TreeError::TooManyLeaves)?;
        leaves
            .iter()
            .try_fold(0u128, |sum, (_, value)| sum.checked_add(*value))
            .ok_or(TreeError::Overflow)?;
        let mut levels = Vec::new();
        let mut level: Vec<Node> = leaves
            .into_iter()
            .map(|(leaf, value)| leaf_node(leaf, value))
            .collect();
        while level.len() > 1 {
            let above = level
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => node(*left, *right),
                    odd => odd.first().copied().unwrap_or_default(),
                })
                .collect();
            levels.push(core::mem::replace(&mut level, above));
        }
        levels.push(level);
        Ok(Self { levels, count })
    }

    /// Number of leaves.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Sum of the values.
    pub fn value(&self) -> u128 {
        self.top().1
    }

    /// The root.
    pub fn root(&self) -> H256 {
        self.work().root
    }

    /// Root, number and sum of the leaves.
    pub fn work(&self) -> Work {
        work(self.count, self.top())
    }

    fn top(&self) -> Node {
        let top = self.levels.last().and_then(|level| level.first());
        top.copied().unwrap_or_default()
    }

    /// The proof for the leaf at `index`; `None` when there is none.
    pub fn proof(&self, index: u32) -> Option<Proof> {
        if index >= self.count {
            return None;
        }
        let mut proof = Proof {
            index,
            siblings: BoundedVec::new(),
        };
        let mut at = index as usize;
        for level in &self.levels {
            if let Some(sibling) = level.get(at ^ 1) {
                proof.siblings.try_push(*sibling).ok()?;
            }
            at >>= 1;
        }
        Some(proof)
    }

    /// Index of the leaf that `point` falls into; `None` when it is not below the sum of all values.
    ///
    /// Logarithmic in the number of leaves. A leaf of value 0 is never found.
    pub fn locate(&self, point: u128) -> Option<u32> {
        if point >= self.value() {
            return None;
        }
        let mut rest = point;
        let mut at = 0usize;
        for level in self.levels.iter().rev().skip(1) {
            at = at.checked_mul(2)?;
            let left = level.get(at)?.1;
            if let Some(beyond) = rest.checked_sub(left) {
                rest = beyond;
                at = at.checked_add(1)?;
            }
        }
        u32::try_from(at).ok()
    }
}

/// Shows that a leaf is at an index of a tree, and which part of the total it covers, to whoever knows the tree's
/// [`Work`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Proof {
    /// Position of the leaf, from 0.
    pub index: u32,
    /// What the path from the leaf up is paired with, in this order: hash and sum.
    pub siblings: BoundedVec<(H256, u128), ConstU32<MAX_DEPTH>>,
}

impl Proof {
    /// The values that `leaf` covers when it is at this index, with this value, in the tree that `work` describes;
    /// `None` when the proof does not show that. The range is empty for a leaf of value 0.
    pub fn verify(&self, work: &Work, leaf: H256, value: u128) -> Option<Range<u128>> {
        let mut at = self.index;
        let mut last = work.leaves.checked_sub(1)?;
        if at > last {
            return None;
        }
        let mut siblings = self.siblings.iter().copied();
        let mut top = leaf_node(leaf, value);
        let mut from = 0u128;
        while last > 0 {
            if at & 1 == 1 {
                let left = siblings.next()?;
                from = from.checked_add(left.1)?;
                top = checked_node(left, top)?;
            } else if at < last {
                top = checked_node(top, siblings.next()?)?;
            }
            at >>= 1;
            last >>= 1;
        }
        let holds =
            siblings.next().is_none() && top.1 == work.value && root_hash(work.leaves, top) == work.root;
        let to = from.checked_add(value)?;
        holds.then_some(from..to)
    }

    /// Decodes a proof that fills `bytes` exactly.
    ///
    /// # Errors
    /// [`crate::ProofError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, crate::ProofError> {
        crate::decode_bounded(bytes)
    }
}
