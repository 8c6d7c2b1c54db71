//! What a client orders.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use llmesh_primitives::{ChannelId, ContentId, LaneId, ModelVersionId};
use scale_info::TypeInfo;
use sp_core::H256;
use sp_runtime::{
    AccountId32, MultiSignature,
    traits::{BlakeTwo256, Hash, Verify},
};

/// What pays for a request: a lane of a channel, and the request's number there.
///
/// The client numbers the requests of a lane's epoch from 1, each with a number of its own. Each number has one leaf in
/// what the host commits to, so that one answer can not stand for many requests.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Place {
    pub channel: ChannelId,
    /// Times that the channel was closed and opened again.
    pub epoch: u32,
    pub lane: LaneId,
    pub sequence: u64,
}

/// The terms of one request. Their hash is the request id: it stands for this client, this host, this model, this
/// input and this highest price, once, until it expires.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct RequestTerms {
    /// Hash of block 0 of the chain that the payment channel is on.
    pub genesis: H256,
    /// What pays for it.
    pub place: Place,
    /// Who asks: the account of the channel's signer.
    pub client: AccountId32,
    /// The model file (BLAKE3).
    pub model: ContentId,
    /// The published version that the file belongs to; it fixes signature, complexity and price.
    pub version: ModelVersionId,
    /// BLAKE2b-256 over the SCALE encoding of the inputs.
    pub input_hash: H256,
    /// Most that the client pays for the answer, in planck.
    pub max_price: u128,
    /// The one host that may answer.
    pub host: AccountId32,
    /// From this time on the host refuses the request; milliseconds since the Unix epoch.
    pub expires_at: u64,
    /// Random, so that who sees the request id can not tell by it what is asked.
    pub salt: [u8; 16],
}

impl RequestTerms {
    /// Domain that keeps a request id apart from every other hash.
    pub const DOMAIN: &'static [u8] = b"llmesh/request/v1";

    /// The request id: BLAKE2b-256 over the domain and the SCALE encoding.
    pub fn id(&self) -> H256 {
        BlakeTwo256::hash(&[Self::DOMAIN, self.encode().as_slice()].concat())
    }

    /// Puts the signature to the terms that `sign` makes over the 32 bytes of the request id.
    pub fn signed(self, sign: impl FnOnce(&[u8]) -> MultiSignature) -> SignedRequest {
        let signature = sign(self.id().as_bytes());
        SignedRequest {
            terms: self,
            signature,
        }
    }
}

/// Terms with their client's signature over the request id.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct SignedRequest {
    pub terms: RequestTerms,
    pub signature: MultiSignature,
}

impl SignedRequest {
    /// Checks the client's signature and returns the request id.
    ///
    /// Whether it has expired, and whether the client may sign for the channel, is not in the request: see there.
    ///
    /// # Errors
    /// [`ProofError::BadSignature`].
    pub fn verify(&self) -> Result<H256, ProofError> {
        let id = self.terms.id();
        if self.signature.verify(id.as_bytes(), &self.terms.client) {
            Ok(id)
        } else {
            Err(ProofError::BadSignature)
        }
    }

    /// Decodes a signed request that fills `bytes` exactly. The signature is not checked.
    ///
    /// # Errors
    /// [`ProofError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        crate::decode_bounded(bytes)
    }
}

/// Why something signed or proved does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofError {
    /// The bytes are not the encoding of what they should be.
    Malformed,
    /// The client's signature is not over these terms.
    BadSignature,
}

impl core::fmt::Display for ProofError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the bytes are not a valid encoding",
            Self::BadSignature => "the client's signature is not over these terms",
        })
    }
}

impl core::error::Error for ProofError {}
