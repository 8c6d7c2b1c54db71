//! # Settlement
//!
//! Where the money for results waits, what a result costs, and who gets which part of it.
//!
//! ## Escrow
//!
//! Other pallets set funds aside and pay out of them through [`llmesh_primitives::traits::Escrow`]; there are
//! no calls. The funds stay in the client's account, on hold for [`HoldReason::JobEscrow`]. Only what the
//! client could spend can be set aside (funds that are locked for another purpose can not), so a lock placed
//! later never keeps a host from being paid.
//!
//! A payment goes to three accounts in one step: the host, the **verifier pool** (an account of this pallet,
//! see [`Config::PalletId`]) and the treasury, by the shares [`Config::HostShare`] and [`Config::PoolShare`];
//! the treasury gets the rest, so that the parts always add up. The host's part is then announced to
//! [`llmesh_primitives::traits::RewardSink`], which shares it with delegators. Every operation moves exactly
//! what it says or fails without effect.
//!
//! ## Fees
//!
//! `fee = price x complexity x demand x priority`, where the price is in planck per million
//! multiply-accumulates and the priority factor is 1 (normal), 1.5 (high) or 2 (urgent). The fee is rounded
//! up to a multiple of [`FEE_QUANTUM`] planck, which splits 70/20/10 without remainder, and is at least
//! [`Config::MinFee`].
//!
//! The **demand factor** of a model version moves with its utilisation, once per epoch, see [`demand`].
//!
//! ## Channels
//!
//! A payer opens a channel with an allocation for each host it means to use (a *lane*), signs vouchers off the chain, and
//! hosts claim what the vouchers say; see [`llmesh_primitives::channel`] for what is signed. The allocations are on
//! hold for [`HoldReason::Channel`], the deposits for the records for [`HoldReason::ChannelDeposit`].
//!
//! - **Claims** are paid out of the lane's allocation only, so nobody's claim can be spoiled by another's. A voucher says
//!   the sum since the lane began; what was paid before is taken off, so a claim that is repeated pays nothing twice and
//!   a voucher that gets lost loses nothing. A claim of more than the allocation pays what there is; the rest stays
//!   owed and is paid when the claim is repeated after a top-up.
//! - **The end**: `close` starts the challenge window ([`Config::ChallengeWindow`]). Hosts can claim up to and including
//!   its last block, and never later than the channel's `expires_at`, whichever is first. Then, or as soon as every
//!   lane is released by its host, `settle` gives the rest back, or `reopen` begins a new epoch with it. Vouchers of an
//!   epoch count in that epoch only.
//! - **Proof of Compute**: a claim states a Merkle sum tree over the receipts that it adds to those of the claims before
//!   it ([`llmesh_primitives::Work`]), and a lane is paid no more than the value of all of its trees. Each tree is announced
//!   to [`Config::Work`], which audits it once; a later claim can not change what is in it. A
//!   conviction ([`llmesh_primitives::traits::VerdictHandler`]) forfeits what the host has not claimed of all channels
//!   opened so far.
//! - **Small payments**: a claim of any size is paid, by the same shares as every fee, the treasury getting what the
//!   rounding leaves. Below [`Config::MinFee`] a part can be less than the existential deposit: a part that its receiver
//!   can not take, because the account is gone, goes to the treasury, and the treasury's part to the host if the
//!   treasury's account is gone. So a claim by a host whose account exists never fails for its size.
//! - **Unserved work** is not refunded here: the chain pays what was signed. Both ends see to it that no more is signed
//!   than is served.
//!
//! Each host has at most [`Config::MaxLanesPerHost`] lanes, so that [`Pallet::lanes_of`] stays bounded. Whoever fills them
//! with lanes that are not used pays a deposit and an allocation for each, and the host gets rid of them by
//! `release_lane`.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used
    )
)]

extern crate alloc;

mod channels;
mod claims;
pub mod demand;
mod escrow;
mod fee;
mod pool;
mod try_state;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use channels::LaneKey;
pub use fee::FEE_QUANTUM;
pub use pallet::*;
pub use weights::WeightInfo;

/// What benchmarks need of the rest of the runtime.
#[cfg(feature = "runtime-benchmarks")]
pub trait BenchmarkHelper<AccountId> {
    /// Makes `who` a host in good standing whose revenue is as dear to book as it can be.
    fn make_host(who: &AccountId);
}

#[allow(clippy::expect_used, reason = "FRAME's macros expand to it")]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::vec::Vec;
    use frame_support::{PalletId, pallet_prelude::*, traits::fungible};
    use frame_system::pallet_prelude::*;
    use llmesh_primitives::{
        Channel, ChannelId, Claim, LaneId, ModelVersionId,
        channel::{MAX_CLAIMS, MAX_LANES},
        traits::{RewardSink, StakeProvider, WorkSink},
    };
    use sp_core::H256;
    use sp_runtime::{AccountId32, FixedU128, Permill, traits::AccountIdConversion};

    /// Storage layout of this release.
    pub const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>, Hash = H256> {
        /// The currency of fees.
        type Currency: fungible::Inspect<Self::AccountId, Balance = u128>
            + fungible::Mutate<Self::AccountId>
            + fungible::MutateHold<Self::AccountId, Reason = Self::RuntimeHoldReason>;

        /// The runtime's hold reasons.
        type RuntimeHoldReason: From<HoldReason>;

        /// Who is a host in good standing.
        type Stake: StakeProvider<Self::AccountId>;

        /// Told of a host's part after each payment.
        type Rewards: RewardSink<Self::AccountId>;

        /// Told of what is behind each paid claim.
        type Work: WorkSink<Self::AccountId>;

        /// The account of the treasury.
        type Treasury: Get<Self::AccountId>;

        /// Names the account of the verifier pool.
        #[pallet::constant]
        type PalletId: Get<PalletId>;

        /// The host's part of a fee.
        #[pallet::constant]
        type HostShare: Get<Permill>;

        /// The verifier pool's part of a fee. What the two shares leave goes to the treasury.
        #[pallet::constant]
        type PoolShare: Get<Permill>;

        /// Least fee for a result, in planck; a multiple of [`FEE_QUANTUM`]. Every part of it must be at
        /// least the existential deposit, so that a payment never fails for the state of a receiving account.
        #[pallet::constant]
        type MinFee: Get<u128>;

        /// Blocks for which hosts can still claim after a payer closed a channel, and least lifetime of a channel.
        /// Not a metadata constant: presets differ in it.
        type ChallengeWindow: Get<BlockNumberFor<Self>>;

        /// Most blocks from now to a channel's expiry.
        #[pallet::constant]
        type MaxLifetime: Get<BlockNumberFor<Self>>;

        /// Channels that one payer can have, at most 100.
        #[pallet::constant]
        type MaxChannelsPerPayer: Get<u32>;

        /// Lanes that one host can have in all channels together, those that it released not counted.
        #[pallet::constant]
        type MaxLanesPerHost: Get<u32>;

        /// Deposit for a channel's record, in planck.
        #[pallet::constant]
        type ChannelDeposit: Get<u128>;

        /// Deposit for each lane of it, in planck.
        #[pallet::constant]
        type LaneDeposit: Get<u128>;

        /// Weights of the calls, and of what other pallets make this one do.
        type WeightInfo: WeightInfo;

        /// Sets the stage for benchmarks.
        #[cfg(feature = "runtime-benchmarks")]
        type BenchmarkHelper: BenchmarkHelper<Self::AccountId>;
    }

    /// Why this pallet holds funds.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// Waits for the result of a job: paid out when it comes, given back when it does not.
        JobEscrow,
        /// Allocated to the hosts of a payment channel: paid out as they claim, given back when the channel is settled.
        Channel,
        /// Deposit for a payment channel's record; given back when the channel is settled.
        ChannelDeposit,
    }

    /// What is set aside at present, by client, in planck. No entry where nothing is.
    #[pallet::storage]
    pub type Held<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u128, ValueQuery>;

    /// Sum of [`Held`], in planck.
    #[pallet::storage]
    pub type TotalHeld<T: Config> = StorageValue<_, u128, ValueQuery>;

    /// Demand factor by model version; 1 for a version whose utilisation was never out of the dead band.
    #[pallet::storage]
    pub type Demand<T: Config> =
        StorageMap<_, Twox64Concat, ModelVersionId, FixedU128, ValueQuery, InitialDemand>;

    /// The demand factor that every model version begins with.
    pub struct InitialDemand;
    impl Get<FixedU128> for InitialDemand {
        fn get() -> FixedU128 {
            demand::INITIAL
        }
    }

    /// Number of the next channel.
    #[pallet::storage]
    pub type NextChannelId<T> = StorageValue<_, ChannelId, ValueQuery>;

    /// Every channel that is not settled.
    #[pallet::storage]
    pub type Channels<T: Config> =
        StorageMap<_, Twox64Concat, ChannelId, Channel<T::AccountId, BlockNumberFor<T>>>;

    /// The numbers of a payer's channels, in order of opening. No entry without channels.
    #[pallet::storage]
    pub type PayerChannels<T: Config> = StorageMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        BoundedVec<ChannelId, T::MaxChannelsPerPayer>,
        ValueQuery,
    >;

    /// A host's lanes that it has not released, in order of channel and lane.
    #[pallet::storage]
    pub type HostLanes<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Identity, LaneKey, (), OptionQuery>;

    /// Number of entries of each host in [`HostLanes`]. No entry for none.
    #[pallet::storage]
    pub type HostLaneCount<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u32, ValueQuery>;

    /// Hosts that an audit convicted: in channels with a lower number than this they can claim nothing any more.
    #[pallet::storage]
    pub type ForfeitedBelow<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, ChannelId, ValueQuery>;

    /// What the verifier pool got of a host's fees since it was last taken into account, in planck.
    #[pallet::storage]
    pub type PoolCut<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u128, ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A result was paid for. `fee = host_paid + pool_paid + treasury_paid`, in planck.
        FeePaid {
            payer: T::AccountId,
            host: T::AccountId,
            fee: u128,
            host_paid: u128,
            pool_paid: u128,
            treasury_paid: u128,
        },
        /// The demand factor of a model version moved.
        DemandChanged {
            model: ModelVersionId,
            demand: FixedU128,
        },
        /// A channel is open. `funded` planck are on hold for its lanes, `deposit` for its record.
        ChannelOpened {
            channel: ChannelId,
            payer: T::AccountId,
            signer: AccountId32,
            funded: u128,
            deposit: u128,
            expires_at: BlockNumberFor<T>,
        },
        /// A host has a lane in a channel, with an allocation of `funded` planck.
        LaneOpened {
            channel: ChannelId,
            epoch: u32,
            lane: LaneId,
            host: T::AccountId,
            funded: u128,
        },
        /// A lane's allocation was raised by `amount` to `funded` planck in all.
        LaneFunded {
            channel: ChannelId,
            lane: LaneId,
            amount: u128,
            funded: u128,
        },
        /// An audit convicted the host: from channels with a lower number than `below` it gets nothing any more. What it
        /// had not claimed goes back to the payers when the channels are settled.
        RevenueForfeited { host: T::AccountId, below: ChannelId },
        /// A channel expires later than before.
        ChannelExtended {
            channel: ChannelId,
            expires_at: BlockNumberFor<T>,
        },
        /// A voucher was claimed. `cumulative` is the sum it states, `paid` what was paid for it now, and `owed` what the
        /// lane was short of; `paid = host_paid + pool_paid + treasury_paid`, in planck.
        Claimed {
            channel: ChannelId,
            lane: LaneId,
            host: T::AccountId,
            cumulative: u128,
            paid: u128,
            host_paid: u128,
            pool_paid: u128,
            treasury_paid: u128,
            owed: u128,
        },
        /// A claim of a batch was passed over, for this reason.
        ClaimSkipped {
            channel: ChannelId,
            lane: LaneId,
            error: DispatchError,
        },
        /// A host gave up what it did not claim: `unspent` planck that go back when the channel is settled.
        LaneReleased {
            channel: ChannelId,
            lane: LaneId,
            host: T::AccountId,
            unspent: u128,
        },
        /// The payer wants the rest back. Hosts can claim up to and including block `until`.
        ChannelClosed {
            channel: ChannelId,
            until: BlockNumberFor<T>,
        },
        /// A channel is gone. `funded = paid + refunded`, in planck; `owed` is what was claimed but never funded,
        /// `deposit` what was given back for the record.
        ChannelSettled {
            channel: ChannelId,
            payer: T::AccountId,
            epoch: u32,
            funded: u128,
            paid: u128,
            refunded: u128,
            owed: u128,
            deposit: u128,
        },
        /// A channel goes on as epoch `epoch`. Of the epoch before `funded = paid + carried + refunded` and `owed` was
        /// never funded; the new lanes have `carried + added` planck.
        ChannelReopened {
            channel: ChannelId,
            payer: T::AccountId,
            epoch: u32,
            signer: AccountId32,
            funded: u128,
            paid: u128,
            owed: u128,
            carried: u128,
            refunded: u128,
            added: u128,
            deposit: u128,
            expires_at: BlockNumberFor<T>,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The account has less than this amount that it could spend.
        InsufficientFunds,
        /// Less than this amount is set aside for the account.
        InsufficientEscrow,
        /// No channel has this number, or it is settled.
        UnknownChannel,
        /// The channel has no lane with this number.
        UnknownLane,
        /// Only the channel's payer can do this.
        NotPayer,
        /// The lane is another account's.
        NotLaneHost,
        /// The account has as many channels as a payer can have.
        TooManyChannels,
        /// The channel has as many lanes as a channel can have.
        TooManyLanes,
        /// The host has as many lanes as a host can have.
        HostHasTooManyLanes,
        /// A channel needs at least one lane.
        NoLanes,
        /// The account is no host in good standing.
        NotAHost,
        /// The host has a lane in this channel already.
        RepeatedHost,
        /// A lane's allocation must be at least the least fee.
        AllocationTooSmall,
        /// The amount is zero.
        ZeroAmount,
        /// The lifetime is shorter than the challenge window or longer than the maximum.
        InvalidLifetime,
        /// The channel expires later than that already.
        NotLater,
        /// The channel is being closed.
        ChannelClosing,
        /// Nothing can be claimed from the channel any more: it can be settled or opened again.
        ChannelOver,
        /// Hosts can still claim from the channel.
        ChannelNotOver,
        /// The host gave the lane up.
        LaneReleased,
        /// The voucher is of another epoch of the channel.
        WrongEpoch,
        /// A later voucher was claimed before.
        StaleVoucher,
        /// The voucher's sum is below the sum of the one before, or differs from that of the same number.
        ConflictingSum,
        /// The channel's signer did not sign this voucher.
        BadSignature,
        /// An audit convicted the host after the channel was opened: it can claim nothing from it, nor get a lane in it.
        Forfeited,
        /// The claim's receipts do not go on from the last one that the lane's claims cover.
        WrongCovered,
        /// The claim's tree has leaves without value, or value without leaves.
        EmptyWork,
        /// Receipts can not be added by a claim that nothing is paid for.
        NothingToPay,
        /// The payment is below the existential deposit, and neither the host's account nor the treasury's exists.
        TooSmallToPay,
    }

    /// Gives the verifier pool and the treasury the existential deposit if they have less, so that payments
    /// to them can not fail. Build it after the currency's genesis.
    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        #[serde(skip)]
        pub _config: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            Self::endow(&Pallet::<T>::pool_account());
            Self::endow(&T::Treasury::get());
        }
    }

    impl<T: Config> GenesisConfig<T> {
        fn endow(who: &T::AccountId) {
            use fungible::{Inspect as _, Mutate as _};
            let missing = T::Currency::minimum_balance().saturating_sub(T::Currency::balance(who));
            let endowed = T::Currency::mint_into(who, missing);
            assert!(
                endowed.is_ok(),
                "an account that receives a part of every fee can not be endowed: {endowed:?}"
            );
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn integrity_test() {
            Self::check_constants();
            Self::check_channel_constants();
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Opens a payment channel.
        ///
        /// Origin: signed, the payer.
        ///
        /// - `signer`: the key that signs vouchers and requests; best not the account's own.
        /// - `lanes`: hosts with their allocations in planck, each at least `MinFee`; a host at most once. The position is
        ///   the lane's number.
        /// - `lifetime`: blocks until the channel expires, between the challenge window and `MaxLifetime`.
        ///
        /// The allocations and a deposit for the record are held until the channel is settled.
        ///
        /// Errors: `NoLanes`, `NotAHost`, `RepeatedHost`, `AllocationTooSmall`, `InvalidLifetime`, `TooManyChannels`,
        /// `HostHasTooManyLanes`, `InsufficientFunds`.
        ///
        /// Events: `ChannelOpened`, and `LaneOpened` for each lane.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::open_channel(lanes.len() as u32))]
        pub fn open_channel(
            origin: OriginFor<T>,
            signer: AccountId32,
            lanes: BoundedVec<(T::AccountId, u128), ConstU32<MAX_LANES>>,
            lifetime: BlockNumberFor<T>,
        ) -> DispatchResult {
            let payer = ensure_signed(origin)?;
            Self::do_open(payer, signer, lanes.into_inner(), lifetime)
        }

        /// Adds a host to a channel.
        ///
        /// Origin: signed, the channel's payer.
        ///
        /// `amount` planck are held for the lane, and a deposit.
        ///
        /// Errors: `UnknownChannel`, `NotPayer`, `ChannelClosing`, `ChannelOver`, `TooManyLanes`, `NotAHost`,
        /// `RepeatedHost`, `AllocationTooSmall`, `HostHasTooManyLanes`, `InsufficientFunds`.
        ///
        /// Events: `LaneOpened`.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::add_lane())]
        pub fn add_lane(
            origin: OriginFor<T>,
            channel: ChannelId,
            host: T::AccountId,
            amount: u128,
        ) -> DispatchResult {
            let payer = ensure_signed(origin)?;
            Self::do_add_lane(payer, channel, host, amount)
        }

        /// Raises a lane's allocation by `amount` planck.
        ///
        /// Origin: signed, the channel's payer.
        ///
        /// This is possible for as long as the host can claim, also while the channel is being closed. What the host
        /// claimed already and was not paid for lack of funds, it gets by repeating the claim.
        ///
        /// Errors: `UnknownChannel`, `NotPayer`, `UnknownLane`, `LaneReleased`, `ChannelOver`, `ZeroAmount`,
        /// `InsufficientFunds`.
        ///
        /// Events: `LaneFunded`.
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::fund_lane())]
        pub fn fund_lane(
            origin: OriginFor<T>,
            channel: ChannelId,
            lane: LaneId,
            amount: u128,
        ) -> DispatchResult {
            let payer = ensure_signed(origin)?;
            Self::do_fund_lane(payer, channel, lane, amount)
        }

        /// Lets a channel expire `lifetime` blocks from now instead of earlier.
        ///
        /// Origin: signed, the channel's payer.
        ///
        /// Errors: `UnknownChannel`, `NotPayer`, `ChannelClosing`, `ChannelOver`, `InvalidLifetime`, `NotLater`.
        ///
        /// Events: `ChannelExtended`.
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::extend())]
        pub fn extend(
            origin: OriginFor<T>,
            channel: ChannelId,
            lifetime: BlockNumberFor<T>,
        ) -> DispatchResult {
            let payer = ensure_signed(origin)?;
            Self::do_extend(payer, channel, lifetime)
        }

        /// Claims what a voucher says.
        ///
        /// Origin: signed, the lane's host.
        ///
        /// The voucher must be the last one claimed, or have a higher number and no smaller sum. Claiming the last one
        /// again is no error and pays what is still owed. What the lane is short of stays owed.
        ///
        /// `work` commits to the lane's receipts after sequence `covered`, which must be the lane's; see `Work`. It is the
        /// default for none. Never more is paid in all than the value of the receipts that were committed to; two rounds
        /// later Proof of Compute draws from `work`.
        ///
        /// Errors: `UnknownChannel`, `UnknownLane`, `NotLaneHost`, `LaneReleased`, `Forfeited`, `ChannelOver`,
        /// `WrongEpoch`, `StaleVoucher`, `ConflictingSum`, `WrongCovered`, `EmptyWork`, `BadSignature`, `NothingToPay`,
        /// `TooSmallToPay`.
        ///
        /// Events: `Claimed`.
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::claim())]
        pub fn claim(origin: OriginFor<T>, claim: Claim) -> DispatchResult {
            let host = ensure_signed(origin)?;
            Self::do_claim(&host, claim)
        }

        /// Claims what many vouchers say. Claims that can not be paid are passed over; all others are paid.
        ///
        /// Origin: signed, the host of all the lanes.
        ///
        /// Errors: none. What is wrong with a claim that was passed over, see `claim`, its event names.
        ///
        /// Events: `Claimed` or `ClaimSkipped` for each claim.
        #[pallet::call_index(5)]
        #[pallet::weight(T::WeightInfo::claim_batch(claims.len() as u32))]
        pub fn claim_batch(
            origin: OriginFor<T>,
            claims: BoundedVec<Claim, ConstU32<MAX_CLAIMS>>,
        ) -> DispatchResultWithPostInfo {
            let host = ensure_signed(origin)?;
            let weight = Self::do_claim_batch(&host, claims.into_inner());
            Ok(Some(weight).into())
        }

        /// Gives up what was not claimed from a lane, so that the payer need not wait for it.
        ///
        /// Origin: signed, the lane's host.
        ///
        /// Nothing can be claimed from the lane afterwards, and it no longer counts as one of the host's.
        ///
        /// Errors: `UnknownChannel`, `UnknownLane`, `NotLaneHost`, `LaneReleased`.
        ///
        /// Events: `LaneReleased`.
        #[pallet::call_index(6)]
        #[pallet::weight(T::WeightInfo::release_lane())]
        pub fn release_lane(origin: OriginFor<T>, channel: ChannelId, lane: LaneId) -> DispatchResult {
            let host = ensure_signed(origin)?;
            Self::do_release_lane(&host, channel, lane)
        }

        /// Starts the challenge window, after which the rest comes back by `settle`.
        ///
        /// Origin: signed, the channel's payer.
        ///
        /// Errors: `UnknownChannel`, `NotPayer`, `ChannelClosing`, `ChannelOver`.
        ///
        /// Events: `ChannelClosed`.
        #[pallet::call_index(7)]
        #[pallet::weight(T::WeightInfo::close())]
        pub fn close(origin: OriginFor<T>, channel: ChannelId) -> DispatchResult {
            let payer = ensure_signed(origin)?;
            Self::do_close(payer, channel)
        }

        /// Gives the payer back what is left of a channel that is over, and the deposit.
        ///
        /// Origin: signed, anyone.
        ///
        /// A channel is over after its challenge window, after its expiry, and when every lane is released.
        ///
        /// Errors: `UnknownChannel`, `ChannelNotOver`.
        ///
        /// Events: `ChannelSettled`.
        #[pallet::call_index(8)]
        #[pallet::weight(T::WeightInfo::settle(MAX_LANES))]
        pub fn settle(origin: OriginFor<T>, channel: ChannelId) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            let lanes = Self::do_settle(channel)?;
            Ok(Some(T::WeightInfo::settle(lanes)).into())
        }

        /// Opens a channel that is over again, with what is left of it.
        ///
        /// Origin: signed, the channel's payer.
        ///
        /// - `signer`, `lanes`, `lifetime`: as for `open_channel`.
        ///
        /// The epoch goes up by one: vouchers of earlier epochs are worth nothing any more. What is left goes into the new
        /// allocations; what these lack is held in addition, and what they do not need comes back.
        ///
        /// Errors: `UnknownChannel`, `NotPayer`, `ChannelNotOver`, `NoLanes`, `NotAHost`, `RepeatedHost`,
        /// `AllocationTooSmall`, `InvalidLifetime`, `HostHasTooManyLanes`, `InsufficientFunds`.
        ///
        /// Events: `ChannelReopened`, and `LaneOpened` for each lane.
        #[pallet::call_index(9)]
        #[pallet::weight(T::WeightInfo::reopen(MAX_LANES, lanes.len() as u32))]
        pub fn reopen(
            origin: OriginFor<T>,
            channel: ChannelId,
            signer: AccountId32,
            lanes: BoundedVec<(T::AccountId, u128), ConstU32<MAX_LANES>>,
            lifetime: BlockNumberFor<T>,
        ) -> DispatchResultWithPostInfo {
            let payer = ensure_signed(origin)?;
            let new = lanes.len() as u32;
            let old = Self::do_reopen(payer, channel, signer, lanes.into_inner(), lifetime)?;
            Ok(Some(T::WeightInfo::reopen(old, new)).into())
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// The channel, until it is settled.
        pub fn channel(id: ChannelId) -> Option<Channel<T::AccountId, BlockNumberFor<T>>> {
            Channels::<T>::get(id)
        }

        /// The payer's channels in order of opening.
        pub fn channels_of(
            payer: T::AccountId,
        ) -> Vec<(ChannelId, Channel<T::AccountId, BlockNumberFor<T>>)> {
            PayerChannels::<T>::get(payer)
                .into_iter()
                .filter_map(|id| Some((id, Channels::<T>::get(id)?)))
                .collect()
        }

        /// The lanes that the host has not released, from channel number `from`, at most `limit` and at most 1,000.
        pub fn lanes_of(host: T::AccountId, from: ChannelId, limit: u32) -> Vec<(ChannelId, LaneId)> {
            Self::lanes_from(&host, from, limit)
        }

        /// The demand factor of the model version: fees are this much times what they are at balanced demand.
        pub fn demand(model: ModelVersionId) -> FixedU128 {
            Demand::<T>::get(model)
        }

        /// The account of the verifier pool and its balance in planck.
        pub fn pool() -> (T::AccountId, u128) {
            let account = Self::pool_account();
            let balance = <T::Currency as fungible::Inspect<_>>::balance(&account);
            (account, balance)
        }

        /// What is set aside for the account's jobs, in planck.
        pub fn escrow_of(who: T::AccountId) -> u128 {
            Held::<T>::get(who)
        }
    }

    impl<T: Config> Pallet<T> {
        /// The account that collects the verifiers' part of all fees.
        pub fn pool_account() -> T::AccountId {
            T::PalletId::get().into_account_truncating()
        }
    }
}
