//! Money, time and block limits.

/// Amounts of MESH. The chain counts in units of 10^-12 MESH.
pub mod currency {
    use crate::Balance;

    /// One MESH.
    pub const MESH: Balance = 1_000_000_000_000;
    /// A thousandth of a MESH.
    pub const MILLI_MESH: Balance = MESH / 1_000;
    /// A millionth of a MESH.
    pub const MICRO_MESH: Balance = MILLI_MESH / 1_000;

    /// An account that holds less than this is removed.
    pub const EXISTENTIAL_DEPOSIT: Balance = MILLI_MESH;

    /// What a user locks for `items` entries of `bytes` bytes in total in the chain's state.
    pub const fn deposit(items: u32, bytes: u32) -> Balance {
        items as Balance * 20 * MILLI_MESH + bytes as Balance * 100 * MICRO_MESH
    }
}

/// Time, in milliseconds and in blocks.
pub mod time {
    use crate::BlockNumber;

    /// Length of a slot. There is a block in every slot that has an online author.
    pub const SLOT_DURATION: u64 = 2_000;

    /// Blocks in a minute, an hour and a day.
    pub const MINUTES: BlockNumber = 60_000 / SLOT_DURATION as BlockNumber;
    pub const HOURS: BlockNumber = 60 * MINUTES;
    pub const DAYS: BlockNumber = 24 * HOURS;

    /// Probability that a slot has a primary author. All other slots fall to a secondary author.
    pub const PRIMARY_PROBABILITY: (u64, u64) = (1, 4);

    /// Slots in an epoch where genesis does not say otherwise: five minutes.
    pub const DEFAULT_EPOCH_DURATION: u64 = 150;
    /// Blocks that stake stays locked after it was unbonded, where genesis does not say otherwise: seven days.
    pub const DEFAULT_UNBONDING_PERIOD: BlockNumber = 7 * DAYS;

    /// Blocks for which hosts can claim from a payment channel that its payer closed, where genesis does not say
    /// otherwise: a day.
    pub const DEFAULT_CHALLENGE_WINDOW: BlockNumber = DAYS;

    /// Blocks that hosts and verifiers have for each step of an audit, where genesis does not say otherwise: three hours,
    /// so that a restart, or a cut line, costs an honest one nothing.
    pub const DEFAULT_AUDIT_WINDOW: BlockNumber = 3 * HOURS;
    /// Fewest verifiers that convict a host, where genesis does not say otherwise.
    pub const DEFAULT_AUDIT_QUORUM: u32 = 5;

    /// The same on a developer's machine: epochs of two minutes, stake free after 100 seconds, claims for 40, a minute for
    /// each step of an audit, and two verifiers that agree are enough.
    pub const DEV_EPOCH_DURATION: u64 = 60;
    pub const DEV_UNBONDING_PERIOD: BlockNumber = 50;
    pub const DEV_CHALLENGE_WINDOW: BlockNumber = 20;
    pub const DEV_AUDIT_WINDOW: BlockNumber = 30;
    pub const DEV_AUDIT_QUORUM: u32 = 2;
}

/// How much fits into a block.
pub mod limits {
    use frame_support::weights::{Weight, constants::WEIGHT_REF_TIME_PER_MILLIS};
    use sp_runtime::Perbill;

    /// A third of a slot. A solochain has no proof of validity, so only time is limited.
    pub const MAXIMUM_BLOCK_WEIGHT: Weight = Weight::from_parts(670 * WEIGHT_REF_TIME_PER_MILLIS, u64::MAX);
    /// Bytes of a block.
    pub const MAXIMUM_BLOCK_LENGTH: u32 = 5 * 1024 * 1024;
    /// Share of a block that ordinary transactions can fill; the rest is kept for operational ones.
    pub const NORMAL_DISPATCH_RATIO: Perbill = Perbill::from_percent(75);
    /// Share of a block that is expected to go into `on_initialize`.
    pub const AVERAGE_ON_INITIALIZE_RATIO: Perbill = Perbill::from_percent(5);

    /// Validators that one session can have.
    pub const MAX_AUTHORITIES: u32 = 100;
}
