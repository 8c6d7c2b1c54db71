//! Payment channels, from opening to settlement, with real keys and with staking behind the hosts.

use super::{
    market::{CLIENT, DELEGATOR, FEE, HOST, become_host, block, by, run},
    *,
};
use frame_support::traits::fungible::InspectHold;
use llmesh_primitives::{
    ChannelId, ChannelState, Claim, Priority, SignedVoucher, Voucher, Work,
    api::runtime_decl_for_settlement_api::SettlementApiV1,
};
use sp_core::H256;

const SECOND: Sr25519Keyring = Sr25519Keyring::BobStash;
/// Signs vouchers; has no account.
const SIGNER: Sr25519Keyring = Sr25519Keyring::One;
/// The hot key of [`HOST`].
const HOT: Sr25519Keyring = Sr25519Keyring::Two;

/// With receipts for what `covered`, that many receipts of that value, leaves of the sum.
fn claim(
    channel: ChannelId,
    lane: u16,
    nonce: u64,
    cumulative: Balance,
    covered: (u64, Balance),
    by: Sr25519Keyring,
) -> Claim {
    let voucher = Voucher {
        genesis: System::block_hash(0),
        channel,
        epoch: 0,
        lane,
        nonce,
        cumulative,
        receipts: H256::zero(),
    };
    let signature = by.pair().sign(&voucher.payload()).into();
    let work = match cumulative - covered.1 {
        0 => Work::default(),
        value => Work {
            root: H256::repeat_byte(1),
            leaves: 1,
            value,
        },
    };
    SignedVoucher { voucher, signature }.claim(covered.0, work)
}

fn open(lanes: &[(Sr25519Keyring, Balance)], lifetime: BlockNumber) -> ChannelId {
    let id = pallet_settlement::NextChannelId::<Runtime>::get();
    let lanes: Vec<_> = lanes
        .iter()
        .map(|(host, amount)| (account(*host), *amount))
        .collect();
    assert_ok!(Settlement::open_channel(
        by(CLIENT),
        account(SIGNER),
        lanes.try_into().unwrap(),
        lifetime
    ));
    id
}

fn free(who: Sr25519Keyring) -> Balance {
    Balances::balance(&account(who))
}

#[test]
fn a_channel_pays_its_hosts_and_gives_the_rest_back() {
    run(|_| {
        become_host(SECOND);
        let id = open(&[(HOST, 10 * MESH), (SECOND, 5 * MESH)], 100);
        let deposit = Settlement::channel(id).expect("it is open").deposit;
        assert!(deposit > 0);
        assert_eq!(free(CLIENT), ENDOWMENT - 15 * MESH - deposit);
        assert_eq!(
            Runtime::channels_of(account(CLIENT)),
            [(id, Runtime::channel(id).unwrap())]
        );
        assert_eq!(Runtime::lanes_of(account(SECOND), 0, 9), [(id, 1)]);
        block(2);

        // The host's hot key claims more than there is; a voucher that the payer's own key signed is worth nothing.
        assert_ok!(Proxy::add_proxy(
            by(HOST),
            account(HOT).into(),
            ProxyType::Compute,
            0
        ));
        let before = (
            free(HOST),
            free(SECOND),
            Balances::balance(&TreasuryAccount::get()),
        );
        let claims = vec![
            claim(id, 0, 1, 4 * MESH, (0, 0), SIGNER),
            claim(id, 0, 3, 40 * MESH, (1, 4 * MESH), CLIENT),
            claim(id, 0, 2, 12 * MESH, (1, 4 * MESH), SIGNER),
        ];
        assert_ok!(Proxy::proxy(
            by(HOT),
            account(HOST).into(),
            None,
            Box::new(RuntimeCall::Settlement(pallet_settlement::Call::claim_batch {
                claims: claims.try_into().unwrap()
            }))
        ));
        let lane = &Settlement::channel(id).unwrap().lanes[0];
        assert_eq!((lane.paid, lane.claimed, lane.nonce), (10 * MESH, 12 * MESH, 2));
        System::assert_has_event(
            pallet_settlement::Event::ClaimSkipped {
                channel: id,
                lane: 0,
                error: pallet_settlement::Error::<Runtime>::BadSignature.into(),
            }
            .into(),
        );

        // The rest after a top-up. Half of the stake is delegated: half of what the commission leaves is the delegator's.
        assert_ok!(Settlement::fund_lane(by(CLIENT), id, 0, 3 * MESH));
        let again = claim(id, 0, 2, 12 * MESH, (2, 12 * MESH), SIGNER);
        assert_ok!(Settlement::claim(by(HOST), again));
        let (host_part, delegators) = (12 * MESH * 7 / 10, 12 * MESH * 7 / 10 * 95 / 100 / 2);
        assert_eq!(free(HOST), before.0 + host_part - delegators);
        assert_eq!(
            MeshStaking::pending_rewards(account(HOST), account(DELEGATOR)),
            delegators
        );
        assert_eq!(
            Balances::balance(&TreasuryAccount::get()),
            before.2 + 12 * MESH / 10
        );

        // The window of a developer's chain is 20 blocks.
        assert_ok!(Settlement::close(by(CLIENT), id));
        let until = System::block_number() + DEV_CHALLENGE_WINDOW;
        assert_eq!(
            Settlement::channel(id).unwrap().state,
            ChannelState::Closing { until }
        );
        while System::block_number() < until {
            block(2);
        }
        assert_ok!(Settlement::claim(
            by(SECOND),
            claim(id, 1, 1, MESH, (0, 0), SIGNER)
        ));
        assert_eq!(free(SECOND), before.1 + MESH * 7 / 10);
        assert_noop!(
            Settlement::settle(by(HOT), id),
            pallet_settlement::Error::<Runtime>::ChannelNotOver
        );
        block(2);
        assert_ok!(Settlement::settle(by(HOT), id));
        assert_eq!(free(CLIENT), ENDOWMENT - 13 * MESH);
        assert_eq!(Balances::total_balance_on_hold(&account(CLIENT)), 0);
        assert_eq!(Runtime::channel(id), None);
    });
}

#[test]
fn the_fee_is_that_of_a_job_for_the_same_price() {
    run(|model| {
        assert_eq!(Runtime::fee(model, MILLI_MESH, Priority::Normal), Some(FEE));
        assert_eq!(Runtime::fee(model, MILLI_MESH, Priority::Urgent), Some(2 * FEE));
        assert_eq!(Runtime::fee(model, Balance::MAX, Priority::Normal), None);
        assert_eq!(Runtime::fee(model + 1, MILLI_MESH, Priority::Normal), None);
    });
}

#[test]
fn a_full_batch_of_claims_fits_into_a_transaction_and_costs_less_than_its_claims_alone() {
    chain(DEV_RUNTIME_PRESET).execute_with(|| {
        start_block();
        let single = claim(0, 0, 1, 1, (0, 0), SIGNER);
        let batch = vec![single.clone(); llmesh_primitives::channel::MAX_CLAIMS as usize];
        let cost = |call: RuntimeCall| {
            let sent = signed(HOST, call, 0);
            TransactionPayment::compute_fee(sent.encoded_size() as u32, &sent.get_dispatch_info(), 0)
        };
        let alone = cost(RuntimeCall::Settlement(pallet_settlement::Call::claim {
            claim: single,
        }));
        let call = RuntimeCall::Settlement(pallet_settlement::Call::claim_batch {
            claims: batch.try_into().unwrap(),
        });
        let together = cost(call.clone());
        assert!(
            together < 128 * alone,
            "{together} planck for a batch, {alone} alone"
        );

        // None of these holds, so most of the fee comes back.
        let before = free(HOST);
        assert_ok!(Executive::apply_extrinsic(signed(HOST, call, 0)).expect("it fits"));
        let paid = before - free(HOST);
        assert!(paid < together / 2, "{paid} of {together} planck");
    });
}
