//! A host's keys for sealed requests: the current one, and the one before it for a while.

use crate::seal::HostKem;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use hpke::{Deserializable, Kem, Serializable};
use rand::{CryptoRng, RngCore};
use sp_runtime::traits::{BlakeTwo256, Hash};
use std::fmt;
use zeroize::Zeroizing;

/// Names a host's public key: the first 8 bytes of its BLAKE2b-256 hash.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen,
)]
pub struct KeyId(pub [u8; 8]);

impl KeyId {
    /// The name of this public key.
    pub fn of(public: &[u8; 32]) -> Self {
        let mut id = [0; 8];
        for (to, from) in id.iter_mut().zip(BlakeTwo256::hash(public).as_bytes()) {
            *to = *from;
        }
        Self(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Secret key and what is derived of it. The secret stays at one place in memory until it is erased there.
struct Pair {
    secret: Box<Zeroizing<[u8; 32]>>,
    public: [u8; 32],
    id: KeyId,
}

impl Pair {
    fn generate<R: RngCore + CryptoRng>(rng: &mut R) -> Self {
        let mut secret = Box::new(Zeroizing::new([0; 32]));
        rng.fill_bytes(secret.as_mut_slice());
        Self::new(secret)
    }

    fn new(secret: Box<Zeroizing<[u8; 32]>>) -> Self {
        let mut pair = Self {
            secret,
            public: [0; 32],
            id: KeyId::default(),
        };
        // 32 bytes are always a key.
        if let Some(key) = pair.key() {
            HostKem::sk_to_pk(&key).write_exact(&mut pair.public);
        }
        pair.id = KeyId::of(&pair.public);
        pair
    }

    fn key(&self) -> Option<<HostKem as Kem>::PrivateKey> {
        <HostKem as Kem>::PrivateKey::from_bytes(self.secret.as_slice()).ok()
    }
}

/// A host's keys. At most two are alive: requests that were sealed just before a change of keys still open for a grace
/// period, then the old key is gone from memory, and with it what was sealed to it.
///
/// Times are milliseconds since the Unix epoch. The ring has no clock: whoever holds it calls
/// [`KeyRing::erase_expired`] now and then, and stores [`KeyRing::to_bytes`] after each change.
pub struct KeyRing {
    current: Pair,
    previous: Option<(Pair, u64)>,
}

impl KeyRing {
    /// A ring with a fresh key.
    pub fn generate<R: RngCore + CryptoRng>(rng: &mut R) -> Self {
        Self {
            current: Pair::generate(rng),
            previous: None,
        }
    }

    /// The public key to publish.
    pub fn public(&self) -> [u8; 32] {
        self.current.public
    }

    /// The name of the current key.
    pub fn current(&self) -> KeyId {
        self.current.id
    }

    /// The key before, and when it goes.
    pub fn previous(&self) -> Option<(KeyId, u64)> {
        self.previous.as_ref().map(|(pair, until)| (pair.id, *until))
    }

    /// Makes a fresh key the current one, and keeps the one so far for `grace_ms`. One that was kept before is erased
    /// at once. Returns the name of the fresh key.
    pub fn rotate<R: RngCore + CryptoRng>(&mut self, now: u64, grace_ms: u64, rng: &mut R) -> KeyId {
        let old = std::mem::replace(&mut self.current, Pair::generate(rng));
        self.previous = Some((old, now.saturating_add(grace_ms)));
        self.current.id
    }

    /// Erases the key before when its time has come. Returns whether it did.
    pub fn erase_expired(&mut self, now: u64) -> bool {
        let expired = self.previous.as_ref().is_some_and(|(_, until)| *until <= now);
        if expired {
            self.previous = None;
        }
        expired
    }

    /// The private key of this name.
    pub(crate) fn find(&self, id: KeyId) -> Option<<HostKem as Kem>::PrivateKey> {
        [Some(&self.current), self.previous.as_ref().map(|(pair, _)| pair)]
            .into_iter()
            .flatten()
            .find(|pair| pair.id == id)?
            .key()
    }

    /// The ring with its secrets, for a file that only the worker can read: a version byte, the current secret key,
    /// and, if there is one, the secret key before with the time at which it goes (u64, little-endian).
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::LONG));
        bytes.push(Self::FORMAT);
        bytes.extend_from_slice(self.current.secret.as_slice());
        if let Some((pair, until)) = &self.previous {
            bytes.extend_from_slice(pair.secret.as_slice());
            bytes.extend_from_slice(&until.to_le_bytes());
        }
        bytes
    }

    /// The reverse of [`KeyRing::to_bytes`].
    ///
    /// # Errors
    /// [`BadKeyFile`]; nothing is said about the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadKeyFile> {
        let (&version, rest) = bytes.split_first().ok_or(BadKeyFile)?;
        let (current, rest) = rest.split_first_chunk::<32>().ok_or(BadKeyFile)?;
        if version != Self::FORMAT {
            return Err(BadKeyFile);
        }
        let previous = if rest.is_empty() {
            None
        } else {
            let (secret, until) = rest.split_first_chunk::<32>().ok_or(BadKeyFile)?;
            let until = until.try_into().map_err(|_| BadKeyFile)?;
            Some((Self::pair(secret)?, u64::from_le_bytes(until)))
        };
        Ok(Self {
            current: Self::pair(current)?,
            previous,
        })
    }

    const FORMAT: u8 = 1;
    const LONG: usize = 1 + 32 + 32 + 8;

    fn pair(bytes: &[u8; 32]) -> Result<Pair, BadKeyFile> {
        // What an empty or wiped file would hold.
        if *bytes == [0; 32] {
            return Err(BadKeyFile);
        }
        let mut secret = Box::new(Zeroizing::new([0; 32]));
        secret.copy_from_slice(bytes);
        Ok(Pair::new(secret))
    }
}

impl fmt::Debug for KeyRing {
    /// Names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("current", &self.current.id)
            .field("previous", &self.previous())
            .finish_non_exhaustive()
    }
}

/// The bytes are not a stored key ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file with the host's keys is damaged or of another version")]
pub struct BadKeyFile;
