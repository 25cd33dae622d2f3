use super::{
    Hash, ProofError, Range, check_consistency, check_inclusion, consistency, consistency_roots,
    inclusion, peaks, root,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::convert::Infallible;

/// The tree as RFC 6962 section 2.1 defines it, word for word.
fn naive(leaves: &[Vec<u8>]) -> Hash {
    match leaves {
        [] => Hash::of_nothing(),
        [leaf] => Hash::of_leaf(leaf),
        _ => {
            let mut half = 1;
            while half * 2 < leaves.len() {
                half *= 2;
            }
            Hash::of_node(&naive(&leaves[..half]), &naive(&leaves[half..]))
        }
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// The leaves that the test vectors of RFC 6962's implementations are made of.
fn vectors() -> Vec<Vec<u8>> {
    [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    .map(hex)
    .to_vec()
}

/// All nodes of a log, and its range.
fn grown(leaves: &[Vec<u8>]) -> (BTreeMap<(u8, u64), Hash>, Range) {
    let (mut nodes, mut range) = (BTreeMap::new(), Range::default());
    for leaf in leaves {
        range.push(Hash::of_leaf(leaf), |level, index, hash| {
            nodes.insert((level, index), hash);
        });
    }
    (nodes, range)
}

fn reader(nodes: &BTreeMap<(u8, u64), Hash>) -> impl FnMut(u8, u64) -> Result<Hash, Infallible> {
    |level, index| Ok(nodes[&(level, index)])
}

#[test]
fn roots_are_those_of_the_test_vectors() {
    let leaves = vectors();
    for (count, expected) in [
        (
            0,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            1,
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        ),
        (
            2,
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        ),
        (
            3,
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        ),
        (
            4,
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ),
        (
            5,
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        ),
        (
            6,
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        ),
        (
            7,
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        ),
        (
            8,
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ),
    ] {
        let (_, range) = grown(&leaves[..count]);
        assert_eq!(range.root().0.to_vec(), hex(expected), "{count} leaves");
    }
}

#[test]
fn proofs_are_those_of_the_test_vectors() {
    let (nodes, _) = grown(&vectors());
    let check = |proof: Vec<Hash>, expected: &[&str]| {
        let proof: Vec<Vec<u8>> = proof.iter().map(|hash| hash.0.to_vec()).collect();
        let expected: Vec<Vec<u8>> = expected.iter().map(|text| hex(text)).collect();
        assert_eq!(proof, expected);
    };
    let included = |index, size| inclusion(index, size, reader(&nodes)).unwrap();
    check(included(0, 1), &[]);
    check(
        included(0, 8),
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    );
    check(
        included(5, 8),
        &[
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    );
    check(
        included(1, 5),
        &[
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    );
    let consistent = |old, new| consistency(old, new, reader(&nodes)).unwrap();
    check(
        consistent(1, 8),
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    );
    check(
        consistent(6, 8),
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    );
    check(
        consistent(2, 5),
        &[
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    );
}

#[test]
fn every_proof_of_small_trees_holds_and_no_other() {
    let leaves: Vec<Vec<u8>> = (0..70_u8).map(|byte| vec![byte]).collect();
    let (nodes, _) = grown(&leaves);
    let roots: Vec<Hash> = (0..=70).map(|size| naive(&leaves[..size])).collect();
    for size in 0..=70_u64 {
        let new_root = roots[usize::try_from(size).unwrap()];
        assert_eq!(root(size, reader(&nodes)).unwrap(), new_root);
        let parts = peaks(size).map(|place| nodes[&place]).collect();
        assert_eq!(Range::from_parts(size, parts).unwrap().root(), new_root);
        for index in 0..size {
            let leaf = Hash::of_leaf(&leaves[usize::try_from(index).unwrap()]);
            let proof = inclusion(index, size, reader(&nodes)).unwrap();
            check_inclusion(leaf, index, size, &proof, new_root).unwrap();
            let other = (index + 1) % size;
            if other != index {
                assert!(check_inclusion(leaf, other, size, &proof, new_root).is_err());
            }
            let mut longer = proof.clone();
            longer.push(leaf);
            assert!(check_inclusion(leaf, index, size, &longer, new_root).is_err());
        }
        for old in 0..=size {
            let old_root = roots[usize::try_from(old).unwrap()];
            let proof = consistency(old, size, reader(&nodes)).unwrap();
            check_consistency(old, size, &proof, old_root, new_root).unwrap();
            if old > 0 {
                let forked = Hash::of_leaf(b"fork");
                // Of a power of two the older root itself is part of the proof.
                let forked = check_consistency(old, size, &proof, forked, new_root);
                let whole = old.is_power_of_two() && old < size;
                let named = if whole {
                    ProofError::Root
                } else {
                    ProofError::OldRoot
                };
                assert_eq!(forked, Err(named));
            }
            if old > 0 && old < size {
                // Whoever signed another root for the older tree is shown the one that the proof leads to.
                let led = consistency_roots(old, size, &proof, old_root).unwrap();
                assert_eq!(led, (old_root, new_root));
                if !old.is_power_of_two() {
                    let other = Hash::of_leaf(b"fork");
                    let led = consistency_roots(old, size, &proof, other).unwrap();
                    assert_eq!(led, (old_root, new_root));
                }
            }
        }
    }
    let beyond = check_consistency(9, 8, &[], roots[9], roots[8]);
    assert_eq!(beyond, Err(ProofError::Beyond { place: 9, size: 8 }));
}

proptest! {
    /// No changed proof holds, and no junk panics.
    #[test]
    fn a_changed_proof_proves_nothing(
        size in 2_u64..300,
        place in any::<prop::sample::Index>(),
        flip in any::<prop::sample::Index>(),
        bit in 0_u32..256,
        junk in prop::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        let leaves: Vec<Vec<u8>> = (0..size).map(|at| at.to_be_bytes().to_vec()).collect();
        let (nodes, range) = grown(&leaves);
        let index = place.index(usize::try_from(size).unwrap());
        let leaf = Hash::of_leaf(&leaves[index]);
        let index = u64::try_from(index).unwrap();
        let mut proof = inclusion(index, size, reader(&nodes)).unwrap();
        prop_assert!(check_inclusion(leaf, index, size, &proof, range.root()).is_ok());
        let at = flip.index(proof.len());
        proof[at].0[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
        prop_assert!(check_inclusion(leaf, index, size, &proof, range.root()).is_err());
        let junk: Vec<Hash> = junk.into_iter().map(Hash).collect();
        prop_assert!(check_inclusion(leaf, index, size, &junk, range.root()).is_err());
        let old = index + 1;
        if old < size {
            let old_root = root(old, reader(&nodes)).unwrap();
            let mut proof = consistency(old, size, reader(&nodes)).unwrap();
            prop_assert!(check_consistency(old, size, &proof, old_root, range.root()).is_ok());
            let at = flip.index(proof.len());
            proof[at].0[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
            prop_assert!(check_consistency(old, size, &proof, old_root, range.root()).is_err());
            prop_assert!(check_consistency(old, size, &junk, old_root, range.root()).is_err());
        }
    }
}
