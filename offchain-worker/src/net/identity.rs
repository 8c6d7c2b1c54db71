//! The keys of a worker in the mesh, in files that only its user can read.

use llmesh_chain::Signer;
use llmesh_mesh::Keypair;
use llmesh_protocol::keys::KeyRing;
use rustix::fs::{Mode, OFlags};
use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Name of the file with the key that the peer id stands for.
const PEER_KEY: &str = "peer.key";
/// Name of the file with the keys that requests are sealed to.
const ENCRYPTION_KEYS: &str = "encryption.keys";
/// Name of the file with the key that signs vouchers and requests.
const PAYER_KEY: &str = "payer.key";
/// No key file is longer.
const MAX_KEY_FILE: u64 = 4096;

/// Why a key is not at hand.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "{path} is no key file: restore it from a backup, or move it away to get a new key (a new key is a new identity)"
    )]
    Damaged { path: PathBuf },
    #[error("the system gives no randomness: {0}")]
    Randomness(String),
}

/// The folder with a worker's keys.
#[derive(Clone, Debug)]
pub struct KeyFolder {
    root: PathBuf,
}

impl KeyFolder {
    /// Opens the folder, which is made when missing, for its user alone.
    ///
    /// # Errors
    /// When it can not be made.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, IdentityError> {
        use std::os::unix::fs::DirBuilderExt;
        let root = root.into();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&root)
            .map_err(|source| io(&root, source))?;
        Ok(Self { root })
    }

    /// The key that the peer id stands for; made when missing.
    ///
    /// # Errors
    /// When the file can not be read or written, or is damaged.
    pub fn peer_key(&self) -> Result<Keypair, IdentityError> {
        let seed = self.seed(PEER_KEY)?;
        Keypair::ed25519_from_bytes(*seed).map_err(|_| self.damaged(PEER_KEY))
    }

    /// The secret of the key that signs vouchers and requests; made when missing.
    ///
    /// # Errors
    /// As [`Self::peer_key`].
    pub fn payer_seed(&self) -> Result<Zeroizing<[u8; 32]>, IdentityError> {
        self.seed(PAYER_KEY)
    }

    /// The signer of vouchers and requests; its key is made when missing.
    ///
    /// # Errors
    /// As [`Self::peer_key`].
    pub fn payer(&self) -> Result<Signer, IdentityError> {
        Signer::from_seed(&*self.payer_seed()?).map_err(|_| self.damaged(PAYER_KEY))
    }

    /// Whether there is a key that signs vouchers.
    pub fn has_payer_key(&self) -> bool {
        self.root.join(PAYER_KEY).is_file()
    }

    /// The keys that requests are sealed to; made when missing.
    ///
    /// # Errors
    /// As [`Self::peer_key`].
    pub fn encryption_keys(&self) -> Result<KeyRing, IdentityError> {
        match self.read(ENCRYPTION_KEYS)? {
            Some(bytes) => KeyRing::from_bytes(&bytes).map_err(|_| self.damaged(ENCRYPTION_KEYS)),
            None => {
                let ring = KeyRing::generate(&mut rand::rng());
                self.store_encryption_keys(&ring)?;
                Ok(ring)
            }
        }
    }

    /// Keeps the keys that requests are sealed to; what was erased from the ring is erased from the file.
    ///
    /// # Errors
    /// When the file can not be written; the old one is left then.
    pub fn store_encryption_keys(&self, ring: &KeyRing) -> Result<(), IdentityError> {
        self.write(ENCRYPTION_KEYS, &ring.to_bytes())
    }

    /// When the keys that requests are sealed to were last changed, in milliseconds since 1970; now, if that is not
    /// known.
    pub fn keys_changed_ms(&self) -> u64 {
        std::fs::metadata(self.root.join(ENCRYPTION_KEYS))
            .and_then(|m| m.modified())
            .ok()
            .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok())
            .and_then(|d| u64::try_from(d.as_millis()).ok())
            .unwrap_or_else(super::unix_ms)
    }

    fn seed(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, IdentityError> {
        if let Some(bytes) = self.read(name)? {
            let seed = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| self.damaged(name))?;
            return Ok(Zeroizing::new(seed));
        }
        let mut seed = Zeroizing::new([0; 32]);
        rand::TryRngCore::try_fill_bytes(&mut rand::rngs::OsRng, seed.as_mut_slice())
            .map_err(|e| IdentityError::Randomness(e.to_string()))?;
        self.write(name, seed.as_slice())?;
        Ok(seed)
    }

    fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, IdentityError> {
        let path = self.root.join(name);
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io(&path, source)),
        };
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(MAX_KEY_FILE)
            .read_to_end(&mut bytes)
            .map_err(|source| io(&path, source))?;
        Ok(Some(bytes))
    }

    /// Written under another name, synced and renamed, so that a crash leaves the old file or the new one.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), IdentityError> {
        let path = self.root.join(name);
        let new = self.root.join(format!("{name}.new"));
        let written = (|| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let fd = rustix::fs::open(&new, flags, Mode::RUSR | Mode::WUSR)?;
            let mut file = std::fs::File::from(fd);
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&new, &path)?;
            std::fs::File::open(&self.root)?.sync_all()
        })();
        written.map_err(|source| io(&path, source))
    }

    fn damaged(&self, name: &str) -> IdentityError {
        IdentityError::Damaged {
            path: self.root.join(name),
        }
    }
}

fn io(path: &Path, source: std::io::Error) -> IdentityError {
    IdentityError::Io {
        path: path.into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_stay_and_are_for_their_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::open(folder.path().join("keys")).unwrap();
        let peer = keys.peer_key().unwrap().public().to_peer_id();
        let payer = keys.payer_seed().unwrap();
        let ring = keys.encryption_keys().unwrap().public();
        let again = KeyFolder::open(folder.path().join("keys")).unwrap();
        assert_eq!(again.peer_key().unwrap().public().to_peer_id(), peer);
        assert_eq!(*again.payer_seed().unwrap(), *payer);
        assert_eq!(again.encryption_keys().unwrap().public(), ring);
        for name in [PEER_KEY, PAYER_KEY, ENCRYPTION_KEYS] {
            let mode = std::fs::metadata(folder.path().join("keys").join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_damaged_key_is_named_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(PEER_KEY), b"short").unwrap();
        let keys = KeyFolder::open(folder.path()).unwrap();
        let error = keys.peer_key().unwrap_err().to_string();
        assert!(error.contains("peer.key") && error.contains("backup"), "{error}");
        assert_eq!(std::fs::read(folder.path().join(PEER_KEY)).unwrap(), b"short");
    }
}
