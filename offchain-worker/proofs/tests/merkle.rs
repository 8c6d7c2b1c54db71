//! The tree against the definition in RFC 6962, and against forgeries.

mod support;

use codec::{Decode, Encode, MaxEncodedLen};
use llmesh_proofs::merkle::{Builder, DOMAIN, MAX_LEAVES, Proof, TooManyLeaves, Tree, leaf_hash};
use proptest::prelude::*;
use sp_core::H256;
use sp_runtime::traits::{BlakeTwo256, Hash};

fn leaves(n: usize) -> Vec<Vec<u8>> {
    (0..n).map(|i| format!("leaf {i}").into_bytes()).collect()
}

fn hash(parts: &[&[u8]]) -> H256 {
    BlakeTwo256::hash(&parts.concat())
}

/// Section 2.1 of RFC 6962, word by word: the largest power of two below n goes left.
fn top(leaves: &[Vec<u8>]) -> H256 {
    match leaves {
        [] => H256::zero(),
        [leaf] => hash(&[&[0], DOMAIN, leaf]),
        _ => {
            let mut k = 1;
            while k * 2 < leaves.len() {
                k *= 2;
            }
            let (left, right) = leaves.split_at(k);
            hash(&[&[1], DOMAIN, top(left).as_bytes(), top(right).as_bytes()])
        }
    }
}

fn root(leaves: &[Vec<u8>]) -> H256 {
    let count = (leaves.len() as u32).to_le_bytes();
    hash(&[&[2], DOMAIN, &count, top(leaves).as_bytes()])
}

fn built(leaves: &[Vec<u8>]) -> Builder {
    let mut builder = Builder::new();
    for (i, leaf) in leaves.iter().enumerate() {
        assert_eq!(builder.push(leaf), Ok(i as u32));
    }
    builder
}

#[test]
fn builder_tree_and_definition_agree_and_every_leaf_has_its_proof() {
    for n in 0..=130 {
        let leaves = leaves(n);
        let tree = Tree::new(&leaves).unwrap();
        assert_eq!(tree.root(), root(&leaves), "{n}");
        assert_eq!(built(&leaves).root(), root(&leaves), "{n}");
        assert_eq!(tree.count() as usize, n);
        for (i, leaf) in leaves.iter().enumerate() {
            let proof = tree.proof(i as u32).unwrap();
            assert!(proof.verify(tree.root(), leaf), "{i} of {n}");
            assert!(proof.siblings.len() <= n.next_power_of_two().ilog2() as usize);
        }
        assert_eq!(tree.proof(n as u32), None);
    }
}

#[test]
fn a_proof_counts_for_its_index_count_leaf_and_root_only() {
    for n in [1usize, 2, 3, 5, 7, 8, 12] {
        let leaves = leaves(n);
        let tree = Tree::new(&leaves).unwrap();
        for i in 0..n {
            let proof = tree.proof(i as u32).unwrap();
            for index in 0..16 {
                for count in 0..17 {
                    let other = Proof {
                        index,
                        count,
                        ..proof.clone()
                    };
                    let same = index as usize == i && count as usize == n;
                    assert_eq!(
                        other.verify(tree.root(), &leaves[i]),
                        same,
                        "{i}/{n} as {index}/{count}"
                    );
                }
            }
            for (j, leaf) in leaves.iter().enumerate() {
                assert_eq!(proof.verify(tree.root(), leaf), i == j);
            }
            for k in 0..proof.siblings.len() {
                let mut siblings = proof.siblings.clone().into_inner();
                siblings.remove(k);
                let short = Proof {
                    siblings: siblings.try_into().unwrap(),
                    ..proof.clone()
                };
                assert!(!short.verify(tree.root(), &leaves[i]));
            }
            let mut long = proof.clone();
            long.siblings.try_push(H256::zero()).unwrap();
            assert!(!long.verify(tree.root(), &leaves[i]));
            assert!(!proof.verify(H256::zero(), &leaves[i]));
        }
    }
}

/// In the tree of RFC 6962 itself this one goes through: leaf 2 of 3 as leaf 1 of 2.
#[test]
fn a_leaf_can_not_be_moved_by_lying_about_the_count() {
    let leaves = leaves(3);
    let tree = Tree::new(&leaves).unwrap();
    let proof = tree.proof(2).unwrap();
    let moved = Proof {
        index: 1,
        count: 2,
        ..proof
    };
    assert_eq!(moved.siblings.len(), 1);
    assert!(!moved.verify(tree.root(), &leaves[2]));
}

/// A node of the tree, its two children as one leaf, a subtree as a tree: none of them passes.
#[test]
fn nodes_are_no_leaves_and_subtrees_are_no_trees() {
    let leaves = leaves(4);
    let tree = Tree::new(&leaves).unwrap();
    let (left, right) = (leaf_hash(&leaves[0]), leaf_hash(&leaves[1]));
    let node = hash(&[&[1], DOMAIN, left.as_bytes(), right.as_bytes()]);
    let sibling = tree.proof(0).unwrap().siblings[1];
    for count in [2, 3, 4] {
        let forged = Proof {
            index: 0,
            count,
            siblings: vec![sibling].try_into().unwrap(),
        };
        for pretended in [
            [left.as_bytes(), right.as_bytes()].concat(),
            [&[1], DOMAIN, left.as_bytes(), right.as_bytes()].concat(),
            node.as_bytes().to_vec(),
        ] {
            assert!(!forged.verify(tree.root(), &pretended));
        }
    }
    // With the hash of the node the path does lead to the top; the count gives it away.
    let forged = Proof {
        index: 0,
        count: 2,
        siblings: vec![sibling].try_into().unwrap(),
    };
    assert!(!forged.verify_hash(tree.root(), node));
    assert_ne!(Tree::new(&leaves[..2]).unwrap().root(), node);
    assert_ne!(Tree::new(&leaves[..1]).unwrap().root(), leaf_hash(&leaves[0]));
}

/// The trees that pad with the last leaf can not tell [a, b, c] from [a, b, c, c] (CVE-2012-2459).
#[test]
fn repeated_leaves_make_other_roots() {
    let [a, b, c] = [b"a".to_vec(), b"b".to_vec(), b"c".to_vec()];
    let lists = [
        vec![],
        vec![a.clone()],
        vec![a.clone(), a.clone()],
        vec![a.clone(), a.clone(), a.clone()],
        vec![a.clone(), b.clone(), c.clone()],
        vec![a.clone(), b.clone(), c.clone(), c.clone()],
        vec![a.clone(), b.clone(), c.clone(), a, b, c],
    ];
    let roots: std::collections::BTreeSet<H256> =
        lists.iter().map(|l| Tree::new(l).unwrap().root()).collect();
    assert_eq!(roots.len(), lists.len());
    // A leaf that is there twice has two proofs, one for each index: the duplicate can be shown.
    let tree = Tree::new([b"x", b"y", b"x"]).unwrap();
    for i in [0, 2] {
        assert!(tree.proof(i).unwrap().verify(tree.root(), b"x"));
    }
    assert!(
        !Proof {
            index: 1,
            ..tree.proof(0).unwrap()
        }
        .verify(tree.root(), b"x")
    );
}

#[test]
fn a_builder_is_small_and_can_be_stored() {
    let mut builder = built(&leaves(100_000));
    assert!(builder.encoded_size() <= 4 + 1 + 17 * 32);
    let mut restored = Builder::decode(&mut builder.encode().as_slice()).unwrap();
    for leaf in leaves(7) {
        builder.push(&leaf).unwrap();
        restored.push(&leaf).unwrap();
    }
    assert_eq!(restored.root(), builder.root());
    // A stored state that no leaves lead to.
    let wrong = (3u32, vec![H256::zero()]).encode();
    assert!(Builder::decode(&mut wrong.as_slice()).is_err());
    // The end of the road.
    let full = (MAX_LEAVES, vec![H256::zero(); 32]).encode();
    let mut full = Builder::decode(&mut full.as_slice()).unwrap();
    let root = full.root();
    assert_eq!(full.push(b"one more"), Err(TooManyLeaves));
    assert_eq!(full.root(), root);
}

#[test]
fn sizes_of_proofs() {
    for (n, bytes) in [(1, 9), (2, 41), (1_000, 329), (100_000, 553)] {
        let tree = Tree::from_hashes((0..n).map(|i: u64| H256::from_low_u64_be(i)).collect()).unwrap();
        assert_eq!(tree.proof(0).unwrap().encoded_size(), bytes, "{n} leaves");
    }
    assert_eq!(Proof::max_encoded_len(), 4 + 4 + 1 + 32 * 32);
}

#[test]
fn the_deepest_proof_is_checked_without_trouble() {
    let proof = Proof {
        index: MAX_LEAVES - 1,
        count: MAX_LEAVES,
        siblings: vec![H256::zero(); 32].try_into().unwrap(),
    };
    assert!(!proof.verify(H256::zero(), b""));
    assert_eq!(Proof::from_bytes(&proof.encode()), Ok(proof.clone()));
    let mut bytes = proof.encode();
    bytes[8] = 33 << 2; // one hash too many
    bytes.extend([0; 32]);
    assert!(Proof::from_bytes(&bytes).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_leaves_agree(leaves in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..80)) {
        let tree = Tree::new(&leaves).unwrap();
        prop_assert_eq!(tree.root(), root(&leaves));
        prop_assert_eq!(built(&leaves).root(), root(&leaves));
        for (i, leaf) in leaves.iter().enumerate() {
            prop_assert!(tree.proof(i as u32).unwrap().verify(root(&leaves), leaf));
        }
    }

    #[test]
    fn a_flipped_bit_breaks_a_proof(n in 1usize..60, i in 0usize..60, at in 0usize..2_000, bit in 0u8..8) {
        let leaves = leaves(n);
        let tree = Tree::new(&leaves).unwrap();
        let i = i % n;
        let mut bytes = tree.proof(i as u32).unwrap().encode();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(proof) = Proof::from_bytes(&bytes) {
            prop_assert!(!proof.verify(tree.root(), &leaves[i]));
        }
    }

    #[test]
    fn random_proofs_do_not_verify(bytes in proptest::collection::vec(any::<u8>(), 0..1_100)) {
        if let Ok(proof) = Proof::from_bytes(&bytes) {
            prop_assert!(!proof.verify(Tree::new(leaves(5)).unwrap().root(), b"leaf 0"));
        }
    }
}
