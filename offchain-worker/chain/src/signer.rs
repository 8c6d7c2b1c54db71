//! The key that signs.

use crate::AccountId;
use sp_core::{crypto::AccountId32, sr25519};
use sp_runtime::MultiSignature;
use std::str::FromStr;
use subxt_signer::{SecretUri, sr25519::Keypair};

/// Why a secret is not usable. The secret itself is never part of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// The text is not a secret URI.
    #[error(
        "not a secret: expected a BIP-39 phrase or 0x and 64 hex digits, with //paths after it if wanted"
    )]
    NotASecret,
    /// The phrase has a wrong word or checksum.
    #[error("the phrase is not valid: check its words and their order")]
    InvalidPhrase,
}

/// An sr25519 key pair.
#[derive(Clone)]
pub struct Signer {
    pair: Keypair,
    account: AccountId,
}

impl Signer {
    /// Reads a secret: a phrase or hex seed, with derivation paths (`//hard/soft`) and password (`///password`).
    ///
    /// # Errors
    /// When the text is not a secret.
    pub fn from_secret(secret: &str) -> Result<Self, SignerError> {
        // Nothing at all would stand for the well-known phrase of development chains.
        let secret = Some(secret.trim())
            .filter(|s| !s.is_empty())
            .ok_or(SignerError::NotASecret)?;
        let uri = SecretUri::from_str(secret).map_err(|_| SignerError::NotASecret)?;
        let pair = Keypair::from_uri(&uri).map_err(|_| SignerError::InvalidPhrase)?;
        let account = AccountId::from(pair.public_key().0);
        Ok(Self { pair, account })
    }

    /// Takes a secret seed (an sr25519 mini secret key).
    ///
    /// # Errors
    /// When the bytes are no seed.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, SignerError> {
        let pair = Keypair::from_secret_key(*seed).map_err(|_| SignerError::NotASecret)?;
        let account = AccountId::from(pair.public_key().0);
        Ok(Self { pair, account })
    }

    /// The account that the key stands for.
    pub fn account_id(&self) -> AccountId {
        self.account
    }

    /// The same account, as the runtime's types have it.
    pub fn account32(&self) -> AccountId32 {
        AccountId32::new(self.account.0)
    }

    /// Signs a payload as it is: a voucher's or a request's hash, not a transaction.
    pub fn sign(&self, payload: &[u8]) -> MultiSignature {
        MultiSignature::Sr25519(sr25519::Signature::from_raw(self.pair.sign(payload).0))
    }

    pub(crate) fn pair(&self) -> &Keypair {
        &self.pair
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn development_keys_have_their_known_addresses() {
        let alice = Signer::from_secret("//Alice\n").unwrap();
        assert_eq!(
            alice.account_id().to_string(),
            "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
        );
    }

    #[test]
    fn what_is_signed_can_be_checked_as_the_chain_does() {
        use sp_runtime::traits::Verify;
        let (alice, bob) = ("//Alice", "//Bob");
        let [alice, bob] = [alice, bob].map(|secret| Signer::from_secret(secret).unwrap());
        assert_eq!(alice.account32().as_ref() as &[u8], alice.account_id().0);
        let payload = [7u8; 32];
        let signature = alice.sign(&payload);
        assert!(signature.verify(payload.as_slice(), &alice.account32()));
        assert!(!signature.verify(payload.as_slice(), &bob.account32()));
        assert!(!signature.verify([8u8; 32].as_slice(), &alice.account32()));
    }

    #[test]
    fn bad_secrets_are_refused_without_showing_them() {
        for bad in [
            "",
            " \n",
            "zebra zebra",
            "0x1234",
            "bottom drive obey lake curtain smoke basket hold race lonely fit fit",
        ] {
            let error = Signer::from_secret(bad)
                .map(|s| s.account_id())
                .unwrap_err()
                .to_string();
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
        assert_eq!(
            format!("{:?}", Signer::from_secret("//Bob").unwrap()).len(),
            48 + 8
        );
    }
}
