//! End-to-end encryption between client and host: HPKE (RFC 9180) in base mode.
//!
//! One set of algorithms: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305. Version and suite are the first
//! two bytes of each message, and part of HPKE's `info` and of the authenticated data, so that a request that was
//! sealed under one can not be passed off as sealed under another.
//!
//! Answers go the other way under keys from HPKE's exporter (section 9.8 of the RFC). Each stream of answers has a
//! random salt of its own in that derivation: a request that reaches the host twice is answered twice, and the same
//! key and nonce must never seal two messages. In a stream the messages are numbered, without gaps, and the last one
//! says that it is: none can be left out, repeated, put elsewhere or cut off the end unnoticed.

use crate::{
    MAX_SEALED_BYTES, SUITE, VERSION,
    keys::{KeyId, KeyRing},
    padding::{self, PREFIX_BYTES},
    refusal::Refusal,
    wire::{
        self, Aad, Answer, AnswerMessage, Ask, DecodeError, MAX_PLAIN_REFUSAL_BYTES, Progress, RouteHeader,
    },
};
use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit,
    aead::{AeadInOut, inout::InOutBuf},
};
use codec::Encode;
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable,
    aead::{AeadCtxR, AeadCtxS, AeadTag},
    rand_core::{Infallible, TryCryptoRng, TryRng},
};
use rand::{CryptoRng, RngCore};
use sp_core::H256;
use std::{fmt, sync::Arc};
use zeroize::Zeroizing;

pub(crate) type HostKem = hpke::kem::X25519HkdfSha256;
type Kdf = hpke::kdf::HkdfSha256;
type Cipher = hpke::aead::ChaCha20Poly1305;
type ClientContext = AeadCtxS<Cipher, Kdf, HostKem>;
type HostContext = AeadCtxR<Cipher, Kdf, HostKem>;

/// Domain of sealed requests: HPKE's `info` is this, the version and the suite.
pub const ASK_DOMAIN: &[u8] = b"llmesh/ask/v1";
/// Domain of answers: HPKE's exporter context is this, the version, the suite and the stream's salt.
pub const ANSWER_DOMAIN: &[u8] = b"llmesh/answer/v1";
/// Second byte of a refusal in clear, where a sealed message has its suite.
pub const PLAIN: u8 = 0;
/// Version, suite, and either HPKE's encapsulated key or the stream's salt.
const FRONT_BYTES: usize = 2 + 32;
const TAG_BYTES: usize = 16;
/// What sealing and padding add to a message at least.
pub const OVERHEAD_BYTES: usize = FRONT_BYTES + PREFIX_BYTES + TAG_BYTES;

/// Why something could not be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It does not fit [`MAX_SEALED_BYTES`].
    #[error("the message would have {size} bytes sealed; {limit} are allowed", limit = MAX_SEALED_BYTES)]
    TooLarge { size: usize },
    /// The host's public key is none.
    #[error("the host's public key is not a usable X25519 key")]
    BadKey,
    /// The request does not agree with itself or with what it should be sealed as.
    #[error(transparent)]
    Inconsistent(DecodeError),
    /// The stream has had its last message.
    #[error("the request is answered already")]
    Finished,
    /// The cipher failed; it does not for messages of any allowed size.
    #[error("encryption failed")]
    Cipher,
}

/// Why a sealed request could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The header does not hold.
    #[error(transparent)]
    Header(DecodeError),
    /// No sealed request has this length.
    #[error("no sealed request has {0} bytes")]
    Size(usize),
    /// Another version of the protocol.
    #[error("version {0} of the protocol is not known here")]
    Version(u8),
    /// Another set of algorithms.
    #[error("cipher suite {0} is not known here")]
    Suite(u8),
    /// The key that it is sealed to is not in the ring.
    #[error("the request is sealed to a key that is not here; the current one is {current}")]
    WrongKey { current: KeyId },
    /// It does not decrypt: it was changed, or what is in clear about it was, or it is for somebody else.
    #[error("the request does not decrypt")]
    Decrypt,
    /// It decrypts, and is no valid request. The client made it so: it gets a sealed refusal.
    #[error("the sealed request is not valid: {error}")]
    Content {
        error: DecodeError,
        answers: Box<AnswerSealer>,
    },
}

impl OpenError {
    /// What to answer. In clear, but for [`OpenError::Content`].
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Header(error) | Self::Content { error, .. } => (*error).into(),
            Self::Size(size) if *size > MAX_SEALED_BYTES => Refusal::TooLarge {
                limit: MAX_SEALED_BYTES as u32,
            },
            Self::Version(_) => Refusal::UnsupportedVersion { supported: VERSION },
            Self::WrongKey { current } => Refusal::WrongKey { current: *current },
            Self::Size(_) | Self::Suite(_) | Self::Decrypt => Refusal::Malformed,
        }
    }
}

/// Why a message from the host could not be opened. The opener is as it was: the message counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// No message has this length.
    #[error("no answer has {0} bytes")]
    Size(usize),
    /// Another version of the protocol.
    #[error("version {0} of the protocol is not known here")]
    Version(u8),
    /// Another set of algorithms.
    #[error("cipher suite {0} is not known here")]
    Suite(u8),
    /// It does not decrypt: it was changed, is out of order, or belongs to another request or attempt.
    #[error("the answer does not decrypt")]
    Decrypt,
    /// It decrypts, and is no valid message.
    #[error("the sealed answer is not valid: {0}")]
    Content(DecodeError),
    /// A refusal of a kind that only the host itself can give, and gives sealed.
    #[error("a relay refused in the host's name (code {0})")]
    NotPlain(u8),
    /// The last message was there already.
    #[error("a message came after the last one")]
    AfterLast,
}

/// Seals a request to the host's public key, and returns it with the key for its answers.
///
/// `aad` must be [`Ask::aad`]; it goes into the route header as well. Seal anew for each attempt: the bytes of the
/// attempts then have nothing in common, and an answer to one is no answer to another.
///
/// # Errors
/// [`SealError::TooLarge`], [`SealError::BadKey`], [`SealError::Inconsistent`].
pub fn seal<R: RngCore + CryptoRng>(
    host_key: &[u8; 32],
    aad: &Aad,
    ask: &Ask,
    rng: &mut R,
) -> Result<(Vec<u8>, AnswerKey), SealError> {
    ask.check(aad).map_err(SealError::Inconsistent)?;
    let key = <HostKem as Kem>::PublicKey::from_bytes(host_key).map_err(|_| SealError::BadKey)?;
    let (encapsulated, mut context): (_, ClientContext) =
        hpke::setup_sender_with_rng(&OpModeS::Base, &key, &ask_info(), &mut Rng(rng))
            .map_err(|_| SealError::BadKey)?;
    let mut bytes = frame(&encapsulated.to_bytes(), ask)?;
    let body = bytes.get_mut(FRONT_BYTES..).ok_or(SealError::Cipher)?;
    let tag = context
        .seal_inout_detached(InOutBuf::from(body), &ask_aad(aad))
        .map_err(|_| SealError::Cipher)?;
    bytes.extend_from_slice(&tag.to_bytes());
    let key = AnswerKey {
        context: Arc::new(context),
        request: aad.request,
    };
    Ok((bytes, key))
}

/// Opens a sealed request, checks that it is what header and seal say it is ([`Ask::check`]), and returns it with what
/// seals its answers.
///
/// Signatures, times, the chain, the price, the inputs' hash and whether the request id is new are not checked here.
///
/// # Errors
/// See [`OpenError`].
pub fn open<R: RngCore + CryptoRng>(
    keys: &KeyRing,
    header: &RouteHeader,
    sealed: &[u8],
    rng: &mut R,
) -> Result<(Ask, AnswerSealer), OpenError> {
    header.check().map_err(OpenError::Header)?;
    let parts = Parts::of(sealed).map_err(|error| match error {
        PartsError::Version(version) => OpenError::Version(version),
        PartsError::Suite(suite) => OpenError::Suite(suite),
        PartsError::Size => OpenError::Size(sealed.len()),
    })?;
    let key = keys.find(header.key).ok_or(OpenError::WrongKey {
        current: keys.current(),
    })?;
    let encapsulated =
        <HostKem as Kem>::EncappedKey::from_bytes(parts.front).map_err(|_| OpenError::Decrypt)?;
    let mut context: HostContext = hpke::setup_receiver(&OpModeR::Base, &key, &encapsulated, &ask_info())
        .map_err(|_| OpenError::Decrypt)?;
    let mut body = parts.body.to_vec();
    let tag = AeadTag::from_bytes(parts.tag).map_err(|_| OpenError::Decrypt)?;
    context
        .open_inout_detached(InOutBuf::from(body.as_mut_slice()), &ask_aad(&header.aad), &tag)
        .map_err(|_| OpenError::Decrypt)?;

    let mut salt = [0; 32];
    rng.fill_bytes(&mut salt);
    let answers = AnswerSealer {
        stream: Stream::new(salt, header.aad.request, |info, out| {
            context.export(info, out).is_ok()
        })
        .ok_or(OpenError::Decrypt)?,
        finished: false,
    };
    let ask = padding::unpad(&body)
        .ok_or(DecodeError::Malformed)
        .and_then(wire::decode_ask)
        .and_then(|ask| ask.check(&header.aad).map(|()| ask));
    match ask {
        Ok(ask) => Ok((ask, answers)),
        Err(error) => Err(OpenError::Content {
            error,
            answers: Box::new(answers),
        }),
    }
}

/// A refusal in clear: from a node that can not seal one, because it can not open the request.
pub fn plain_refusal(refusal: &Refusal) -> Vec<u8> {
    let mut bytes = vec![VERSION, PLAIN];
    refusal.encode_to(&mut bytes);
    bytes
}

/// What a client needs to open the answers to one sealed request. The key is erased when the last copy goes.
#[derive(Clone)]
pub struct AnswerKey {
    context: Arc<ClientContext>,
    request: H256,
}

impl AnswerKey {
    /// An opener for one stream of answers.
    pub fn opener(&self) -> AnswerOpener {
        AnswerOpener {
            key: self.clone(),
            stream: None,
            finished: false,
        }
    }

    fn stream(&self, salt: [u8; 32]) -> Option<Stream> {
        Stream::new(salt, self.request, |info, out| {
            self.context.export(info, out).is_ok()
        })
    }
}

impl fmt::Debug for AnswerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerKey")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// Seals the answers to one request, in order. The key is erased when this goes.
pub struct AnswerSealer {
    stream: Stream,
    finished: bool,
}

impl AnswerSealer {
    /// Seals a message on the way.
    ///
    /// # Errors
    /// [`SealError::Finished`] after the last message.
    pub fn progress(&mut self, progress: &Progress) -> Result<Vec<u8>, SealError> {
        // The encoding of `AnswerMessage::Progress`, without a copy of the value.
        self.seal(&(0u8, progress))
    }

    /// Seals the last message.
    ///
    /// # Errors
    /// [`SealError::TooLarge`]: a refusal can be sealed instead. [`SealError::Finished`] after the last message.
    pub fn answer(&mut self, answer: &Answer) -> Result<Vec<u8>, SealError> {
        // As above, `AnswerMessage::Final`.
        let bytes = self.seal(&(1u8, answer))?;
        self.finished = true;
        Ok(bytes)
    }

    fn seal(&mut self, message: &impl Encode) -> Result<Vec<u8>, SealError> {
        if self.finished {
            return Err(SealError::Finished);
        }
        let mut bytes = frame(&self.stream.salt, message)?;
        let body = bytes.get_mut(FRONT_BYTES..).ok_or(SealError::Cipher)?;
        let tag = self
            .stream
            .cipher
            .encrypt_inout_detached(
                &self.stream.nonce().into(),
                &self.stream.aad(),
                InOutBuf::from(body),
            )
            .map_err(|_| SealError::Cipher)?;
        bytes.extend_from_slice(&tag);
        self.stream.next = self.stream.next.checked_add(1).ok_or(SealError::Cipher)?;
        Ok(bytes)
    }
}

impl fmt::Debug for AnswerSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerSealer")
            .field("request", &self.stream.request)
            .field("next", &self.stream.next)
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}

/// What came back for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // as `Answer`
pub enum Received {
    /// The host is at work.
    Progress(Progress),
    /// The host's last word.
    Answer(Answer),
    /// Some node on the path refused, or the host before it could open the request. Nothing shows which: see
    /// [`Refusal::retry`].
    Plain(Refusal),
}

/// Opens the answers to one attempt at a request, in order.
#[derive(Debug)]
pub struct AnswerOpener {
    key: AnswerKey,
    /// Known from the first message that decrypts.
    stream: Option<Stream>,
    finished: bool,
}

impl AnswerOpener {
    /// Opens the next message.
    ///
    /// # Errors
    /// See [`AnswerError`]. A stream with a message that fails is of no more use: a message is missing or comes from
    /// somebody else.
    pub fn open(&mut self, bytes: &[u8]) -> Result<Received, AnswerError> {
        if self.finished {
            return Err(AnswerError::AfterLast);
        }
        if let Some((&[VERSION, PLAIN], refusal)) = bytes.split_first_chunk() {
            if bytes.len() > MAX_PLAIN_REFUSAL_BYTES {
                return Err(AnswerError::Size(bytes.len()));
            }
            let refusal = wire::decode_refusal(refusal).map_err(AnswerError::Content)?;
            return if refusal.may_be_plain() {
                Ok(Received::Plain(refusal))
            } else {
                Err(AnswerError::NotPlain(refusal.code()))
            };
        }
        let parts = Parts::of(bytes).map_err(|error| match error {
            PartsError::Version(version) => AnswerError::Version(version),
            PartsError::Suite(suite) => AnswerError::Suite(suite),
            PartsError::Size => AnswerError::Size(bytes.len()),
        })?;
        let fresh = match &self.stream {
            Some(stream) if stream.salt == *parts.front => None,
            Some(_) => return Err(AnswerError::Decrypt),
            None => Some(self.key.stream(*parts.front).ok_or(AnswerError::Decrypt)?),
        };
        let stream = fresh
            .as_ref()
            .or(self.stream.as_ref())
            .ok_or(AnswerError::Decrypt)?;
        let mut body = parts.body.to_vec();
        stream
            .cipher
            .decrypt_inout_detached(
                &stream.nonce().into(),
                &stream.aad(),
                InOutBuf::from(body.as_mut_slice()),
                parts.tag.into(),
            )
            .map_err(|_| AnswerError::Decrypt)?;
        let message = padding::unpad(&body)
            .ok_or(DecodeError::Malformed)
            .and_then(wire::decode_answer_message)
            .map_err(AnswerError::Content)?;
        if fresh.is_some() {
            self.stream = fresh;
        }
        if let Some(stream) = &mut self.stream {
            stream.next = stream.next.checked_add(1).ok_or(AnswerError::Decrypt)?;
        }
        Ok(match message {
            AnswerMessage::Progress(progress) => Received::Progress(progress),
            AnswerMessage::Final(answer) => {
                self.finished = true;
                Received::Answer(answer)
            }
        })
    }

    /// Whether the last message was there. A stream that ends before was cut off.
    pub fn is_finished(&self) -> bool {
        self.finished
    }
}

/// Key and position of one stream of answers.
struct Stream {
    salt: [u8; 32],
    request: H256,
    cipher: ChaCha20Poly1305,
    base_nonce: Zeroizing<[u8; 12]>,
    /// Number of the next message.
    next: u64,
}

impl Stream {
    fn new(salt: [u8; 32], request: H256, export: impl FnOnce(&[u8], &mut [u8]) -> bool) -> Option<Self> {
        let info = [ANSWER_DOMAIN, &[VERSION, SUITE], &salt].concat();
        let mut secret = Zeroizing::new([0; 32 + 12]);
        if !export(&info, secret.as_mut_slice()) {
            return None;
        }
        let (key, nonce) = secret.split_first_chunk::<32>()?;
        let mut base_nonce = Zeroizing::new([0; 12]);
        base_nonce.copy_from_slice(nonce);
        Some(Self {
            salt,
            request,
            cipher: ChaCha20Poly1305::new(key.into()),
            base_nonce,
            next: 0,
        })
    }

    /// The base nonce xor the message's number, big-endian, as in HPKE.
    fn nonce(&self) -> [u8; 12] {
        let mut nonce = *self.base_nonce;
        for (byte, number) in nonce.iter_mut().skip(4).zip(self.next.to_be_bytes()) {
            *byte ^= number;
        }
        nonce
    }

    fn aad(&self) -> Vec<u8> {
        [&[VERSION, SUITE], self.request.as_bytes()].concat()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// The parts of a sealed message.
struct Parts<'a> {
    /// Encapsulated key or salt.
    front: &'a [u8; 32],
    body: &'a [u8],
    tag: &'a [u8; TAG_BYTES],
}

enum PartsError {
    Version(u8),
    Suite(u8),
    Size,
}

impl<'a> Parts<'a> {
    fn of(sealed: &'a [u8]) -> Result<Self, PartsError> {
        let (&[version, suite], rest) = sealed.split_first_chunk().ok_or(PartsError::Size)?;
        if version != VERSION {
            return Err(PartsError::Version(version));
        }
        if suite != SUITE {
            return Err(PartsError::Suite(suite));
        }
        if !padding::is_class(sealed.len()) {
            return Err(PartsError::Size);
        }
        let (front, rest) = rest.split_first_chunk().ok_or(PartsError::Size)?;
        let (body, tag) = rest.split_last_chunk().ok_or(PartsError::Size)?;
        Ok(Self { front, body, tag })
    }
}

/// Version, suite, `front`, and the padded message in clear, in a buffer with just enough room for the tag.
fn frame(front: &[u8], message: &impl Encode) -> Result<Vec<u8>, SealError> {
    let length = message.encoded_size();
    let size = length.saturating_add(OVERHEAD_BYTES);
    let class = padding::class_of(size).ok_or(SealError::TooLarge { size })?;
    let prefix = u32::try_from(length).map_err(|_| SealError::TooLarge { size })?;
    let mut bytes = Vec::with_capacity(class);
    bytes.extend_from_slice(&[VERSION, SUITE]);
    bytes.extend_from_slice(front);
    bytes.extend_from_slice(&prefix.to_le_bytes());
    message.encode_to(&mut bytes);
    bytes.resize(class.saturating_sub(TAG_BYTES), 0);
    Ok(bytes)
}

fn ask_info() -> Vec<u8> {
    [ASK_DOMAIN, &[VERSION, SUITE]].concat()
}

fn ask_aad(aad: &Aad) -> Vec<u8> {
    (VERSION, SUITE, aad).encode()
}

/// A random generator of `rand` 0.9 for HPKE, which wants the traits of the next version.
struct Rng<'a, R>(&'a mut R);

impl<R: RngCore> TryRng for Rng<'_, R> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_bytes(to);
        Ok(())
    }
}

impl<R: RngCore + CryptoRng> TryCryptoRng for Rng<'_, R> {}

#[cfg(test)]
mod tests {
    //! What no client of this crate can make: requests that decrypt and are wrong inside, or that are sealed under
    //! another version or suite.

    use super::*;
    use llmesh_primitives::{ElementType, SignedVoucher, Voucher};
    use llmesh_proofs::{Place, RequestTerms};
    use rand::{SeedableRng, rngs::StdRng};
    use sp_core::{Pair, ed25519};
    use sp_runtime::AccountId32;

    fn ask() -> Ask {
        let pair = ed25519::Pair::from_seed(&[1; 32]);
        let inputs = crate::MeshTensors::new(vec![
            crate::MeshTensor::new("x", ElementType::U8, &[3], vec![1, 2, 3]).unwrap(),
        ])
        .unwrap();
        let terms = RequestTerms {
            genesis: H256::zero(),
            place: Place {
                channel: 5,
                epoch: 0,
                lane: 0,
                sequence: 1,
            },
            client: AccountId32::new(pair.public().0),
            model: H256::zero(),
            version: 0,
            input_hash: inputs.hash(),
            max_price: 2,
            host: AccountId32::new([2; 32]),
            expires_at: 3,
            salt: [4; 16],
        };
        let voucher = Voucher {
            genesis: H256::zero(),
            channel: 5,
            epoch: 0,
            lane: 0,
            nonce: 1,
            cumulative: 1,
            receipts: H256::zero(),
        };
        let signature = pair.sign(&voucher.payload()).into();
        Ask {
            request: terms.signed(|id| pair.sign(id).into()),
            channel: 5,
            price: 1,
            voucher: SignedVoucher { voucher, signature },
            inputs,
            progress: false,
        }
    }

    fn header(aad: &Aad, keys: &KeyRing) -> RouteHeader {
        RouteHeader {
            version: VERSION,
            request: aad.request,
            host: vec![1].try_into().unwrap(),
            path: Default::default(),
            key: keys.current(),
            aad: aad.clone(),
            deadline_ms: 1,
            class: 0,
            hops_left: 0,
        }
    }

    /// Seals any plaintext under any info and associated data.
    fn forge(keys: &KeyRing, plain: &[u8], info: &[u8], aad: &[u8]) -> (Vec<u8>, ClientContext) {
        let key = <HostKem as Kem>::PublicKey::from_bytes(&keys.public()).unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        let (enc, mut context): (_, ClientContext) =
            hpke::setup_sender_with_rng(&OpModeS::Base, &key, info, &mut Rng(&mut rng)).unwrap();
        let mut bytes = vec![VERSION, SUITE];
        bytes.extend_from_slice(&enc.to_bytes());
        bytes.extend(context.seal(plain, aad).unwrap());
        (bytes, context)
    }

    fn padded(message: &[u8], total: usize) -> Vec<u8> {
        let mut bytes = (message.len() as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(message);
        bytes.resize(total - FRONT_BYTES - TAG_BYTES, 0);
        bytes
    }

    fn try_open(keys: &KeyRing, aad: &Aad, sealed: &[u8]) -> Result<(Ask, AnswerSealer), OpenError> {
        open(keys, &header(aad, keys), sealed, &mut StdRng::seed_from_u64(2))
    }

    /// The suite is the one of the RFC's appendix A.2.1.
    #[test]
    fn the_vector_of_the_rfc_opens() {
        let ikm = b"\x1a\xc0\x1f\x18\x1f\xdf\x9f\x35\x27\x97\x65\x51\x61\xc5\x8b\x75\xc6\x56\xa6\xcc\x27\x16\xdc\xb6\x63\x72\
            \xda\x83\x55\x42\xe1\xdf";
        let enc = b"\x1a\xfa\x08\xd3\xde\xc0\x47\xa6\x43\x88\x51\x63\xf1\x18\x04\x76\xfa\x7d\xdb\x54\xc6\xa8\x02\x9e\xa3\x3f\
            \x95\x79\x6b\xf2\xac\x4a";
        let ciphertext = b"\x1c\x52\x50\xd8\x03\x4e\xc2\xb7\x84\xba\x2c\xfd\x69\xdb\xdb\x8a\xf4\x06\xcf\xe3\xff\x93\x8e\x13\
            \x1f\x0d\xef\x8c\x8b\x60\xb4\xdb\x21\x99\x3c\x62\xce\x81\x88\x3d\x2d\xd1\xb5\x1a\x28";
        let (key, _) = HostKem::derive_keypair(ikm);
        let enc = <HostKem as Kem>::EncappedKey::from_bytes(enc).unwrap();
        let mut context: HostContext =
            hpke::setup_receiver(&OpModeR::Base, &key, &enc, b"Ode on a Grecian Urn").unwrap();
        assert_eq!(
            context.open(ciphertext, b"Count-0").unwrap(),
            b"Beauty is truth, truth beauty"
        );
    }

    #[test]
    fn version_and_suite_are_bound_inside_too() {
        let keys = KeyRing::generate(&mut StdRng::seed_from_u64(3));
        let aad = ask().aad();
        let plain = padded(&ask().encode(), 768);
        let good = forge(&keys, &plain, &ask_info(), &ask_aad(&aad)).0;
        assert!(try_open(&keys, &aad, &good).is_ok());
        // Made under another version or suite, with the first bytes changed to ours on the way.
        for (version, suite) in [(VERSION, 2), (2, SUITE), (VERSION, 0), (0, SUITE)] {
            let info = [ASK_DOMAIN, &[version, suite]].concat();
            let other = (version, suite, &aad).encode();
            for (info, aad_bytes) in [(&info, &ask_aad(&aad)), (&ask_info(), &other), (&info, &other)] {
                let sealed = forge(&keys, &plain, info, aad_bytes).0;
                assert!(matches!(try_open(&keys, &aad, &sealed), Err(OpenError::Decrypt)));
            }
        }
    }

    #[test]
    fn a_client_that_seals_nonsense_gets_a_sealed_refusal() {
        let keys = KeyRing::generate(&mut StdRng::seed_from_u64(3));
        let ask = ask();
        let aad = ask.aad();
        let other = Ask {
            price: 2,
            ..ask.clone()
        };
        let mut dirty = padded(&ask.encode(), 768);
        *dirty.last_mut().unwrap() = 1;
        let mut channels = ask.clone();
        channels.channel = 6;
        let long = [ask.encode(), vec![0]].concat();
        let cases = [
            padded(b"", 512),
            padded(b"nonsense", 512),
            padded(&long, 768),
            padded(&other.encode(), 768),
            padded(&channels.encode(), 768),
            dirty,
            vec![0xff; 768 - FRONT_BYTES - TAG_BYTES],
        ];
        for plain in cases {
            let (sealed, context) = forge(&keys, &plain, &ask_info(), &ask_aad(&aad));
            let Err(OpenError::Content { error, mut answers }) = try_open(&keys, &aad, &sealed) else {
                panic!("opened")
            };
            let answer = Answer::Refused(error.into());
            let key = AnswerKey {
                context: Arc::new(context),
                request: aad.request,
            };
            let bytes = answers.answer(&answer).unwrap();
            assert_eq!(key.opener().open(&bytes), Ok(Received::Answer(answer)));
        }
        // A larger class than needed is no nonsense.
        let roomy = forge(&keys, &padded(&ask.encode(), 4096), &ask_info(), &ask_aad(&aad)).0;
        assert!(try_open(&keys, &aad, &roomy).is_ok());
        // A length that is no class is.
        let odd = forge(&keys, &padded(&ask.encode(), 800), &ask_info(), &ask_aad(&aad)).0;
        assert!(matches!(try_open(&keys, &aad, &odd), Err(OpenError::Size(800))));
    }

    #[test]
    fn the_short_encodings_are_those_of_the_messages() {
        let progress = Progress::Started;
        assert_eq!(
            (0u8, &progress).encode(),
            AnswerMessage::Progress(progress).encode()
        );
        let answer = Answer::Refused(Refusal::Internal);
        assert_eq!((1u8, &answer).encode(), AnswerMessage::Final(answer).encode());
    }

    #[test]
    fn numbers_of_messages_do_not_wrap() {
        let keys = KeyRing::generate(&mut StdRng::seed_from_u64(3));
        let aad = ask().aad();
        let (sealed, _) = seal(&keys.public(), &aad, &ask(), &mut StdRng::seed_from_u64(1)).unwrap();
        let (_, mut answers) = try_open(&keys, &aad, &sealed).unwrap();
        answers.stream.next = u64::MAX;
        assert_eq!(answers.progress(&Progress::Started), Err(SealError::Cipher));
    }

    /// Prints what sealing costs: `cargo test --release -p llmesh-protocol --lib -- --ignored --nocapture cost`.
    #[test]
    #[ignore = "a measurement"]
    fn cost_of_sealing() {
        let keys = KeyRing::generate(&mut StdRng::seed_from_u64(3));
        for bytes in [100usize, 10_000, 1_000_000, 16_000_000] {
            let mut ask = ask();
            ask.inputs = crate::MeshTensors::new(vec![
                crate::MeshTensor::new("x", ElementType::U8, &[bytes as u32], vec![7; bytes]).unwrap(),
            ])
            .unwrap();
            let aad = ask.aad();
            let rounds = (20_000_000 / bytes).clamp(3, 500) as u32;
            let mut rng = StdRng::seed_from_u64(1);
            let start = std::time::Instant::now();
            let mut sealed = Vec::new();
            for _ in 0..rounds {
                sealed = seal(&keys.public(), &aad, &ask, &mut rng).unwrap().0;
            }
            let sealing = start.elapsed() / rounds;
            let start = std::time::Instant::now();
            for _ in 0..rounds {
                try_open(&keys, &aad, &sealed).unwrap();
            }
            println!(
                "{bytes} bytes of input: {} sealed, seal {sealing:?}, open {:?}",
                sealed.len(),
                start.elapsed() / rounds
            );
        }
    }
}
