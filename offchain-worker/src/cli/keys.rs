//! Where the key comes from.

use super::{CliError, args::Global};
use llmesh_chain::Signer;

const VARIABLE: &str = "LLMESH_SURI";

/// The key that was named, if any. A secret is never an argument: those show in process lists.
pub(super) fn load(global: &Global) -> Result<Option<Signer>, CliError> {
    if let Some(key) = global.dev_key {
        let secret = format!("//{key:?}");
        return Signer::from_secret(&secret)
            .map(Some)
            .map_err(|e| CliError::Usage(e.to_string()));
    }
    let (secret, source) = match &global.suri_file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| CliError::Usage(format!("--suri-file {}: {e}", path.display())))?;
            warn_if_readable(path);
            (text, format!("--suri-file {}", path.display()))
        }
        None => match std::env::var(VARIABLE) {
            Ok(text) if !text.is_empty() => (text, VARIABLE.to_owned()),
            _ => return Ok(None),
        },
    };
    Signer::from_secret(&secret)
        .map(Some)
        .map_err(|e| CliError::Usage(format!("{source}: {e}")))
}

#[cfg(unix)]
fn warn_if_readable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    if std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o077 != 0) {
        tracing::warn!(file = %path.display(), "others can read the secret: chmod 600 it");
    }
}

#[cfg(not(unix))]
fn warn_if_readable(_: &std::path::Path) {}
