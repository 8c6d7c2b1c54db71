//! The tree against its definition, and against forgeries.

mod support;

use codec::{Decode, Encode, MaxEncodedLen};
use llmesh_primitives::Work;
use llmesh_proofs::merkle::{Builder, DOMAIN, GAP, MAX_LEAVES, Proof, Tree, TreeError};
use proptest::prelude::*;
use sp_core::H256;
use sp_runtime::traits::{BlakeTwo256, Hash};
use support::leaves;

type Leaf = (H256, u128);

fn hash(parts: &[&[u8]]) -> H256 {
    BlakeTwo256::hash(&parts.concat())
}

fn leaf_hash((leaf, value): &Leaf) -> H256 {
    hash(&[&[0], DOMAIN, leaf.as_bytes(), &value.to_le_bytes()])
}

fn node_hash(left: (H256, u128), right: (H256, u128)) -> H256 {
    let [a, b] = [left.1, right.1].map(u128::to_le_bytes);
    hash(&[&[1], DOMAIN, left.0.as_bytes(), &a, right.0.as_bytes(), &b])
}

/// The shape of RFC 6962, section 2.1, word by word: the largest power of two below n goes left.
fn top(leaves: &[Leaf]) -> (H256, u128) {
    match leaves {
        [] => GAP,
        [leaf] => (leaf_hash(leaf), leaf.1),
        _ => {
            let mut k = 1;
            while k * 2 < leaves.len() {
                k *= 2;
            }
            let (left, right) = leaves.split_at(k);
            let (left, right) = (top(left), top(right));
            (node_hash(left, right), left.1 + right.1)
        }
    }
}

fn work_over(leaves: u32, (top, value): (H256, u128)) -> Work {
    let root = hash(&[
        &[2],
        DOMAIN,
        &leaves.to_le_bytes(),
        top.as_bytes(),
        &value.to_le_bytes(),
    ]);
    Work { root, leaves, value }
}

fn work(leaves: &[Leaf]) -> Work {
    work_over(leaves.len() as u32, top(leaves))
}

fn built(leaves: &[Leaf]) -> Builder {
    let mut builder = Builder::new();
    for (i, (leaf, value)) in leaves.iter().enumerate() {
        assert_eq!(builder.push(*leaf, *value), Ok(i as u32));
    }
    builder
}

fn tree(leaves: &[Leaf]) -> Tree {
    Tree::new(leaves.to_vec()).unwrap()
}

#[test]
fn builder_tree_and_definition_agree_and_every_leaf_has_its_proof() {
    for n in 0..=130 {
        let leaves = leaves(n);
        let tree = tree(&leaves);
        let work = work(&leaves);
        assert_eq!(tree.work(), work, "{n}");
        assert_eq!((tree.root(), tree.value()), (work.root, work.value));
        let built = built(&leaves);
        assert_eq!(built.work(), work, "{n}");
        assert_eq!((built.root(), built.value()), (work.root, work.value));
        assert_eq!((built.count() as usize, tree.count() as usize), (n, n));
        let mut end = 0;
        for (i, (leaf, value)) in leaves.iter().enumerate() {
            let proof = tree.proof(i as u32).unwrap();
            // The ranges tile the total.
            assert_eq!(
                proof.verify(&work, *leaf, *value),
                Some(end..end + value),
                "{i} of {n}"
            );
            for point in [end, end + value / 2, end + value.saturating_sub(1)] {
                if *value > 0 {
                    assert_eq!(tree.locate(point), Some(i as u32));
                }
            }
            end += value;
            assert!(proof.siblings.len() <= n.next_power_of_two().ilog2() as usize);
        }
        assert_eq!(end, work.value);
        assert_eq!(tree.locate(end), None);
        assert_eq!(tree.locate(u128::MAX), None);
        assert_eq!(tree.proof(n as u32), None);
    }
}

#[test]
fn a_proof_counts_for_its_index_leaf_value_and_tree_only() {
    for n in [1usize, 2, 3, 5, 7, 8, 12] {
        let leaves = leaves(n);
        let tree = tree(&leaves);
        let work = tree.work();
        for i in 0..n {
            let (leaf, value) = leaves[i];
            let proof = tree.proof(i as u32).unwrap();
            for index in 0..16 {
                for leaves in 0..17 {
                    let moved = Proof {
                        index,
                        ..proof.clone()
                    };
                    let same = index as usize == i && leaves as usize == n;
                    let range = moved.verify(&Work { leaves, ..work }, leaf, value);
                    assert_eq!(range.is_some(), same, "{i}/{n} as {index}/{leaves}");
                }
            }
            for (j, (leaf, value)) in leaves.iter().enumerate() {
                assert_eq!(proof.verify(&work, *leaf, *value).is_some(), i == j);
            }
            for other in [value + 1, value.wrapping_sub(1), 0, u128::MAX] {
                assert_eq!(proof.verify(&work, leaf, other).is_some(), other == value);
            }
            for k in 0..proof.siblings.len() {
                let mut siblings = proof.siblings.clone().into_inner();
                siblings.remove(k);
                let short = Proof {
                    siblings: siblings.try_into().unwrap(),
                    ..proof.clone()
                };
                assert_eq!(short.verify(&work, leaf, value), None);
                // Value moved from one sibling to another, with the total as it was, and to the leaf.
                let mut shifted = proof.clone();
                shifted.siblings[k].1 -= 1;
                assert_eq!(shifted.verify(&work, leaf, value + 1), None);
                if let Some(next) = shifted.siblings.get_mut(k + 1) {
                    next.1 += 1;
                    assert_eq!(shifted.verify(&work, leaf, value), None);
                }
            }
            let mut long = proof.clone();
            long.siblings.try_push(GAP).unwrap();
            assert_eq!(long.verify(&work, leaf, value), None);
            let root = H256::zero();
            assert_eq!(proof.verify(&Work { root, ..work }, leaf, value), None);
            for value_of_work in [work.value + 1, work.value - 1] {
                let other = Work {
                    value: value_of_work,
                    ..work
                };
                assert_eq!(proof.verify(&other, leaf, value), None);
            }
        }
    }
}

/// In the tree of RFC 6962 itself this one goes through: leaf 2 of 3 as leaf 1 of 2.
#[test]
fn a_leaf_can_not_be_moved_by_lying_about_the_count() {
    let leaves = leaves(3);
    let tree = tree(&leaves);
    let moved = Proof {
        index: 1,
        ..tree.proof(2).unwrap()
    };
    assert_eq!(moved.siblings.len(), 1);
    let two = Work {
        leaves: 2,
        ..tree.work()
    };
    assert_eq!(moved.verify(&two, leaves[2].0, leaves[2].1), None);
}

/// A node of the tree as a leaf, a subtree as a tree: neither passes.
#[test]
fn nodes_are_no_leaves_and_subtrees_are_no_trees() {
    let leaves = leaves(4);
    let tree = tree(&leaves);
    let node = top(&leaves[..2]);
    let sibling = tree.proof(0).unwrap().siblings[1];
    for count in [2, 3, 4] {
        let forged = Proof {
            index: 0,
            siblings: vec![sibling].try_into().unwrap(),
        };
        let work = Work {
            leaves: count,
            ..tree.work()
        };
        for pretended in [node.0, leaf_hash(&leaves[0]), leaf_hash(&leaves[1])] {
            assert_eq!(forged.verify(&work, pretended, node.1), None);
        }
    }
    // The same node at the top of a tree of its own: neither its hash nor the root over it is a root of the whole.
    assert_ne!(Tree::new(leaves[..2].to_vec()).unwrap().root(), node.0);
    assert_ne!(
        Tree::new(leaves[..1].to_vec()).unwrap().root(),
        leaf_hash(&leaves[0])
    );
    assert_ne!(work_over(2, node).root, work_over(4, node).root);
    // One leaf whose 48 bytes are those of the first half of a node.
    let single = Tree::new(vec![(node.0, node.1)]).unwrap();
    assert_ne!(single.root(), work_over(1, node).root);
}

/// A host builds a tree whose nodes lie about their sums. Whatever it says, each index keeps one range, and the part
/// that the lie covers has no proof.
#[test]
fn a_lie_about_a_sum_leaves_a_part_without_a_proof() {
    let leaves = leaves(4);
    let [a, b, c, d] = [0, 1, 2, 3].map(|i| (leaf_hash(&leaves[i]), leaves[i].1));
    let left = (node_hash(a, b), a.1 + b.1 + 1_000);
    let right = (node_hash(c, d), c.1 + d.1);
    let lied = work_over(4, (node_hash(left, right), left.1 + right.1));
    let prove = |i: usize, siblings: Vec<Leaf>| {
        Proof {
            index: i as u32,
            siblings: siblings.try_into().unwrap(),
        }
        .verify(&lied, leaves[i].0, leaves[i].1)
    };
    // On the right of the lie: one range each, beyond the false sum.
    assert_eq!(prove(2, vec![d, left]), Some(left.1..left.1 + c.1));
    assert_eq!(prove(3, vec![c, left]), Some(left.1 + c.1..lied.value));
    // With the true sum it is another top.
    assert_eq!(prove(2, vec![d, (left.0, a.1 + b.1)]), None);
    // Under the lie: nothing.
    for extra in [0, 500, 1_000] {
        assert_eq!(prove(0, vec![(b.0, b.1 + extra), right]), None);
        assert_eq!(prove(1, vec![(a.0, a.1 + extra), right]), None);
    }
}

/// The trees that pad with the last leaf can not tell [a, b, c] from [a, b, c, c] (CVE-2012-2459).
#[test]
fn repeated_leaves_make_other_roots() {
    let [a, b, c] = [1, 2, 3].map(|i| (H256([i; 32]), u128::from(i)));
    let lists = [
        vec![],
        vec![a],
        vec![GAP],
        vec![GAP, GAP],
        vec![a, a],
        vec![a, a, a],
        vec![a, b, c],
        vec![a, b, c, c],
        vec![a, b, c, GAP],
        vec![a, b, c, a, b, c],
    ];
    let roots: std::collections::BTreeSet<H256> = lists.iter().map(|l| tree(l).root()).collect();
    assert_eq!(roots.len(), lists.len());
    // A leaf that is there twice has two proofs with a range each: the duplicate can be shown.
    let tree = tree(&[a, b, a]);
    for (i, range) in [(0, 0..1), (2, 3..4)] {
        assert_eq!(tree.proof(i).unwrap().verify(&tree.work(), a.0, a.1), Some(range));
    }
}

/// Gaps cover nothing: no point falls into one.
#[test]
fn leaves_of_value_0_have_an_empty_range() {
    let leaf = (H256([7; 32]), 5);
    let leaves = [GAP, GAP, leaf, GAP, leaf, GAP];
    let tree = tree(&leaves);
    for (i, range) in [(0, 0..0), (1, 0..0), (3, 5..5), (5, 10..10)] {
        assert_eq!(
            tree.proof(i).unwrap().verify(&tree.work(), GAP.0, GAP.1),
            Some(range)
        );
    }
    let found: Vec<_> = (0..11).map(|point| tree.locate(point)).collect();
    assert_eq!(found, [[Some(2); 5].as_slice(), &[Some(4); 5], &[None]].concat());
}

#[test]
fn values_that_do_not_add_up_are_refused() {
    let most = (H256::zero(), u128::MAX);
    assert_eq!(tree(&[most]).value(), u128::MAX);
    assert_eq!(
        Tree::new(vec![most, (H256::zero(), 1)]).err(),
        Some(TreeError::Overflow)
    );
    let mut builder = built(&[most, GAP]);
    let before = builder.clone();
    assert_eq!(builder.push(H256::zero(), 1), Err(TreeError::Overflow));
    assert_eq!(builder, before);
    assert_eq!(builder.push(H256::zero(), 0), Ok(2));
    // Two subtrees that overflow together, as a host may well hash them, have no proofs.
    let (a, b) = ((H256([1; 32]), u128::MAX), (H256([2; 32]), 2));
    let nodes = [a, b].map(|leaf| (leaf_hash(&leaf), leaf.1));
    let wrapped = work_over(2, (node_hash(nodes[0], nodes[1]), 1));
    for (index, leaf) in [(0, a), (1, b)] {
        let siblings = vec![nodes[1 - index as usize]].try_into().unwrap();
        assert_eq!(Proof { index, siblings }.verify(&wrapped, leaf.0, leaf.1), None);
    }
}

#[test]
fn a_builder_is_small_and_can_be_stored() {
    let mut builder = Builder::new();
    for i in 0..100_000 {
        builder.push(H256::from_low_u64_be(i), i.into()).unwrap();
    }
    assert!(builder.encoded_size() <= 4 + 1 + 17 * 48);
    let mut restored = Builder::decode(&mut builder.encode().as_slice()).unwrap();
    for (leaf, value) in leaves(7) {
        builder.push(leaf, value).unwrap();
        restored.push(leaf, value).unwrap();
    }
    assert_eq!(restored.work(), builder.work());
    // Stored states that no leaves lead to.
    let wrong = (3u32, vec![GAP]).encode();
    assert!(Builder::decode(&mut wrong.as_slice()).is_err());
    let wrong = (3u32, vec![(H256::zero(), u128::MAX), (H256::zero(), 1)]).encode();
    assert!(Builder::decode(&mut wrong.as_slice()).is_err());
    // The end of the road.
    let full = (MAX_LEAVES, vec![GAP; 32]).encode();
    assert!(full.len() <= 1_541);
    let mut full = Builder::decode(&mut full.as_slice()).unwrap();
    let root = full.root();
    assert_eq!(full.push(H256::zero(), 0), Err(TreeError::TooManyLeaves));
    assert_eq!(full.root(), root);
}

#[test]
fn sizes_of_proofs() {
    for (n, bytes) in [(1, 5), (2, 53), (1_000, 485), (100_000, 821)] {
        let tree = Tree::new((0..n).map(|i: u64| (H256::from_low_u64_be(i), 1)).collect()).unwrap();
        assert_eq!(tree.proof(0).unwrap().encoded_size(), bytes, "{n} leaves");
    }
    assert_eq!(Proof::max_encoded_len(), 4 + 1 + 32 * 48);
}

#[test]
fn the_deepest_proof_is_checked_without_trouble() {
    let proof = Proof {
        index: MAX_LEAVES - 1,
        siblings: vec![GAP; 32].try_into().unwrap(),
    };
    let work = Work {
        leaves: MAX_LEAVES,
        ..Work::default()
    };
    assert_eq!(proof.verify(&work, H256::zero(), 0), None);
    assert_eq!(proof.verify(&work, H256::zero(), u128::MAX), None);
    assert_eq!(Proof::from_bytes(&proof.encode()), Ok(proof.clone()));
    let mut bytes = proof.encode();
    bytes[4] = 33 << 2; // one sibling too many
    bytes.extend([0; 48]);
    assert!(Proof::from_bytes(&bytes).is_err());
}

fn any_leaves() -> impl Strategy<Value = Vec<Leaf>> {
    let value = prop_oneof![Just(0), 1..1_000u128, 0..u128::MAX >> 7];
    proptest::collection::vec((any::<[u8; 32]>().prop_map(H256), value), 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_leaves_agree_and_tile_the_total(leaves in any_leaves(), at: u128) {
        let tree = tree(&leaves);
        let work = work(&leaves);
        prop_assert_eq!(tree.work(), work);
        prop_assert_eq!(built(&leaves).work(), work);
        let point = at.checked_rem(work.value);
        let located = point.and_then(|point| tree.locate(point));
        prop_assert_eq!(located.is_some(), work.value > 0);
        let mut end = 0;
        for (i, (leaf, value)) in leaves.iter().enumerate() {
            let range = tree.proof(i as u32).unwrap().verify(&work, *leaf, *value).unwrap();
            prop_assert_eq!(&range, &(end..end + value));
            prop_assert_eq!(point.is_some_and(|p| range.contains(&p)), located == Some(i as u32));
            end = range.end;
        }
        prop_assert_eq!(end, work.value);
    }

    #[test]
    fn a_flipped_bit_breaks_a_proof(n in 1usize..60, i in 0usize..60, at in 0usize..2_000, bit in 0u8..8) {
        let leaves = leaves(n);
        let tree = tree(&leaves);
        let i = i % n;
        let (leaf, value) = leaves[i];
        // Of the proof and of everything that it is checked against.
        let mut bytes = (tree.work(), leaf, value, tree.proof(i as u32).unwrap()).encode();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok((work, leaf, value, proof)) = <(Work, H256, u128, Proof)>::decode(&mut bytes.as_slice()) {
            prop_assert_eq!(proof.verify(&work, leaf, value), None);
        }
    }

    #[test]
    fn random_proofs_do_not_verify(bytes in proptest::collection::vec(any::<u8>(), 0..1_600), value: u128) {
        if let Ok(proof) = Proof::from_bytes(&bytes) {
            let leaves = leaves(5);
            prop_assert_eq!(proof.verify(&tree(&leaves).work(), leaves[0].0, leaves[0].1), None);
            let leaves = u32::MAX;
            prop_assert_eq!(proof.verify(&Work { root: H256::zero(), leaves, value }, H256::zero(), value), None);
        }
    }
}
