//! Tests by behaviour. Every one ends with a check of the pallet's invariants.

mod bonding;
mod delegating;
mod elections;
mod genesis;
mod offences;
mod properties;
mod rewards;
mod roles;
mod slashing;
mod unbonding;
mod workers;
