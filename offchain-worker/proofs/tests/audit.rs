//! Ballots, openings, and every rule of the count.

mod support;

use codec::{Decode, Encode, MaxEncodedLen};
use llmesh_primitives::{
    ElementType, Sketch, Verdict,
    attestation::{Finding, Preimages, Vote, Withheld},
};
use llmesh_proofs::{
    Opening,
    audit::{BALLOT_DOMAIN, Outcome, Role, Tally, ballot, tally},
    merkle::Tree,
    sketch::sketch,
};
use proptest::prelude::*;
use sp_core::H256;
use sp_runtime::{
    AccountId32, Perbill,
    traits::{BlakeTwo256, Hash},
};
use std::collections::BTreeSet;

const QUORUM: u32 = 3;

fn tolerance() -> Perbill {
    Perbill::from_parts(500_000)
}

/// The sketch of probe `n`, with its elements off by `off` of their size.
fn probe(n: u64, off: f64) -> Sketch {
    let data: Vec<u8> = (0u64..32)
        .flat_map(|i| {
            let hash = BlakeTwo256::hash(&[n.to_le_bytes(), i.to_le_bytes()].concat());
            let value = f64::from(u16::from_le_bytes([hash[0], hash[1]])) / 1e3 + 1.0;
            let sign = if hash[2] & 1 == 1 { -off } else { off };
            (value * (1.0 + sign)).to_le_bytes()
        })
        .collect();
    sketch(H256([9; 32]), [(ElementType::F64, data.as_slice())])
}

/// What the model yields.
fn truth() -> Sketch {
    probe(0, 0.0)
}

/// As close to it as an honest host comes.
fn honest_host() -> Sketch {
    probe(0, 1e-4)
}

/// What a cheating host made up.
fn fake() -> Sketch {
    probe(1, 0.0)
}

fn vote(finding: Finding, preimages: Preimages) -> Option<Vote> {
    Some(Vote { finding, preimages })
}

fn good(sketch: Sketch) -> Option<Vote> {
    vote(Finding::Ran(sketch), Preimages::Good)
}

fn bad(sketch: Sketch) -> Option<Vote> {
    vote(Finding::Ran(sketch), Preimages::Bad)
}

fn missing(sketch: Sketch) -> Option<Vote> {
    vote(Finding::Ran(sketch), Preimages::Missing)
}

/// An honest verifier's vote on good data.
fn honest() -> Option<Vote> {
    good(truth())
}

fn fails() -> Option<Vote> {
    vote(Finding::Fails, Preimages::Good)
}

fn no_input() -> Option<Vote> {
    vote(Finding::NoInput, Preimages::Missing)
}

fn abstained() -> Option<Vote> {
    vote(Finding::Abstained, Preimages::Missing)
}

/// Made up without running the model; each another one.
fn garbage(n: u64) -> Option<Vote> {
    good(probe(100 + n, 0.0))
}

fn last(votes: &[Option<Vote>], host: Sketch) -> Tally {
    tally(votes, &host, tolerance(), true, QUORUM)
}

fn verdict(verdict: Verdict, roles: &str) -> Tally {
    let roles = roles
        .chars()
        .map(|c| match c {
            'R' => Role::Right,
            'W' => Role::Wrong,
            'v' => Role::Void,
            's' => Role::Silent,
            _ => unreachable!(),
        })
        .collect();
    Tally {
        outcome: Outcome::Verdict(verdict),
        roles,
    }
}

const MATCH: Verdict = Verdict::Match;
const MISMATCH: Verdict = Verdict::Mismatch;
const WITHHELD: Verdict = Verdict::Withheld(Withheld::Data);
const INCONCLUSIVE: Verdict = Verdict::Inconclusive;

#[test]
fn nobody_who_says_anything_leads_on_or_nowhere() {
    for votes in [&[][..], &[None, None], &[abstained(), None], &[abstained()]] {
        let roles: String = votes
            .iter()
            .map(|v| if v.is_some() { 'v' } else { 's' })
            .collect();
        assert_eq!(last(votes, honest_host()), verdict(INCONCLUSIVE, &roles));
        let open = tally(votes, &honest_host(), tolerance(), false, QUORUM);
        assert_eq!(open.outcome, Outcome::Escalate);
        assert_eq!(open.roles, verdict(MATCH, &roles).roles);
    }
    // Not even without a quorum to reach.
    let none = tally(&[None], &honest_host(), tolerance(), true, 0);
    assert_eq!(none, verdict(INCONCLUSIVE, "s"));
}

#[test]
fn all_agreeing_is_a_match_at_any_stage_and_of_any_number() {
    for is_last in [false, true] {
        for (votes, roles) in [
            (vec![honest()], "R"),
            (vec![honest(), honest()], "RR"),
            (vec![honest(), None, abstained(), honest()], "RsvR"),
        ] {
            let counted = tally(&votes, &honest_host(), tolerance(), is_last, QUORUM);
            assert_eq!(counted, verdict(MATCH, roles));
        }
    }
}

#[test]
fn any_dissent_leads_to_the_next_stage_while_there_is_one() {
    for dissent in [
        garbage(1),
        bad(truth()),
        missing(truth()),
        fails(),
        no_input(),
        missing(probe(3, 0.0)),
    ] {
        for votes in [vec![dissent, honest()], vec![dissent; 5]] {
            let counted = tally(&votes, &honest_host(), tolerance(), false, QUORUM);
            assert_eq!(counted.outcome, Outcome::Escalate);
            assert_eq!(counted.roles, vec![Role::Void; votes.len()]);
        }
        let counted = tally(&[dissent, None], &honest_host(), tolerance(), false, QUORUM);
        assert_eq!(counted.roles, [Role::Void, Role::Silent]);
    }
}

#[test]
fn two_thirds_with_one_other_result_convict() {
    let h = honest();
    let colluder = good(fake());
    // The colluder copied the fake: refuted. One that gave up, one that was silent: nothing.
    let votes = [h, h, colluder, h, abstained(), None, h];
    assert_eq!(last(&votes, fake()), verdict(MISMATCH, "RRWRvsR"));
    // Exactly two thirds.
    assert_eq!(last(&[h, h, colluder], fake()), verdict(MISMATCH, "RRW"));
    // One less.
    let votes = [h, h, h, colluder, colluder];
    assert_eq!(last(&votes, fake()), verdict(INCONCLUSIVE, "vvvvv"));
    // Whatever they say of the data: some got none, some bad.
    let votes = [h, bad(truth()), missing(truth()), h];
    assert_eq!(last(&votes, fake()), verdict(MISMATCH, "RRRR"));
    // Who says something else again is refuted too; who could not run is not, and neither is a claim of failure.
    let votes = [h, h, h, h, h, h, garbage(1), no_input(), fails()];
    assert_eq!(last(&votes, fake()), verdict(MISMATCH, "RRRRRRWvv"));
    // A verifier that copied and says that it got no data is a copy all the same.
    assert_eq!(
        last(&[h, h, h, missing(fake())], fake()),
        verdict(MISMATCH, "RRRW")
    );
}

#[test]
fn a_quorum_is_needed_to_convict_but_not_to_acquit() {
    for votes in [
        [honest(), honest()],
        [fails(), fails()],
        [no_input(), no_input()],
        [bad(truth()), bad(truth())],
    ] {
        assert_eq!(last(&votes, fake()), verdict(INCONCLUSIVE, "vv"));
        let with_an_abstention = [votes[0], votes[1], abstained(), None];
        assert_eq!(last(&with_an_abstention, fake()), verdict(INCONCLUSIVE, "vvvs"));
        let lower = tally(&votes, &fake(), tolerance(), true, 2);
        assert!(matches!(lower.outcome, Outcome::Verdict(v) if v.is_conviction()));
        assert_eq!(lower.roles, [Role::Right, Role::Right]);
    }
    let votes = [good(fake()), good(fake()), honest()];
    assert_eq!(
        tally(&votes, &fake(), tolerance(), true, 15),
        verdict(MATCH, "RRW")
    );
}

#[test]
fn two_thirds_with_bad_data_convict() {
    // The host publishes the right sketch, made afterwards, but what it committed to is something else.
    let b = bad(truth());
    assert_eq!(last(&[b, b, b], truth()), verdict(MISMATCH, "RRR"));
    // Who claims that the data was good is not refuted by a sketch; garbage is.
    let votes = [b, b, b, b, honest(), garbage(1)];
    assert_eq!(last(&votes, truth()), verdict(MISMATCH, "RRRRvW"));
    assert_eq!(
        last(&[b, b, honest(), honest()], truth()),
        verdict(INCONCLUSIVE, "vvvv")
    );
    // Where those who say so have no common result, nobody is refuted.
    let votes = [
        bad(probe(5, 0.0)),
        bad(probe(6, 0.0)),
        bad(probe(7, 0.0)),
        honest(),
    ];
    assert_eq!(last(&votes, truth()), verdict(MISMATCH, "RRRv"));
}

#[test]
fn two_thirds_with_a_failing_model_convict() {
    let votes = [fails(), fails(), good(fake())];
    assert_eq!(last(&votes, fake()), verdict(MISMATCH, "RRv"));
    let votes = [fails(), good(fake()), good(fake())];
    assert_eq!(last(&votes, fake()), verdict(MATCH, "vRR"));
}

#[test]
fn two_thirds_without_data_convict_of_withholding() {
    let votes = [no_input(), missing(truth()), honest()];
    assert_eq!(last(&votes, honest_host()), verdict(WITHHELD, "RRv"));
    let votes = [no_input(), honest(), honest()];
    assert_eq!(last(&votes, honest_host()), verdict(MATCH, "vRR"));
    let votes = [no_input(), no_input(), honest(), honest()];
    assert_eq!(last(&votes, honest_host()), verdict(INCONCLUSIVE, "vvvv"));
}

/// A host that cheated gives its data to some only, so that neither those who see the fraud nor those who see nothing
/// are two thirds.
#[test]
fn a_committee_that_the_host_divides_convicts_all_the_same() {
    let n = no_input();
    for (accusation, host) in [(honest(), fake()), (bad(truth()), truth()), (fails(), fake())] {
        for accusing in 0..=9 {
            let votes: Vec<_> = (0..9)
                .map(|i| if i < accusing { accusation } else { n })
                .collect();
            let counted = last(&votes, host);
            let expected = if accusing >= 6 { MISMATCH } else { WITHHELD };
            assert_eq!(counted.outcome, Outcome::Verdict(expected), "{accusing}");
        }
        // A third that covers for it is not enough.
        let votes = [accusation, accusation, n, n, good(host), good(host)];
        let counted = last(&votes, host);
        assert_eq!(counted, verdict(WITHHELD, "RRRRvv"));
    }
}

/// One broken verifier and a few lost messages are no case against a host.
#[test]
fn an_accusation_that_nobody_shares_does_not_add_to_lost_data() {
    for lone in [garbage(1), bad(truth()), fails()] {
        let votes = [lone, no_input(), honest()];
        assert_eq!(
            last(&votes, honest_host()),
            verdict(INCONCLUSIVE, "vvv"),
            "{lone:?}"
        );
    }
    let votes = [garbage(1), garbage(2), no_input(), no_input(), honest(), honest()];
    assert_eq!(last(&votes, honest_host()), verdict(INCONCLUSIVE, "vvvvvv"));
}

#[test]
fn two_thirds_agreeing_acquit_and_refute_garbage_and_slander() {
    let h = honest();
    let votes = [
        h,
        h,
        garbage(1),
        h,
        bad(truth()),
        h,
        no_input(),
        fails(),
        h,
        h,
        None,
        abstained(),
    ];
    // Six of nine.
    let votes = [&votes[..4], &votes[5..]].concat();
    assert_eq!(last(&votes, honest_host()), verdict(MATCH, "RRWRRvvRRsv"));
    assert_eq!(last(&[h, h, bad(truth())], honest_host()), verdict(MATCH, "RRW"));
    assert_eq!(
        last(&[h, h, missing(truth())], honest_host()),
        verdict(MATCH, "RRv")
    );
}

#[test]
fn verifiers_that_agree_on_nothing_are_no_case_against_a_host() {
    let votes: Vec<_> = (0..15).map(garbage).collect();
    assert_eq!(
        last(&votes, honest_host()),
        verdict(INCONCLUSIVE, &"v".repeat(15))
    );
}

/// A dissenter that is close to the agreeing verifiers was just on the other side of the tolerance: no liar.
#[test]
fn an_honest_dissenter_at_the_border_is_not_punished() {
    let (mut near, mut beyond) = (None, None);
    for i in 0..100u32 {
        let host = probe(0, f64::from(i) * 1e-5);
        let counted = last(&[honest(), honest(), good(probe(0, -1e-4))], host);
        match counted.outcome {
            Outcome::Verdict(Verdict::Match) if counted.roles[2] == Role::Void => near = Some(i),
            Outcome::Verdict(Verdict::Mismatch) => beyond = beyond.or(Some(i)),
            _ => {}
        }
        assert!(!counted.roles.contains(&Role::Wrong), "{i}");
    }
    // Both happened: the dissenter fell out first.
    assert!(near.unwrap() < beyond.unwrap());
}

/// A colluder's sketch half way between the truth and the host's brings neither side together nor apart.
#[test]
fn a_sketch_half_way_changes_nothing() {
    let host = probe(0, 8e-4);
    let half_way = good(probe(0, 4e-4));
    let h = honest();
    let counted = last(&[h, h, h, half_way], host);
    assert_eq!(counted.outcome, Outcome::Verdict(MISMATCH));
    assert_eq!(counted.roles[..3], [Role::Right; 3]);
    // Half way on the far side of the truth, against an honest host.
    let other_side = good(probe(0, -4.2e-4));
    let counted = last(&[h, h, h, other_side], honest_host());
    assert_eq!(counted.outcome, Outcome::Verdict(MATCH));
    assert_eq!(counted.roles[..3], [Role::Right; 3]);
}

#[test]
fn a_ballot_depends_on_everything() {
    let salt = [7u8; 32];
    let who = AccountId32::new([1; 32]);
    let ran = Finding::Ran(truth());
    let mut other_salt = salt;
    other_salt[31] ^= 1;
    let all = [
        ballot(1, 0, &who, &ran, &salt),
        ballot(2, 0, &who, &ran, &salt),
        ballot(1, 1, &who, &ran, &salt),
        ballot(1, 0, &AccountId32::new([2; 32]), &ran, &salt),
        ballot(1, 0, &who, &Finding::Ran(honest_host()), &salt),
        ballot(1, 0, &who, &Finding::Fails, &salt),
        ballot(1, 0, &who, &Finding::NoInput, &salt),
        ballot(1, 0, &who, &Finding::Abstained, &salt),
        ballot(1, 0, &who, &ran, &other_salt),
        // Not in its domain.
        BlakeTwo256::hash_of(&(1u64, 0u8, &who, salt, ran)),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    let preimage = [
        BALLOT_DOMAIN.as_slice(),
        &1u64.to_le_bytes(),
        &[0],
        &[1; 32],
        &salt,
        &ran.encode(),
    ];
    assert_eq!(all[0], BlakeTwo256::hash(&preimage.concat()));
}

#[test]
fn openings_are_bounded_and_carry_the_leaf() {
    let signed = support::signed();
    let mut leaves = support::leaves(50);
    let (index, leaf, value) = signed.leaf(0).unwrap();
    assert_eq!((index, leaf, value), (41, signed.hash(), signed.receipt.fee));
    leaves[index as usize] = (leaf, value);
    let tree = Tree::new(leaves).unwrap();
    let proof = tree.proof(index).unwrap();
    assert!(proof.verify(&tree.work(), leaf, value).is_some());
    for opening in [
        Opening::Leaf {
            proof,
            receipt: signed.clone(),
        },
        Opening::Job {
            receipt: signed.receipt.clone(),
            version: 7,
        },
    ] {
        let bytes = opening.encode();
        assert!(bytes.len() <= Opening::max_encoded_len());
        assert_eq!(Opening::decode(&mut bytes.as_slice()), Ok(opening));
    }
    // In a tree that goes on from another number the leaf is elsewhere.
    assert_eq!(signed.leaf(40).map(|leaf| leaf.0), Some(1));
    assert_eq!(signed.leaf(41).map(|leaf| leaf.0), Some(0));
    assert_eq!(signed.leaf(42), None);
    // No leaf: a job, and sequences that no tree has.
    use llmesh_primitives::WorkOrigin;
    let mut other = signed;
    for (of, expected) in [
        (0, None),
        (1, Some(0)),
        (1 << 32, Some(u32::MAX)),
        ((1 << 32) + 1, None),
    ] {
        if let WorkOrigin::Request { sequence, .. } = &mut other.receipt.origin {
            *sequence = of;
        }
        assert_eq!(other.leaf(0).map(|leaf| leaf.0), expected, "{of}");
    }
    other.receipt.origin = WorkOrigin::Job(5);
    assert_eq!(other.leaf(0), None);
}

fn any_sketch() -> impl Strategy<Value = Sketch> {
    prop_oneof![
        4 => Just(truth()),
        2 => Just(fake()),
        1 => (0u64..4).prop_map(|n| probe(100 + n, 0.0)),
        1 => (-9i32..9).prop_map(|n| probe(0, f64::from(n) * 1e-4)),
    ]
}

fn any_vote() -> impl Strategy<Value = Option<Vote>> {
    let finding = prop_oneof![
        6 => any_sketch().prop_map(Finding::Ran),
        1 => Just(Finding::Fails),
        1 => Just(Finding::NoInput),
        1 => Just(Finding::Abstained),
    ];
    let preimages = prop_oneof![
        4 => Just(Preimages::Good),
        1 => Just(Preimages::Bad),
        1 => Just(Preimages::Missing),
    ];
    prop_oneof![
        9 => (finding, preimages).prop_map(|(finding, preimages)| Some(Vote { finding, preimages })),
        1 => Just(None),
    ]
}

fn any_votes(most: usize) -> impl Strategy<Value = Vec<Option<Vote>>> {
    prop::collection::vec(any_vote(), 0..=most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_order_of_members_does_not_matter(
        votes in any_votes(15), host in any_sketch(), is_last: bool, quorum in 0u32..6, keys in prop::array::uniform15(any::<u32>()),
    ) {
        let counted = tally(&votes, &host, tolerance(), is_last, quorum);
        prop_assert_eq!(counted.roles.len(), votes.len());
        let mut order: Vec<usize> = (0..votes.len()).collect();
        order.sort_by_key(|i| keys[*i]);
        let permuted: Vec<_> = order.iter().map(|i| votes[*i]).collect();
        let again = tally(&permuted, &host, tolerance(), is_last, quorum);
        prop_assert_eq!(again.outcome, counted.outcome);
        let roles: Vec<_> = order.iter().map(|i| counted.roles[*i]).collect();
        prop_assert_eq!(again.roles, roles);
    }

    #[test]
    fn less_than_a_third_can_not_convict_an_honest_host(liars in any_votes(4), honest_ones in 9usize..12) {
        // At most 4 of 13: each says what it likes.
        let mut votes = vec![honest(); honest_ones];
        votes.extend(&liars);
        let counted = last(&votes, honest_host());
        prop_assert_eq!(counted.outcome, Outcome::Verdict(MATCH));
        prop_assert!(counted.roles[..honest_ones].iter().all(|role| *role == Role::Right));
    }

    #[test]
    fn less_than_a_third_can_not_save_a_cheat_nor_have_an_honest_verifier_slashed(
        liars in any_votes(4), honest_ones in 9usize..12, without in 0usize..12,
    ) {
        // Those that the host gives nothing see no fraud, and convict it all the same.
        let mut votes: Vec<_> = (0..honest_ones).map(|i| if i < without { no_input() } else { honest() }).collect();
        votes.extend(&liars);
        let counted = last(&votes, fake());
        prop_assert!(matches!(counted.outcome, Outcome::Verdict(v) if v.is_conviction()), "{:?}", counted);
        prop_assert!(!counted.roles[..honest_ones].contains(&Role::Wrong));
        if without == 0 {
            for (vote, role) in liars.iter().zip(&counted.roles[honest_ones..]) {
                if *vote == good(fake()) {
                    prop_assert_eq!(*role, Role::Wrong);
                }
            }
        }
    }

    #[test]
    fn a_garbage_minority_is_slashed_whatever_the_host_did(honest_ones in 10usize..12, lazy in 1u64..5, cheats: bool) {
        let mut votes = vec![honest(); honest_ones];
        votes.extend((0..lazy).map(garbage));
        let counted = last(&votes, if cheats { fake() } else { honest_host() });
        let expected = if cheats { MISMATCH } else { MATCH };
        prop_assert_eq!(counted.outcome, Outcome::Verdict(expected));
        prop_assert!(counted.roles[honest_ones..].iter().all(|role| *role == Role::Wrong));
    }

    #[test]
    fn fewer_than_two_thirds_against_never_convict_and_roles_fit_votes(
        votes in any_votes(15), host in any_sketch(), quorum in 0u32..6,
    ) {
        let counted = tally(&votes, &host, tolerance(), true, quorum);
        let Outcome::Verdict(verdict) = counted.outcome else {
            return Err(TestCaseError::fail("there is no next stage"));
        };
        let agrees = |vote: &Vote| {
            matches!(vote.finding, Finding::Ran(s) if llmesh_proofs::sketch::close(&s, &host, tolerance()))
                && vote.preimages == Preimages::Good
        };
        let voters: Vec<_> = votes.iter().flatten().filter(|v| v.finding != Finding::Abstained).collect();
        let agreeing = voters.iter().filter(|v| agrees(v)).count();
        if verdict.is_conviction() {
            prop_assert!((voters.len() - agreeing) * 3 >= voters.len() * 2);
            prop_assert!(voters.len() >= quorum as usize);
        }
        if verdict == MATCH {
            prop_assert!(agreeing * 3 >= voters.len() * 2 && agreeing > 0);
        }
        for (vote, role) in votes.iter().zip(&counted.roles) {
            prop_assert_eq!(vote.is_none(), *role == Role::Silent);
            let Some(vote) = vote else { continue };
            match role {
                Role::Right => prop_assert_eq!(agrees(vote), verdict == MATCH),
                Role::Wrong => {
                    prop_assert!(matches!(vote.finding, Finding::Ran(_)));
                    prop_assert!(matches!(verdict, Verdict::Match | Verdict::Mismatch));
                    // Nobody is slashed for what the verdict says.
                    prop_assert!(!(verdict == MATCH && agrees(vote)));
                }
                _ => {}
            }
        }
    }
}
