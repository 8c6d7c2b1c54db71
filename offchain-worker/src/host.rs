//! An account as a host: what it lacks, and how to supply it.

use crate::{Fault, amount};
use codec::Decode;
use llmesh_chain::{AccountId, Balance, ChainApi, ChainError, H256, NodeClient, Signer, Wait, calls};
use llmesh_primitives::{MESH, RuntimeClass, WorkerRecord, api::HostStatus};

/// Below this much free balance a worker warns that it may not be able to pay transaction fees.
pub const MIN_FREE_BALANCE: u128 = MESH / 10;

/// What keeps the account from being drawn, as far as the chain knows.
pub fn faults(status: &HostStatus, balance: &Balance) -> Vec<Fault> {
    let mut faults = Vec::new();
    match &status.stake {
        None => faults.push(Fault::NotBonded),
        Some(stake) if stake.own == 0 => faults.push(Fault::NotBonded),
        Some(stake) if stake.worker.is_none() => faults.push(Fault::NotRegistered),
        Some(stake) if !stake.host => faults.push(Fault::Chilled),
        Some(_) => {}
    }
    if status.suspended {
        faults.push(Fault::Suspended {
            missed: status.missed,
        });
    }
    if balance.free < MIN_FREE_BALANCE {
        faults.push(Fault::NoBalance { free: balance.free });
    }
    if status.offers.is_empty() {
        faults.push(Fault::NoOffer);
    }
    faults
}

/// A worker record for a machine that takes part in no mesh yet.
///
/// # Errors
/// When a text is longer than the chain carries.
pub fn record(region: &str, endpoints: &[String]) -> Result<WorkerRecord, String> {
    let endpoint = |e: &String| {
        e.as_bytes()
            .to_vec()
            .try_into()
            .map_err(|_| format!("the endpoint `{e}` is longer than 128 bytes"))
    };
    let endpoints = endpoints.iter().map(endpoint).collect::<Result<Vec<_>, _>>()?;
    Ok(WorkerRecord {
        peer_id: Default::default(),
        encryption_key: [0; 32],
        region: region
            .as_bytes()
            .to_vec()
            .try_into()
            .map_err(|_| format!("the region `{region}` is longer than 16 bytes"))?,
        endpoints: endpoints
            .try_into()
            .map_err(|_| "at most 4 endpoints can be registered".to_owned())?,
        capability: capabilities().try_into().unwrap_or_default(),
    })
}

/// The runtime classes that this machine can serve.
pub fn capabilities() -> Vec<RuntimeClass> {
    let int8 = if has_vnni() {
        RuntimeClass::CpuInt8Vnni
    } else {
        RuntimeClass::CpuInt8
    };
    vec![RuntimeClass::CpuFloat, int8]
}

#[cfg(target_arch = "x86_64")]
fn has_vnni() -> bool {
    std::is_x86_feature_detected!("avx512vnni") || std::is_x86_feature_detected!("avxvnni")
}

#[cfg(target_arch = "aarch64")]
fn has_vnni() -> bool {
    std::arch::is_aarch64_feature_detected!("dotprod")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has_vnni() -> bool {
    false
}

/// The smallest bond that lets an account be a host, as the chain says.
///
/// # Errors
/// When the node can not be asked.
pub async fn minimum_bond(client: &dyn NodeClient) -> Result<u128, ChainError> {
    let bytes = client.constant("MeshStaking", "MinBond").await?;
    Ok(bytes
        .and_then(|b| u128::decode(&mut b.as_slice()).ok())
        .unwrap_or(1000 * MESH))
}

/// Bonds the minimum and registers a worker record, each if it is missing.
///
/// # Errors
/// When a call fails; what was done before stays done.
pub async fn ensure(client: &dyn NodeClient, signer: &Signer, region: &str) -> Result<(), ChainError> {
    let account: AccountId = signer.account_id();
    let stake = client.operator(account).await?;
    if stake.as_ref().is_none_or(|s| s.own == 0) {
        let bond = minimum_bond(client).await?;
        client.submit(&calls::bond(bond), signer, Wait::InBlock).await?;
        tracing::info!(%account, bond = amount::show(bond), "bonded");
    }
    if stake.is_none_or(|s| s.worker.is_none() || !s.host) {
        let record = record(region, &[]).map_err(|reason| ChainError::Encode {
            call: "a worker record".into(),
            reason,
        })?;
        client
            .submit(&calls::register_worker(&record), signer, Wait::InBlock)
            .await?;
        tracing::info!(%account, "registered as a worker");
    }
    Ok(())
}

/// What a job's result depends on: the model's file and the inputs.
pub(crate) fn work_key(content_id: H256, input_hash: H256) -> H256 {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(b"llmesh/worker/result-key/v1")
        .update(content_id.as_bytes())
        .update(input_hash.as_bytes());
    H256(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use llmesh_primitives::{OfferTerms, StakeAccount};
    use sp_runtime::Perbill;

    fn ready() -> (HostStatus, Balance) {
        let stake = StakeAccount {
            own: 1000 * MESH,
            delegated: 0,
            unbonding: 0,
            commission: Perbill::zero(),
            host: true,
            verifier: false,
            validator: false,
            worker: Some(record("eu-west", &["/ip4/127.0.0.1/tcp/4001".into()]).unwrap()),
        };
        let status = HostStatus {
            stake: Some(stake),
            reputation: Perbill::one(),
            missed: 0,
            suspended: false,
            in_flight: 0,
            in_flight_value: 0,
            offers: vec![(
                1,
                OfferTerms {
                    price: 1,
                    capacity: 1,
                },
            )],
        };
        (
            status,
            Balance {
                free: MESH,
                ..Balance::default()
            },
        )
    }

    #[test]
    fn faults_follow_from_the_chain() {
        let (good, rich) = ready();
        assert_eq!(faults(&good, &rich), []);
        let poor = Balance::default();
        let nothing = HostStatus {
            stake: None,
            offers: Vec::new(),
            ..good.clone()
        };
        assert_eq!(
            faults(&nothing, &poor),
            [Fault::NotBonded, Fault::NoBalance { free: 0 }, Fault::NoOffer]
        );
        let mut chilled = good.clone();
        if let Some(stake) = &mut chilled.stake {
            stake.host = false;
        }
        assert_eq!(faults(&chilled, &rich), [Fault::Chilled]);
        let suspended = HostStatus {
            suspended: true,
            missed: 3,
            ..good
        };
        assert_eq!(faults(&suspended, &rich), [Fault::Suspended { missed: 3 }]);
    }

    #[test]
    fn records_are_bounded() {
        assert!(record("a-region-name-that-is-long", &[]).is_err());
        assert!(record("eu", &vec!["/ip4/1.2.3.4/tcp/1".to_owned(); 5]).is_err());
        assert!(record("eu", &["x".repeat(129)]).is_err());
    }
}
