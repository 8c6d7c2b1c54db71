//! All lanes of one end, behind a lock and on disk.

pub(crate) mod payee;
pub(crate) mod payer;

#[cfg(test)]
mod tests;

use crate::{BookError, lane::LaneKey};
use llmesh_primitives::{ChannelId, LaneId};
use std::path::Path;
use tokio::sync::oneshot;

/// The lane that a stored key names.
fn lane_key(path: &Path, key: &[u8]) -> Result<LaneKey, BookError> {
    let parse = || {
        let (channel, lane) = key.split_at_checked(8)?;
        Some(LaneKey {
            channel: ChannelId::from_be_bytes(channel.try_into().ok()?),
            lane: LaneId::from_be_bytes(lane.try_into().ok()?),
        })
    };
    parse().ok_or_else(|| BookError::Database {
        path: path.to_path_buf(),
        reason: "a stored lane has no name".into(),
    })
}

/// Waits for a commit.
async fn durable(told: oneshot::Receiver<Result<(), BookError>>) -> Result<(), BookError> {
    told.await.unwrap_or(Err(BookError::Gone))
}
