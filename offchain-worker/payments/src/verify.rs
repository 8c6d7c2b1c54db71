//! Signatures of many vouchers at a time.
//!
//! Same verdicts as [`MultiSignature::verify`], which the chain uses. sr25519, the usual kind, is verified in batches: one
//! multi-scalar multiplication over all (schnorrkel's `verify_batch`, random 128-bit coefficients), about half the work
//! of one by one. Ristretto has no cofactor, so both ways agree but for a chance of 2^-128. A batch that fails is halved
//! until the bad ones are found.

use schnorrkel::{PublicKey, Signature, context::SigningContext, signing_context};
use sp_runtime::{AccountId32, MultiSignature, traits::Verify};
use std::collections::HashMap;

/// sp-core's context for sr25519.
const CONTEXT: &[u8] = b"substrate";
/// Decompressed keys that are kept.
const MAX_KEYS: usize = 4_096;

/// A signature to verify.
pub(crate) struct Item<'a> {
    pub payload: [u8; 32],
    pub signature: &'a MultiSignature,
    pub signer: &'a AccountId32,
}

/// An sr25519 signature that could be parsed, with its place.
struct Parsed {
    at: usize,
    payload: [u8; 32],
    signature: Signature,
    key: PublicKey,
}

/// Verifies. Remembers keys, as decompressing one is a good part of the work.
pub(crate) struct Verifier {
    context: SigningContext,
    keys: HashMap<AccountId32, PublicKey>,
}

impl Verifier {
    pub fn new() -> Self {
        Self {
            context: signing_context(CONTEXT),
            keys: HashMap::new(),
        }
    }

    /// Whether each is good.
    pub fn verify(&mut self, items: &[Item<'_>]) -> Vec<bool> {
        let mut good = vec![false; items.len()];
        let mut batch = Vec::with_capacity(items.len());
        for ((at, item), verdict) in items.iter().enumerate().zip(&mut good) {
            match item.signature {
                MultiSignature::Sr25519(signature) => {
                    let signature = Signature::from_bytes(signature.as_ref());
                    if let (Ok(signature), Some(key)) = (signature, self.key(item.signer)) {
                        batch.push(Parsed {
                            at,
                            payload: item.payload,
                            signature,
                            key,
                        });
                    }
                }
                other => *verdict = other.verify(item.payload.as_slice(), item.signer),
            }
        }
        // The library merges neighbours of the same key.
        batch.sort_by_key(|parsed| parsed.key.to_bytes());
        self.verify_batch(&batch, &mut good);
        good
    }

    fn verify_batch(&self, batch: &[Parsed], good: &mut [bool]) {
        let all = match batch {
            [] => return,
            [one] => one
                .key
                .verify(self.context.bytes(&one.payload), &one.signature)
                .is_ok(),
            many => {
                let transcripts = many.iter().map(|parsed| self.context.bytes(&parsed.payload));
                let signatures: Vec<_> = many.iter().map(|parsed| parsed.signature).collect();
                let keys: Vec<_> = many.iter().map(|parsed| parsed.key).collect();
                schnorrkel::verify_batch(transcripts, &signatures, &keys, true).is_ok()
            }
        };
        if all {
            for parsed in batch {
                if let Some(verdict) = good.get_mut(parsed.at) {
                    *verdict = true;
                }
            }
        } else if batch.len() > 1 {
            let (left, right) = batch.split_at(batch.len() / 2);
            self.verify_batch(left, good);
            self.verify_batch(right, good);
        }
    }

    fn key(&mut self, signer: &AccountId32) -> Option<PublicKey> {
        if let Some(key) = self.keys.get(signer) {
            return Some(*key);
        }
        let key = PublicKey::from_bytes(signer.as_ref()).ok()?;
        if self.keys.len() >= MAX_KEYS {
            self.keys.clear();
        }
        self.keys.insert(signer.clone(), key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sp_core::{Pair, ecdsa, ed25519, sr25519};
    use sp_runtime::{MultiSigner, traits::IdentifyAccount};

    fn signed(n: u8, payload: [u8; 32]) -> (MultiSignature, AccountId32) {
        let seed = [n / 3; 32];
        match n % 3 {
            0 => {
                let pair = ed25519::Pair::from_seed(&seed);
                (
                    pair.sign(&payload).into(),
                    MultiSigner::from(pair.public()).into_account(),
                )
            }
            1 => {
                let pair = ecdsa::Pair::from_seed(&[n.max(1); 32]);
                (
                    pair.sign(&payload).into(),
                    MultiSigner::from(pair.public()).into_account(),
                )
            }
            _ => {
                let pair = sr25519::Pair::from_seed(&seed);
                (
                    pair.sign(&payload).into(),
                    MultiSigner::from(pair.public()).into_account(),
                )
            }
        }
    }

    fn flip(signature: &MultiSignature, bit: usize) -> MultiSignature {
        use codec::{DecodeAll, Encode};
        let mut bytes = signature.encode();
        bytes[1 + bit / 8] ^= 1 << (bit % 8);
        MultiSignature::decode_all(&mut &*bytes).unwrap()
    }

    #[test]
    fn verdicts_are_those_of_the_chain() {
        let mut verifier = Verifier::new();
        for round in 0..30usize {
            let mut all = Vec::new();
            for n in 0..40u8 {
                let payload = [n; 32];
                let (mut signature, mut signer) = signed(n, payload);
                let mut payload = payload;
                // No bad one at all in the first rounds, many in the last.
                if (usize::from(n) * 31 + round * 17) % 64 < round * 2 {
                    match round % 4 {
                        0 => signature = flip(&signature, (round * 40 + usize::from(n)) % 512),
                        1 => signer = AccountId32::new([n; 32]),
                        2 => payload[round] ^= 1,
                        _ => signature = signed(n.wrapping_add(3), payload).0,
                    }
                }
                all.push((payload, signature, signer));
            }
            let items: Vec<_> = all
                .iter()
                .map(|(payload, signature, signer)| Item {
                    payload: *payload,
                    signature,
                    signer,
                })
                .collect();
            let expected: Vec<_> = items
                .iter()
                .map(|item| item.signature.verify(item.payload.as_slice(), item.signer))
                .collect();
            assert_eq!(verifier.verify(&items), expected);
            assert!(round > 0 || expected.iter().all(|good| *good));
            assert!(round < 9 || expected.iter().any(|good| !*good));
            for item in &items {
                let alone = item.signature.verify(item.payload.as_slice(), item.signer);
                let one = Item {
                    payload: item.payload,
                    ..*item
                };
                assert_eq!(verifier.verify(&[one]), [alone]);
            }
        }
        assert!(verifier.verify(&[]).is_empty());
    }

    #[test]
    fn keys_do_not_pile_up() {
        let mut verifier = Verifier::new();
        let (signature, _) = signed(2, [0; 32]);
        for n in 1..10_000u32 {
            let pair = sr25519::Pair::from_seed(&sp_core::H256::from_low_u64_be(n.into()).0);
            let signer = AccountId32::from(pair.public());
            let item = Item {
                payload: [0; 32],
                signature: &signature,
                signer: &signer,
            };
            assert_eq!(verifier.verify(&[item]), [false]);
            assert!(verifier.keys.len() <= MAX_KEYS);
        }
    }
}
