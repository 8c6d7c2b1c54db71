use crate::{mock::*, session::additional_fraction, *};
use frame_support::{assert_ok, traits::DisabledValidators};
use llmesh_primitives::traits::Conduct;
use sp_runtime::Perbill;
use sp_staking::offence::{OffenceDetails, OnOffenceHandler};

fn percent(n: u32) -> Perbill {
    Perbill::from_percent(n)
}

fn three() -> ExtBuilder {
    ExtBuilder::empty()
        .validator(ANNA, 10 * MIN_BOND)
        .validator(BERT, 10 * MIN_BOND)
        .validator(CARL, 10 * MIN_BOND)
}

fn offend(offenders: &[AccountId], fraction: Perbill, session: u32) {
    let details: Vec<_> = offenders
        .iter()
        .map(|who| OffenceDetails {
            offender: (*who, ()),
            reporters: vec![REPORTER],
        })
        .collect();
    let fractions = vec![fraction; details.len()];
    let weight = Staking::on_offence(&details, &fractions, session);
    assert!(weight.ref_time() > 0);
}

#[test]
fn an_offender_is_slashed_disabled_and_no_candidate_any_more() {
    three().build_and_execute(|| {
        assert_ok!(Staking::delegate(signed(DORA), BERT, 1_000));
        assert_ok!(Staking::verify(signed(BERT)));
        System::reset_events();
        offend(&[BERT], percent(10), 0);
        assert_eq!(operator(BERT).own, 9 * MIN_BOND);
        assert_eq!(bond_of(BERT, DORA).active, 900);
        assert_eq!(free(REPORTER), ENDOWMENT + 110);
        assert!(!operator(BERT).roles.validator);
        // Other roles stay while the bond suffices.
        assert!(operator(BERT).roles.verifier);
        assert!(Session::is_disabled(1));
        assert_eq!(Conducts::get(), vec![(BERT, Conduct::Offence)]);
        assert!(events().contains(&Event::CandidateRemoved { operator: BERT }));
        Session::rotate_session();
        Session::rotate_session();
        assert_eq!(Session::validators(), vec![ANNA, CARL]);
        assert!(!Session::is_disabled(1));
    });
}

#[test]
fn offenders_of_one_slot_are_slashed_once() {
    three().build_and_execute(|| {
        offend(&[ANNA], percent(10), 0);
        // A second offender of the slot makes the fraction grow for both.
        offend(&[ANNA, BERT], percent(40), 0);
        assert_eq!(operator(ANNA).own, 6 * MIN_BOND + 1);
        assert_eq!(operator(BERT).own, 6 * MIN_BOND);
        assert_eq!(
            Conducts::get(),
            vec![(ANNA, Conduct::Offence), (BERT, Conduct::Offence)]
        );
        // Nothing new.
        offend(&[ANNA, BERT], percent(40), 0);
        offend(&[ANNA, BERT], percent(5), 0);
        assert_eq!(operator(ANNA).own, 6 * MIN_BOND + 1);
        assert_eq!(Conducts::get().len(), 2);
    });
}

#[test]
fn sessions_are_punished_on_their_own() {
    three().build_and_execute(|| {
        offend(&[ANNA], percent(10), 0);
        offend(&[ANNA], percent(10), 1);
        assert_eq!(operator(ANNA).own, 8_100);
        assert_eq!(Conducts::get().len(), 2);
    });
}

#[test]
fn an_offence_without_slash_still_counts() {
    three().build_and_execute(|| {
        offend(&[ANNA], Perbill::zero(), 0);
        assert_eq!(operator(ANNA).own, 10 * MIN_BOND);
        assert!(!operator(ANNA).roles.validator);
        assert_eq!(Conducts::get(), vec![(ANNA, Conduct::Offence)]);
    });
}

#[test]
fn an_offender_that_unbonds_or_left_is_handled() {
    three().build_and_execute(|| {
        assert_ok!(Staking::chill(signed(ANNA)));
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 10 * MIN_BOND));
        offend(&[ANNA], percent(10), 0);
        assert_eq!(chunks(ANNA, ANNA), vec![9 * MIN_BOND]);
        offend(&[STRANGER], percent(10), 0);
    });
}

#[test]
fn what_was_punished_is_forgotten_with_the_session() {
    three().build_and_execute(|| {
        offend(&[ANNA], percent(10), 0);
        for _ in 0..3 {
            Session::rotate_session();
            assert!(PunishedOffences::<Test>::contains_key(0, ANNA));
        }
        Session::rotate_session();
        assert!(!PunishedOffences::<Test>::contains_key(0, ANNA));
    });
}

#[test]
fn fractions_add_up() {
    assert_eq!(additional_fraction(Perbill::zero(), percent(10)), percent(10));
    assert_eq!(additional_fraction(percent(50), percent(75)), percent(50));
    assert_eq!(additional_fraction(percent(50), percent(100)), percent(100));
    assert_eq!(additional_fraction(percent(50), percent(50)), Perbill::zero());
    assert_eq!(additional_fraction(percent(100), percent(100)), Perbill::zero());
}
