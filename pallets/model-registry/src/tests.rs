use crate::{
    Error, Event, HoldReason, Models, Namespaces, NextVersionId, Offers, OffersOfHost, Usage, VersionUsage,
    Versions, mock::*,
};
use codec::Encode;
use frame_support::{
    assert_noop, assert_ok,
    traits::fungible::{Inspect, InspectHold, Mutate},
};
use llmesh_primitives::{
    Dim, ModelManifest, ModelName, OfferTerms, SemVer, VersionStatus, model::Namespace, traits::ModelRegistry,
};
use proptest::prelude::*;
use sp_core::H256;
use sp_runtime::{DispatchError, DispatchResult, Perbill, TokenError};

const TERMS: OfferTerms = OfferTerms {
    price: 150,
    capacity: 4,
};

fn signed(who: u64) -> RuntimeOrigin {
    RuntimeOrigin::signed(who)
}

fn ns(namespace: &str) -> Namespace {
    namespace.as_bytes().to_vec().try_into().unwrap()
}

fn name(name: &str) -> ModelName {
    name.as_bytes().to_vec().try_into().unwrap()
}

fn v(version: &str) -> SemVer {
    version.parse().unwrap()
}

fn on_hold(reason: HoldReason, who: u64) -> u128 {
    Balances::balance_on_hold(&reason.into(), &who)
}

fn publish(who: u64, model: &str, version: &str) -> DispatchResult {
    Registry::publish(signed(who), name(model), v(version), manifest())
}

/// Registers `acme` for Alice and publishes `acme/net` 1.0.0, which becomes version 0.
fn with_version() -> u32 {
    assert_ok!(Registry::register_namespace(signed(ALICE), ns("acme")));
    assert_ok!(publish(ALICE, "acme/net", "1.0.0"));
    NextVersionId::<Test>::get() - 1
}

fn with_offer() -> u32 {
    let id = with_version();
    assert_ok!(Registry::offer(signed(HOST), id, TERMS));
    id
}

fn status(id: u32) -> VersionStatus {
    Registry::version(id).unwrap().status
}

fn last_event() -> RuntimeEvent {
    System::events().pop().unwrap().event
}

mod namespaces {
    use super::*;

    #[test]
    fn registering_holds_the_deposit() {
        build_and_execute(|| {
            assert_ok!(Registry::register_namespace(signed(ALICE), ns("acme")));
            let deposit = NAMESPACE_DEPOSIT + 4 * BYTE_DEPOSIT;
            assert_eq!(on_hold(HoldReason::Namespace, ALICE), deposit);
            assert_eq!(
                last_event(),
                Event::NamespaceRegistered {
                    namespace: ns("acme"),
                    owner: ALICE,
                    deposit
                }
                .into()
            );
        });
    }

    #[test]
    fn a_namespace_has_one_owner() {
        build_and_execute(|| {
            assert_ok!(Registry::register_namespace(signed(ALICE), ns("acme")));
            assert_noop!(
                Registry::register_namespace(signed(BOB), ns("acme")),
                Error::<Test>::NamespaceTaken
            );
        });
    }

    #[test]
    fn names_are_of_lower_case_letters_digits_and_inner_punctuation() {
        build_and_execute(|| {
            for good in ["a", "0", "acme", "a-c_m.e", "a--b", &"x".repeat(32)] {
                assert_ok!(Registry::register_namespace(signed(ALICE), ns(good)));
            }
            for bad in [
                "", "Acme", "ac me", "-acme", "acme.", "_", "a/b", "über", "acme\0",
            ] {
                assert_noop!(
                    Registry::register_namespace(signed(ALICE), ns(bad)),
                    Error::<Test>::InvalidNamespace
                );
            }
        });
    }

    #[test]
    fn an_account_without_the_deposit_registers_nothing() {
        build_and_execute(|| {
            Balances::set_balance(&ALICE, NAMESPACE_DEPOSIT);
            assert_noop!(
                Registry::register_namespace(signed(ALICE), ns("acme")),
                TokenError::FundsUnavailable
            );
        });
    }

    #[test]
    fn the_deposit_goes_with_the_namespace() {
        build_and_execute(|| {
            assert_ok!(Registry::register_namespace(signed(ALICE), ns("acme")));
            let deposit = on_hold(HoldReason::Namespace, ALICE);
            assert_ok!(Registry::transfer_namespace(signed(ALICE), ns("acme"), BOB));
            assert_eq!(on_hold(HoldReason::Namespace, ALICE), 0);
            assert_eq!(on_hold(HoldReason::Namespace, BOB), deposit);
            assert_eq!(
                last_event(),
                Event::NamespaceTransferred {
                    namespace: ns("acme"),
                    from: ALICE,
                    to: BOB
                }
                .into()
            );
            assert_ok!(Registry::remove_namespace(signed(BOB), ns("acme")));
            assert_eq!(Balances::balance(&BOB), FUNDS + deposit);
        });
    }

    #[test]
    fn only_the_owner_transfers_and_removes() {
        build_and_execute(|| {
            assert_noop!(
                Registry::transfer_namespace(signed(ALICE), ns("acme"), BOB),
                Error::<Test>::UnknownNamespace
            );
            assert_ok!(Registry::register_namespace(signed(ALICE), ns("acme")));
            assert_noop!(
                Registry::transfer_namespace(signed(BOB), ns("acme"), BOB),
                Error::<Test>::NotNamespaceOwner
            );
            assert_noop!(
                Registry::transfer_namespace(signed(ALICE), ns("acme"), ALICE),
                Error::<Test>::SameOwner
            );
            assert_noop!(
                Registry::remove_namespace(signed(BOB), ns("acme")),
                Error::<Test>::NotNamespaceOwner
            );
        });
    }

    #[test]
    fn a_namespace_is_not_given_to_an_account_that_does_not_exist() {
        build_and_execute(|| {
            assert_ok!(Registry::register_namespace(signed(ALICE), ns("acme")));
            assert_noop!(
                Registry::transfer_namespace(signed(ALICE), ns("acme"), 99),
                TokenError::CannotCreateHold
            );
        });
    }

    #[test]
    fn a_namespace_with_models_can_not_be_removed() {
        build_and_execute(|| {
            let id = with_version();
            assert_noop!(
                Registry::remove_namespace(signed(ALICE), ns("acme")),
                Error::<Test>::NamespaceInUse
            );
            assert_ok!(Registry::yank(signed(ALICE), id));
            assert_ok!(Registry::remove(signed(ALICE), id));
            assert_ok!(Registry::remove_namespace(signed(ALICE), ns("acme")));
            assert!(Namespaces::<Test>::get(ns("acme")).is_none());
            assert_eq!(Balances::balance(&ALICE), FUNDS);
        });
    }

    #[test]
    fn calls_need_a_signature() {
        build_and_execute(|| {
            for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
                assert_noop!(
                    Registry::register_namespace(origin, ns("acme")),
                    DispatchError::BadOrigin
                );
            }
        });
    }
}

mod publishing {
    use super::*;

    #[test]
    fn a_version_can_be_read_as_it_was_published() {
        build_and_execute(|| {
            let id = with_version();
            let read = Registry::version(id).unwrap();
            assert_eq!(read.id, id);
            assert_eq!(read.name, name("acme/net"));
            assert_eq!(read.version, v("1.0.0"));
            assert_eq!(read.owner, ALICE);
            assert_eq!(read.status, VersionStatus::Active);
            assert_eq!(read.manifest, manifest());
            let deposit = on_hold(HoldReason::Version, ALICE);
            assert_eq!(
                last_event(),
                Event::VersionPublished {
                    id,
                    name: name("acme/net"),
                    version: v("1.0.0"),
                    content_id: manifest().content_id,
                    owner: ALICE,
                    deposit
                }
                .into()
            );
        });
    }

    #[test]
    fn the_deposit_grows_with_the_record() {
        build_and_execute(|| {
            let id = with_version();
            let bytes = Versions::<Test>::get(id).unwrap().encoded_size() as u128;
            let first = VERSION_DEPOSIT + bytes * BYTE_DEPOSIT;
            assert_eq!(on_hold(HoldReason::Version, ALICE), first);

            let mut longer = manifest();
            longer.licence = b"Apache-2.0 OR MIT".to_vec().try_into().unwrap();
            assert_ok!(Registry::publish(
                signed(ALICE),
                name("acme/net"),
                v("1.0.1"),
                longer
            ));
            assert_eq!(on_hold(HoldReason::Version, ALICE), 2 * first + 7 * BYTE_DEPOSIT);
        });
    }

    #[test]
    fn a_new_model_needs_the_namespaces_owner() {
        build_and_execute(|| {
            assert_noop!(
                publish(ALICE, "acme/net", "1.0.0"),
                Error::<Test>::UnknownNamespace
            );
            assert_ok!(Registry::register_namespace(signed(ALICE), ns("acme")));
            assert_noop!(
                publish(BOB, "acme/net", "1.0.0"),
                Error::<Test>::NotNamespaceOwner
            );
        });
    }

    #[test]
    fn a_further_version_needs_the_models_owner() {
        build_and_execute(|| {
            with_version();
            assert_ok!(Registry::transfer_model(signed(ALICE), name("acme/net"), BOB));
            assert_noop!(publish(ALICE, "acme/net", "1.1.0"), Error::<Test>::NotModelOwner);
            assert_ok!(publish(BOB, "acme/net", "1.1.0"));
            // The namespace is still Alice's.
            assert_noop!(
                publish(BOB, "acme/other", "1.0.0"),
                Error::<Test>::NotNamespaceOwner
            );
        });
    }

    #[test]
    fn a_model_name_is_a_namespace_a_slash_and_a_name() {
        build_and_execute(|| {
            assert_ok!(Registry::register_namespace(signed(ALICE), ns("acme")));
            let long = format!("{}/b", "a".repeat(33));
            for bad in [
                "",
                "acme",
                "acme/",
                "/net",
                "acme/a/b",
                "acme//net",
                "acme/Net",
                "acme/-net",
                &long,
            ] {
                assert_noop!(publish(ALICE, bad, "1.0.0"), Error::<Test>::InvalidModelName);
            }
            assert_ok!(publish(ALICE, &format!("acme/{}", "n".repeat(91)), "1.0.0"));
        });
    }

    #[test]
    fn a_version_is_published_once_and_backports_are_welcome() {
        build_and_execute(|| {
            with_version();
            assert_noop!(publish(ALICE, "acme/net", "1.0.0"), Error::<Test>::VersionExists);
            assert_ok!(publish(ALICE, "acme/net", "2.0.0"));
            assert_ok!(publish(ALICE, "acme/net", "1.0.1"));
            assert_eq!(Models::<Test>::get(name("acme/net")).unwrap().versions, 3);
        });
    }

    #[test]
    fn a_model_has_a_bounded_number_of_versions() {
        build_and_execute(|| {
            with_version();
            for patch in 1..MAX_VERSIONS {
                assert_ok!(publish(ALICE, "acme/net", &format!("1.0.{patch}")));
            }
            assert_noop!(
                publish(ALICE, "acme/net", "2.0.0"),
                Error::<Test>::TooManyVersions
            );
            assert_ok!(Registry::yank(signed(ALICE), 0));
            assert_ok!(Registry::remove(signed(ALICE), 0));
            assert_ok!(publish(ALICE, "acme/net", "2.0.0"));
        });
    }

    #[test]
    fn numbers_are_never_used_again() {
        build_and_execute(|| {
            let id = with_version();
            assert_ok!(Registry::yank(signed(ALICE), id));
            assert_ok!(Registry::remove(signed(ALICE), id));
            assert_ok!(publish(ALICE, "acme/net", "1.0.0"));
            assert!(Registry::version(id).is_none());
            assert_eq!(Registry::resolve(b"acme/net".to_vec(), None).unwrap().id, id + 1);

            NextVersionId::<Test>::put(u32::MAX);
            assert_noop!(
                publish(ALICE, "acme/net", "3.0.0"),
                Error::<Test>::VersionIdsExhausted
            );
        });
    }

    #[test]
    fn every_part_of_the_manifest_is_checked() {
        fn with(change: impl FnOnce(&mut ModelManifest)) -> DispatchResult {
            let mut manifest = manifest();
            change(&mut manifest);
            Registry::publish(signed(ALICE), name("acme/net"), v("1.0.0"), manifest)
        }
        build_and_execute(|| {
            assert_ok!(Registry::register_namespace(signed(ALICE), ns("acme")));
            assert_noop!(
                with(|m| m.content_id = H256::zero()),
                Error::<Test>::MissingContentId
            );
            assert_noop!(with(|m| m.size = 0), Error::<Test>::EmptyModel);
            assert_noop!(with(|m| m.size = 1_000_001), Error::<Test>::ModelTooLarge);
            assert_noop!(
                with(|m| m.signature.outputs = Default::default()),
                Error::<Test>::InvalidSignature
            );
            assert_noop!(
                with(|m| m.probe = vec![0xff].try_into().unwrap()),
                Error::<Test>::InvalidProbe
            );
            assert_noop!(
                with(|m| m.tolerance = Perbill::from_parts(10_000_001)),
                Error::<Test>::ToleranceTooWide
            );
            assert_noop!(with(|m| m.complexity = 0), Error::<Test>::ZeroComplexity);
            for licence in ["", " ", " MIT", "MIT ", "MIT  OR Apache-2.0", "MIT\n", "MÏT"] {
                assert_noop!(
                    with(|m| m.licence = licence.as_bytes().to_vec().try_into().unwrap()),
                    Error::<Test>::InvalidLicence
                );
            }
            assert_ok!(with(|m| {
                m.size = 1_000_000;
                m.tolerance = Perbill::from_percent(1);
                m.probe = Default::default();
                m.base_price = 0;
                m.licence = b"(MIT OR Apache-2.0) AND LicenseRef-x"
                    .to_vec()
                    .try_into()
                    .unwrap();
            }));
        });
    }

    #[test]
    fn tensors_larger_than_the_chain_carries_can_be_described() {
        build_and_execute(|| {
            assert_ok!(Registry::register_namespace(signed(ALICE), ns("acme")));
            let mut manifest = manifest();
            manifest.signature.inputs[0].shape = vec![Dim::UpTo(u32::MAX); 8].try_into().unwrap();
            assert_ok!(Registry::publish(
                signed(ALICE),
                name("acme/net"),
                v("1.0.0"),
                manifest
            ));
        });
    }
}

mod status_changes {
    use super::*;

    #[test]
    fn a_version_is_deprecated_reactivated_and_yanked() {
        build_and_execute(|| {
            let id = with_version();
            assert_noop!(
                Registry::reactivate(signed(ALICE), id),
                Error::<Test>::NotDeprecated
            );
            assert_ok!(Registry::deprecate(signed(ALICE), id));
            assert_eq!(status(id), VersionStatus::Deprecated);
            assert_eq!(
                last_event(),
                Event::VersionStatusChanged {
                    id,
                    status: VersionStatus::Deprecated
                }
                .into()
            );
            assert_noop!(Registry::deprecate(signed(ALICE), id), Error::<Test>::NotActive);
            assert_ok!(Registry::reactivate(signed(ALICE), id));
            assert_eq!(status(id), VersionStatus::Active);
            assert_ok!(Registry::yank(signed(ALICE), id));
            assert_eq!(status(id), VersionStatus::Yanked);
        });
    }

    #[test]
    fn yanking_is_final() {
        build_and_execute(|| {
            let id = with_version();
            assert_ok!(Registry::deprecate(signed(ALICE), id));
            assert_ok!(Registry::yank(signed(ALICE), id));
            assert_noop!(Registry::yank(signed(ALICE), id), Error::<Test>::VersionYanked);
            assert_noop!(
                Registry::reactivate(signed(ALICE), id),
                Error::<Test>::NotDeprecated
            );
            assert_noop!(Registry::deprecate(signed(ALICE), id), Error::<Test>::NotActive);
        });
    }

    #[test]
    fn only_the_models_owner_changes_the_status() {
        build_and_execute(|| {
            let id = with_version();
            for call in [
                Registry::deprecate,
                Registry::reactivate,
                Registry::yank,
                Registry::remove,
            ] {
                assert_noop!(call(signed(BOB), id), Error::<Test>::NotModelOwner);
                assert_noop!(call(signed(ALICE), 9), Error::<Test>::UnknownVersion);
            }
        });
    }

    #[test]
    fn removal_frees_the_deposit_and_ends_a_model_without_versions() {
        build_and_execute(|| {
            let id = with_version();
            assert_ok!(publish(ALICE, "acme/net", "1.1.0"));
            let both = on_hold(HoldReason::Version, ALICE);
            assert_noop!(Registry::remove(signed(ALICE), id), Error::<Test>::NotYanked);
            assert_ok!(Registry::yank(signed(ALICE), id));
            assert_ok!(Registry::remove(signed(ALICE), id));
            assert_eq!(
                last_event(),
                Event::VersionRemoved {
                    id,
                    owner: ALICE,
                    deposit: both / 2
                }
                .into()
            );
            assert_eq!(on_hold(HoldReason::Version, ALICE), both / 2);
            assert!(Registry::resolve(b"acme/net".to_vec(), Some(v("1.0.0"))).is_none());

            assert_ok!(Registry::yank(signed(ALICE), id + 1));
            assert_ok!(Registry::remove(signed(ALICE), id + 1));
            assert_eq!(on_hold(HoldReason::Version, ALICE), 0);
            assert!(Models::<Test>::get(name("acme/net")).is_none());
            assert_eq!(Namespaces::<Test>::get(ns("acme")).unwrap().models, 0);
        });
    }

    #[test]
    fn a_version_in_use_is_not_removed() {
        build_and_execute(|| {
            let id = with_offer();
            assert_ok!(<Registry as ModelRegistry<u64>>::acquire(id));
            assert_ok!(Registry::yank(signed(ALICE), id));
            assert_noop!(Registry::remove(signed(ALICE), id), Error::<Test>::HasOffers);
            assert_ok!(Registry::withdraw_offer(signed(HOST), id));
            assert_noop!(Registry::remove(signed(ALICE), id), Error::<Test>::HasJobs);
            <Registry as ModelRegistry<u64>>::release(id);
            assert_ok!(Registry::remove(signed(ALICE), id));
            assert!(Usage::<Test>::get(id).is_none());
        });
    }
}

mod transfers {
    use super::*;

    #[test]
    fn the_deposits_of_all_versions_go_with_the_model() {
        build_and_execute(|| {
            let id = with_version();
            assert_ok!(publish(ALICE, "acme/net", "1.1.0"));
            let deposits = on_hold(HoldReason::Version, ALICE);
            assert_ok!(Registry::transfer_model(signed(ALICE), name("acme/net"), BOB));
            assert_eq!(
                last_event(),
                Event::ModelTransferred {
                    name: name("acme/net"),
                    from: ALICE,
                    to: BOB
                }
                .into()
            );
            assert_eq!(on_hold(HoldReason::Version, ALICE), 0);
            assert_eq!(on_hold(HoldReason::Version, BOB), deposits);
            assert_eq!(Registry::version(id).unwrap().owner, BOB);
            assert_noop!(Registry::yank(signed(ALICE), id), Error::<Test>::NotModelOwner);
            assert_ok!(Registry::yank(signed(BOB), id));
        });
    }

    #[test]
    fn a_model_of_another_owner_survives_a_transfer_of_its_namespace() {
        build_and_execute(|| {
            let id = with_version();
            assert_ok!(Registry::transfer_namespace(signed(ALICE), ns("acme"), BOB));
            assert_eq!(Registry::version(id).unwrap().owner, ALICE);
            assert_ok!(publish(ALICE, "acme/net", "1.1.0"));
            assert_noop!(
                publish(ALICE, "acme/other", "1.0.0"),
                Error::<Test>::NotNamespaceOwner
            );
            assert_ok!(publish(BOB, "acme/other", "1.0.0"));
        });
    }

    #[test]
    fn only_the_owner_transfers_a_model() {
        build_and_execute(|| {
            with_version();
            let transfer = |who, model, to| Registry::transfer_model(signed(who), name(model), to);
            assert_noop!(transfer(BOB, "acme/net", BOB), Error::<Test>::NotModelOwner);
            assert_noop!(transfer(ALICE, "acme/net", ALICE), Error::<Test>::SameOwner);
            assert_noop!(transfer(ALICE, "acme/none", BOB), Error::<Test>::UnknownModel);
            assert_noop!(transfer(ALICE, "acme/net", 99), TokenError::CannotCreateHold);
        });
    }
}

mod offers {
    use super::*;

    #[test]
    fn an_offer_holds_a_deposit_and_is_found_by_version_and_by_host() {
        build_and_execute(|| {
            let id = with_offer();
            assert_eq!(
                last_event(),
                Event::OfferPlaced {
                    id,
                    host: HOST,
                    terms: TERMS
                }
                .into()
            );
            assert_eq!(on_hold(HoldReason::Offer, HOST), OFFER_DEPOSIT);
            assert_eq!(Registry::offers(id), [(HOST, TERMS)]);
            assert_eq!(Registry::offers_of(HOST), [(id, TERMS)]);
            assert_eq!(Registry::offers_of(OTHER_HOST), []);
        });
    }

    #[test]
    fn an_offer_is_replaced_without_a_second_deposit() {
        build_and_execute(|| {
            let id = with_offer();
            let terms = OfferTerms {
                price: 200,
                capacity: 1,
            };
            assert_ok!(Registry::offer(signed(HOST), id, terms));
            assert_eq!(Registry::offers(id), [(HOST, terms)]);
            assert_eq!(on_hold(HoldReason::Offer, HOST), OFFER_DEPOSIT);
            assert_eq!(Usage::<Test>::get(id).unwrap().offers, 1);
        });
    }

    #[test]
    fn only_hosts_in_good_standing_offer() {
        build_and_execute(|| {
            let id = with_version();
            assert_noop!(Registry::offer(signed(BOB), id, TERMS), Error::<Test>::NotHost);
        });
    }

    #[test]
    fn terms_are_checked() {
        build_and_execute(|| {
            let id = with_version();
            let offer = |price, capacity| Registry::offer(signed(HOST), id, OfferTerms { price, capacity });
            assert_noop!(offer(99, 1), Error::<Test>::PriceBelowBase);
            assert_noop!(offer(100, 0), Error::<Test>::InvalidCapacity);
            assert_noop!(offer(100, MAX_CAPACITY + 1), Error::<Test>::InvalidCapacity);
            assert_ok!(offer(100, MAX_CAPACITY));
            assert_noop!(
                Registry::offer(signed(HOST), 9, TERMS),
                Error::<Test>::UnknownVersion
            );
        });
    }

    #[test]
    fn a_deprecated_version_takes_no_new_offers_but_new_terms() {
        build_and_execute(|| {
            let id = with_offer();
            assert_ok!(Registry::deprecate(signed(ALICE), id));
            assert_noop!(
                Registry::offer(signed(OTHER_HOST), id, TERMS),
                Error::<Test>::NotActive
            );
            assert_ok!(Registry::offer(
                signed(HOST),
                id,
                OfferTerms { price: 300, ..TERMS }
            ));
            assert_ok!(Registry::yank(signed(ALICE), id));
            assert_noop!(
                Registry::offer(signed(HOST), id, TERMS),
                Error::<Test>::VersionYanked
            );
        });
    }

    #[test]
    fn a_version_has_a_bounded_number_of_offers() {
        build_and_execute(|| {
            let id = with_version();
            Hosts::set((10..=20).collect());
            for host in 10..10 + u64::from(MAX_OFFERS) {
                assert_ok!(Registry::offer(signed(host), id, TERMS));
            }
            assert_noop!(
                Registry::offer(signed(20), id, TERMS),
                Error::<Test>::TooManyOffersForVersion
            );
            assert_ok!(Registry::withdraw_offer(signed(10), id));
            assert_ok!(Registry::offer(signed(20), id, TERMS));
        });
    }

    #[test]
    fn a_host_has_a_bounded_number_of_offers() {
        build_and_execute(|| {
            with_version();
            for patch in 1..=MAX_OFFERS {
                assert_ok!(publish(ALICE, &format!("acme/net{patch}"), "1.0.0"));
                assert_ok!(Registry::offer(signed(HOST), patch, TERMS));
            }
            assert_noop!(
                Registry::offer(signed(HOST), 0, TERMS),
                Error::<Test>::TooManyOffersOfHost
            );
        });
    }

    #[test]
    fn an_offer_can_be_withdrawn_whatever_became_of_host_and_version() {
        build_and_execute(|| {
            let id = with_offer();
            Hosts::set(vec![]);
            assert_ok!(Registry::yank(signed(ALICE), id));
            assert_ok!(Registry::withdraw_offer(signed(HOST), id));
            assert_eq!(last_event(), Event::OfferWithdrawn { id, host: HOST }.into());
            assert_eq!(Balances::balance(&HOST), FUNDS);
            assert!(Offers::<Test>::iter().next().is_none());
            assert!(!OffersOfHost::<Test>::contains_key(HOST));
            assert_noop!(
                Registry::withdraw_offer(signed(HOST), id),
                Error::<Test>::UnknownOffer
            );
        });
    }

    #[test]
    fn an_offer_of_a_former_host_can_be_pruned_by_anyone() {
        build_and_execute(|| {
            let id = with_offer();
            assert_noop!(
                Registry::prune_offer(signed(BOB), id, HOST),
                Error::<Test>::OfferCounts
            );
            assert_noop!(
                Registry::prune_offer(signed(BOB), id, OTHER_HOST),
                Error::<Test>::UnknownOffer
            );
            Hosts::set(vec![]);
            assert_ok!(Registry::prune_offer(signed(BOB), id, HOST));
            assert_eq!(
                last_event(),
                Event::OfferPruned {
                    id,
                    host: HOST,
                    by: BOB
                }
                .into()
            );
            assert_eq!(Balances::balance(&HOST), FUNDS);
            assert_eq!(Registry::offers(id), []);
        });
    }

    #[test]
    fn an_offer_for_a_yanked_version_can_be_pruned() {
        build_and_execute(|| {
            let id = with_offer();
            assert_ok!(Registry::deprecate(signed(ALICE), id));
            assert_noop!(
                Registry::prune_offer(signed(ALICE), id, HOST),
                Error::<Test>::OfferCounts
            );
            assert_ok!(Registry::yank(signed(ALICE), id));
            assert_ok!(Registry::prune_offer(signed(ALICE), id, HOST));
            assert_ok!(Registry::remove(signed(ALICE), id));
        });
    }
}

mod reads {
    use super::*;

    fn resolve(model: &str, version: Option<&str>) -> Option<u32> {
        Registry::resolve(model.as_bytes().to_vec(), version.map(v)).map(|v| v.id)
    }

    #[test]
    fn a_name_without_a_version_is_the_highest_active_one() {
        build_and_execute(|| {
            with_version();
            for version in ["1.10.0", "1.9.0", "2.0.0"] {
                assert_ok!(publish(ALICE, "acme/net", version));
            }
            assert_eq!(resolve("acme/net", None), Some(3));
            assert_ok!(Registry::yank(signed(ALICE), 3));
            assert_eq!(resolve("acme/net", None), Some(1));
            assert_ok!(Registry::deprecate(signed(ALICE), 1));
            assert_eq!(resolve("acme/net", None), Some(2));
        });
    }

    #[test]
    fn a_named_version_is_found_whatever_its_status() {
        build_and_execute(|| {
            let id = with_version();
            assert_ok!(Registry::yank(signed(ALICE), id));
            assert_eq!(resolve("acme/net", Some("1.0.0")), Some(id));
            assert_eq!(resolve("acme/net", None), None);
            assert_eq!(resolve("acme/net", Some("1.0.1")), None);
            assert_eq!(resolve("acme/none", Some("1.0.0")), None);
            assert_eq!(resolve(&"x".repeat(1_000), None), None);
        });
    }

    #[test]
    fn versions_are_listed_in_order_of_publication() {
        build_and_execute(|| {
            with_version();
            for n in 1..6 {
                assert_ok!(publish(ALICE, &format!("acme/net{n}"), "1.0.0"));
            }
            assert_ok!(Registry::yank(signed(ALICE), 2));
            assert_ok!(Registry::remove(signed(ALICE), 2));
            let ids = |from, limit| {
                Registry::versions(from, limit)
                    .iter()
                    .map(|v| v.id)
                    .collect::<Vec<_>>()
            };
            assert_eq!(ids(0, 100), [0, 1, 3, 4, 5]);
            assert_eq!(ids(1, 2), [1, 3]);
            assert_eq!(ids(5, u32::MAX), [5]);
            assert!(ids(6, 10).is_empty());
            assert!(ids(0, 0).is_empty());
        });
    }

    #[test]
    fn job_references_are_counted() {
        build_and_execute(|| {
            let id = with_version();
            let acquire = <Registry as ModelRegistry<u64>>::acquire;
            let release = <Registry as ModelRegistry<u64>>::release;
            assert_ok!(acquire(id));
            assert_ok!(acquire(id));
            release(id);
            assert_eq!(Usage::<Test>::get(id), Some(VersionUsage { jobs: 1, offers: 0 }));
            release(id);
            assert_noop!(acquire(9), Error::<Test>::UnknownVersion);
            Usage::<Test>::insert(
                id,
                VersionUsage {
                    jobs: u32::MAX,
                    offers: 0,
                },
            );
            assert_noop!(acquire(id), Error::<Test>::TooManyJobs);
        });
    }

    #[test]
    fn other_pallets_read_the_same() {
        build_and_execute(|| {
            let id = with_offer();
            assert_eq!(
                <Registry as ModelRegistry<u64>>::version(id),
                Registry::version(id)
            );
            assert_eq!(<Registry as ModelRegistry<u64>>::offers(id), [(HOST, TERMS)]);
            assert_eq!(<Registry as ModelRegistry<u64>>::max_offers(), MAX_OFFERS);
        });
    }
}

#[derive(Clone, Debug)]
enum Step {
    Register(u64, u8),
    TransferNamespace(u64, u8, u64),
    RemoveNamespace(u64, u8),
    Publish(u64, u8, u8, u16),
    TransferModel(u64, u8, u8, u64),
    Deprecate(u64, u32),
    Reactivate(u64, u32),
    Yank(u64, u32),
    Remove(u64, u32),
    Offer(u64, u32, u128),
    Withdraw(u64, u32),
    Prune(u64, u32, u64),
    Standing(Vec<u64>),
    Acquire(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 1u64..4;
    let namespace = || 0u8..2;
    let id = || 0u32..8;
    prop_oneof![
        2 => (who(), namespace()).prop_map(|(w, n)| Step::Register(w, n)),
        1 => (who(), namespace(), who()).prop_map(|(w, n, t)| Step::TransferNamespace(w, n, t)),
        1 => (who(), namespace()).prop_map(|(w, n)| Step::RemoveNamespace(w, n)),
        6 => (who(), namespace(), 0u8..2, 0u16..3).prop_map(|(w, n, m, p)| Step::Publish(w, n, m, p)),
        1 => (who(), namespace(), 0u8..2, who()).prop_map(|(w, n, m, t)| Step::TransferModel(w, n, m, t)),
        1 => (who(), id()).prop_map(|(w, i)| Step::Deprecate(w, i)),
        1 => (who(), id()).prop_map(|(w, i)| Step::Reactivate(w, i)),
        3 => (who(), id()).prop_map(|(w, i)| Step::Yank(w, i)),
        4 => (who(), id()).prop_map(|(w, i)| Step::Remove(w, i)),
        6 => (who(), id(), 90u128..200).prop_map(|(w, i, p)| Step::Offer(w, i, p)),
        2 => (who(), id()).prop_map(|(w, i)| Step::Withdraw(w, i)),
        3 => (who(), id(), who()).prop_map(|(w, i, h)| Step::Prune(w, i, h)),
        1 => prop::collection::vec(who(), 0..4).prop_map(Step::Standing),
        1 => id().prop_map(Step::Acquire),
    ]
}

fn apply(step: Step) {
    let model = |n: u8, m: u8| format!("space{n}/model{m}");
    let space = |n: u8| ns(&format!("space{n}"));
    // Refusals are part of the game; what matters is what is left behind.
    let _ = match step {
        Step::Register(who, n) => Registry::register_namespace(signed(who), space(n)),
        Step::TransferNamespace(who, n, to) => Registry::transfer_namespace(signed(who), space(n), to),
        Step::RemoveNamespace(who, n) => Registry::remove_namespace(signed(who), space(n)),
        Step::Publish(who, n, m, patch) => publish(who, &model(n, m), &format!("1.0.{patch}")),
        Step::TransferModel(who, n, m, to) => Registry::transfer_model(signed(who), name(&model(n, m)), to),
        Step::Deprecate(who, id) => Registry::deprecate(signed(who), id),
        Step::Reactivate(who, id) => Registry::reactivate(signed(who), id),
        Step::Yank(who, id) => Registry::yank(signed(who), id),
        Step::Remove(who, id) => Registry::remove(signed(who), id),
        Step::Offer(who, id, price) => Registry::offer(signed(who), id, OfferTerms { price, capacity: 1 }),
        Step::Withdraw(who, id) => Registry::withdraw_offer(signed(who), id),
        Step::Prune(who, id, host) => Registry::prune_offer(signed(who), id, host),
        Step::Standing(hosts) => {
            Hosts::set(hosts);
            Ok(())
        }
        Step::Acquire(id) => <Registry as ModelRegistry<u64>>::acquire(id)
            .map(|()| <Registry as ModelRegistry<u64>>::release(id)),
    };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn storage_and_deposits_agree_after_any_order_of_calls(steps in prop::collection::vec(step(), 1..120)) {
        new_test_ext().execute_with(|| {
            Hosts::set(vec![1, 2, 3]);
            let issuance = Balances::total_issuance();
            for step in steps {
                apply(step);
                Registry::do_try_state().unwrap();
                assert_eq!(Balances::total_issuance(), issuance);
            }

            // Whoever takes everything back has nothing on hold at the end.
            Hosts::set(vec![]);
            for id in 0..NextVersionId::<Test>::get() {
                let Some(version) = Registry::version(id) else { continue };
                for (host, _) in Registry::offers(id) {
                    assert_ok!(Registry::prune_offer(signed(BOB), id, host));
                }
                if version.status != VersionStatus::Yanked {
                    assert_ok!(Registry::yank(signed(version.owner), id));
                }
                assert_ok!(Registry::remove(signed(version.owner), id));
            }
            for (namespace, record) in Namespaces::<Test>::iter().collect::<Vec<_>>() {
                assert_ok!(Registry::remove_namespace(signed(record.owner), namespace));
            }
            for who in 1..=20 {
                assert_eq!(Balances::total_balance_on_hold(&who), 0);
            }
            Registry::do_try_state().unwrap();
        });
    }
}
