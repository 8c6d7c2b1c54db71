//! The bytes of a link: hello, frame heads and the fixed parts of the frames' payloads.
//!
//! Integers are little endian. A link starts with one hello from each side, sent without waiting for the other one:
//!
//! ```text
//! magic "LLMK" | version u16 | role u8 | 0 u8 | length u16 | length bytes of limits
//! ```
//!
//! The limits are those of the sender of the hello as a receiver; a newer version may append fields, which an older one
//! ignores. After it come frames:
//!
//! ```text
//! payload length u24 | kind (5 bits) and flags (3 bits) u8 | exchange id u32 | payload
//! ```
//!
//! | kind | payload | flags |
//! |---|---|---|
//! | request 1 | header length u16, priority u8, options u8, timeout ms u32, body length u32, header, body if `END` | `END`, `PACKED` |
//! | data 2 | a part of a body; packed: length u32, then one zstd frame | `END`, `PACKED` |
//! | response 3 | body length u32, body if `END` | `END`, `PACKED` |
//! | reject 4 | code u16, message in UTF-8 | |
//! | cancel 5 | - | |
//! | window 6 | bytes u32; id 0 means the link's own window | |
//! | progress 7 | anything | |
//! | ping 8, pong 9 | nonce u64 | |
//! | goodbye 10 | code u16, message in UTF-8 | |
//!
//! Body lengths are those of the plain bytes, before compression. Windows count bytes of data frames' payloads as they are on the wire.

use bytes::BufMut;

/// First bytes of every link.
pub(super) const MAGIC: [u8; 4] = *b"LLMK";
/// The highest version that this code speaks.
pub(super) const VERSION: u16 = 1;
/// The lowest version that this code speaks.
pub(super) const VERSION_MIN: u16 = 1;
/// Bytes before the limits in a hello.
pub(super) const HELLO_FIXED: usize = 10;
/// Most bytes of limits in a hello, for versions to come.
pub(super) const HELLO_LIMITS_MAX: usize = 256;
/// Bytes of limits in a hello of this version.
const HELLO_LIMITS: usize = 32;

/// Bytes of a frame's head.
pub(super) const HEAD: usize = 8;
/// Largest payload of a data frame. With its head a full frame is 64 KiB, four of yamux' frames.
pub(super) const DATA_MAX: usize = 64 * 1024 - HEAD;
/// Bodies up to this length travel in the request's or response's own frame.
pub(super) const INLINE_MAX: usize = 16 * 1024;
/// Hard bound of a request's header, whatever the configuration says.
pub(super) const HEADER_MAX: usize = 60 * 1024;
/// Fixed bytes of a request's payload.
pub(super) const REQUEST_FIXED: usize = 12;
/// Fixed bytes of a response's payload.
pub(super) const RESPONSE_FIXED: usize = 4;
/// Length in front of packed data.
pub(super) const PACKED_FIXED: usize = 4;
/// Longest message of a reject or goodbye, in bytes.
pub(super) const MESSAGE_MAX: usize = 512;
/// Longest progress message, in bytes.
pub(super) const PROGRESS_MAX: usize = 32 * 1024;

/// Nothing follows on this half of the exchange.
pub(super) const END: u8 = 0b0010_0000;
/// The body part of the payload is compressed.
pub(super) const PACKED: u8 = 0b0100_0000;
const FLAGS: u8 = 0b1110_0000;

/// Option bit of a request: the caller listens to progress messages.
pub(super) const WANTS_PROGRESS: u8 = 1;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    Request = 1,
    Data = 2,
    Response = 3,
    Reject = 4,
    Cancel = 5,
    Window = 6,
    Progress = 7,
    Ping = 8,
    Pong = 9,
    Goodbye = 10,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Request,
            2 => Self::Data,
            3 => Self::Response,
            4 => Self::Reject,
            5 => Self::Cancel,
            6 => Self::Window,
            7 => Self::Progress,
            8 => Self::Ping,
            9 => Self::Pong,
            10 => Self::Goodbye,
            _ => return None,
        })
    }
}

/// A decoded frame head. Its length has been checked against the kind's bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub kind: Kind,
    pub end: bool,
    pub packed: bool,
    pub id: u32,
    pub len: usize,
}

/// Why a head or payload is refused. The text goes to the peer and to the log.
pub(super) type Fault = &'static str;

impl Head {
    pub fn encode(&self) -> [u8; HEAD] {
        let len = (self.len as u32).to_le_bytes();
        let id = self.id.to_le_bytes();
        let mut kind = self.kind as u8;
        if self.end {
            kind |= END;
        }
        if self.packed {
            kind |= PACKED;
        }
        [len[0], len[1], len[2], kind, id[0], id[1], id[2], id[3]]
    }

    /// Decodes and checks the first [`HEAD`] bytes of `bytes`; `None` while there are fewer.
    pub fn decode(bytes: &[u8], max_header: usize) -> Result<Option<Self>, Fault> {
        let Some(&[a, b, c, kind, i, j, k, l]) = bytes.first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let len = u32::from_le_bytes([a, b, c, 0]) as usize;
        let id = u32::from_le_bytes([i, j, k, l]);
        let flags = kind & FLAGS;
        let kind = Kind::from_byte(kind & !FLAGS).ok_or("unknown frame kind")?;
        let (end, packed) = (flags & END != 0, flags & PACKED != 0);
        if flags & !(END | PACKED) != 0 {
            return Err("unknown frame flag");
        }
        let (low, high, flagged, owned) = match kind {
            Kind::Request => (REQUEST_FIXED, REQUEST_FIXED + max_header + INLINE_MAX, true, true),
            Kind::Data if packed => (PACKED_FIXED + 1, DATA_MAX, true, true),
            Kind::Data => (1, DATA_MAX, true, true),
            Kind::Response => (RESPONSE_FIXED, RESPONSE_FIXED + INLINE_MAX, true, true),
            Kind::Reject => (2, 2 + MESSAGE_MAX, false, true),
            Kind::Cancel => (0, 0, false, true),
            Kind::Window => (4, 4, false, id != 0),
            Kind::Progress => (0, PROGRESS_MAX, false, true),
            Kind::Ping | Kind::Pong => (8, 8, false, false),
            Kind::Goodbye => (2, 2 + MESSAGE_MAX, false, false),
        };
        if len < low || len > high {
            return Err("frame length out of bounds");
        }
        if flags != 0 && !flagged {
            return Err("flag on a frame that has none");
        }
        if owned != (id != 0) {
            return Err("frame with a wrong id");
        }
        if packed && !end && kind != Kind::Data {
            return Err("packed frame without a body");
        }
        Ok(Some(Self {
            kind,
            end,
            packed,
            id,
            len,
        }))
    }
}

/// What a side accepts, told in its hello.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Limits {
    pub max_header: u32,
    pub max_body: u32,
    pub max_response: u32,
    pub max_incoming: u32,
    pub window: u32,
    pub link_window: u32,
    pub memory: u64,
}

/// A decoded hello.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hello {
    pub version: u16,
    pub dialer: bool,
    pub limits: Limits,
}

impl Hello {
    pub fn encode(&self, out: &mut impl BufMut) {
        out.put_slice(&MAGIC);
        out.put_u16_le(self.version);
        out.put_u8(u8::from(self.dialer));
        out.put_u8(0);
        out.put_u16_le(HELLO_LIMITS as u16);
        let l = &self.limits;
        for field in [
            l.max_header,
            l.max_body,
            l.max_response,
            l.max_incoming,
            l.window,
            l.link_window,
        ] {
            out.put_u32_le(field);
        }
        out.put_u64_le(l.memory);
    }

    /// The hello at the start of `bytes` and its length; `None` while it is not complete.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, Fault> {
        let known = bytes.len().min(MAGIC.len());
        if bytes[..known] != MAGIC[..known] {
            return Err("not a link");
        }
        let Some(&[_, _, _, _, v0, v1, role, zero, l0, l1]) = bytes.first_chunk::<HELLO_FIXED>() else {
            return Ok(None);
        };
        let version = u16::from_le_bytes([v0, v1]);
        let length = u16::from_le_bytes([l0, l1]) as usize;
        if version < VERSION_MIN {
            return Err("version too old");
        }
        if role > 1 || zero != 0 {
            return Err("malformed hello");
        }
        if !(HELLO_LIMITS..=HELLO_LIMITS_MAX).contains(&length) {
            return Err("hello length out of bounds");
        }
        let Some(limits) = bytes[HELLO_FIXED..].get(..length) else {
            return Ok(None);
        };
        let u32_at = |at: usize| {
            limits
                .get(at..)
                .and_then(<[u8]>::first_chunk::<4>)
                .map_or(0, |field| u32::from_le_bytes(*field))
        };
        let limits = Limits {
            max_header: u32_at(0),
            max_body: u32_at(4),
            max_response: u32_at(8),
            max_incoming: u32_at(12),
            window: u32_at(16),
            link_window: u32_at(20),
            memory: u64::from(u32_at(24)) | u64::from(u32_at(28)) << 32,
        };
        Ok(Some((
            Self {
                version,
                dialer: role == 1,
                limits,
            },
            HELLO_FIXED + length,
        )))
    }
}

/// The fixed part of a request's payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RequestHead {
    pub header: u16,
    pub priority: u8,
    pub options: u8,
    pub timeout_ms: u32,
    pub body: u32,
}

impl RequestHead {
    pub fn encode(&self, out: &mut impl BufMut) {
        out.put_u16_le(self.header);
        out.put_u8(self.priority);
        out.put_u8(self.options);
        out.put_u32_le(self.timeout_ms);
        out.put_u32_le(self.body);
    }

    /// The fixed part, the header and the rest of a request's payload.
    pub fn decode(payload: &[u8]) -> Result<(Self, usize), Fault> {
        let Some(&[h0, h1, priority, options, t0, t1, t2, t3, b0, b1, b2, b3]) =
            payload.first_chunk::<REQUEST_FIXED>()
        else {
            return Err("request too short");
        };
        let head = Self {
            header: u16::from_le_bytes([h0, h1]),
            priority,
            options,
            timeout_ms: u32::from_le_bytes([t0, t1, t2, t3]),
            body: u32::from_le_bytes([b0, b1, b2, b3]),
        };
        let body_at = REQUEST_FIXED + head.header as usize;
        if body_at > payload.len() {
            return Err("request header longer than its frame");
        }
        if options & !WANTS_PROGRESS != 0 {
            return Err("unknown request option");
        }
        Ok((head, body_at))
    }
}

/// A `u32` payload.
pub(super) fn decode_u32(payload: &[u8]) -> Result<u32, Fault> {
    payload
        .first_chunk::<4>()
        .map(|field| u32::from_le_bytes(*field))
        .ok_or("payload too short")
}

/// A `u64` payload.
pub(super) fn decode_u64(payload: &[u8]) -> Result<u64, Fault> {
    payload
        .first_chunk::<8>()
        .map(|field| u64::from_le_bytes(*field))
        .ok_or("payload too short")
}

/// Code and message of a reject or goodbye. Bytes that are no UTF-8 are replaced.
pub(super) fn decode_reason(payload: &[u8]) -> Result<(u16, String), Fault> {
    let (code, message) = payload.split_first_chunk::<2>().ok_or("payload too short")?;
    Ok((
        u16::from_le_bytes(*code),
        String::from_utf8_lossy(message).into_owned(),
    ))
}

/// Cuts a message to [`MESSAGE_MAX`] bytes at a character's border.
pub(super) fn bounded(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

/// The id after `id` of the same side. Ids count up by two, wrap, and never are 0.
pub(super) fn next_id(id: u32) -> u32 {
    match id.wrapping_add(2) {
        0 => 2,
        next => next,
    }
}

/// Whether `id` was given out before `next`, in serial number arithmetic (RFC 1982).
pub(super) fn is_past(id: u32, next: u32) -> bool {
    let ahead = next.wrapping_sub(id);
    ahead != 0 && ahead < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds() -> impl Strategy<Value = Kind> {
        (1u8..=10).prop_map(|byte| Kind::from_byte(byte).unwrap())
    }

    proptest! {
        #[test]
        fn heads_survive(kind in kinds(), end: bool, packed: bool, id: u32, len in 0usize..1 << 24) {
            let head = Head { kind, end, packed, id, len };
            match Head::decode(&head.encode(), 4096) {
                Ok(Some(back)) => prop_assert_eq!(back, head),
                Ok(None) => prop_assert!(false, "a whole head is never incomplete"),
                Err(_) => {}
            }
        }

        #[test]
        fn any_eight_bytes_are_a_checked_head_or_a_fault(bytes: [u8; HEAD], max_header in 0usize..=HEADER_MAX) {
            if let Ok(Some(head)) = Head::decode(&bytes, max_header) {
                prop_assert!(head.len <= REQUEST_FIXED + max_header + INLINE_MAX || head.len <= DATA_MAX);
                prop_assert_eq!(head.encode(), bytes);
            }
        }

        #[test]
        fn short_input_is_incomplete(bytes in proptest::collection::vec(any::<u8>(), 0..HEAD)) {
            prop_assert_eq!(Head::decode(&bytes, 0), Ok(None));
        }

        #[test]
        fn hellos_survive(a: [u32; 6], memory: u64, dialer: bool, version in 1u16.., extra in 0usize..64) {
            let limits = Limits {
                max_header: a[0], max_body: a[1], max_response: a[2], max_incoming: a[3],
                window: a[4], link_window: a[5], memory,
            };
            let hello = Hello { version, dialer, limits };
            let mut bytes = Vec::new();
            hello.encode(&mut bytes);
            // A newer version may say more.
            bytes[8..10].copy_from_slice(&((HELLO_LIMITS + extra) as u16).to_le_bytes());
            bytes.resize(bytes.len() + extra, 7);
            for cut in 0..bytes.len() {
                prop_assert_eq!(Hello::decode(&bytes[..cut]), Ok(None));
            }
            prop_assert_eq!(Hello::decode(&bytes), Ok(Some((hello, bytes.len()))));
        }

        #[test]
        fn hello_of_anything_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Hello::decode(&bytes);
            let mut with_magic = MAGIC.to_vec();
            with_magic.extend_from_slice(&bytes);
            let _ = Hello::decode(&with_magic);
        }

        #[test]
        fn requests_survive(header in proptest::collection::vec(any::<u8>(), 0..100), priority: u8, timeout_ms: u32, body: u32, rest in 0usize..50) {
            let head = RequestHead { header: header.len() as u16, priority, options: 1, timeout_ms, body };
            let mut bytes = Vec::new();
            head.encode(&mut bytes);
            bytes.extend_from_slice(&header);
            bytes.resize(bytes.len() + rest, 0);
            let (back, at) = RequestHead::decode(&bytes).unwrap();
            prop_assert_eq!(back, head);
            prop_assert_eq!(&bytes[REQUEST_FIXED..at], &header[..]);
            prop_assert!(RequestHead::decode(&bytes[..at - 1]).is_err());
        }

        #[test]
        fn messages_are_cut_at_characters(message in proptest::collection::vec(any::<char>(), 0..300)) {
            let message: String = message.into_iter().collect();
            let cut = bounded(&message);
            prop_assert!(cut.len() <= MESSAGE_MAX && message.starts_with(cut));
            prop_assert!(message.len() <= MESSAGE_MAX || cut.len() > MESSAGE_MAX - 4);
        }

        #[test]
        fn ids_wrap_without_zero(start: u32, steps in 1u32..100) {
            let mut id = start.max(1);
            for _ in 0..steps {
                let next = next_id(id);
                prop_assert_ne!(next, 0);
                prop_assert_eq!(next % 2, id % 2);
                prop_assert!(is_past(id, next) && !is_past(next, id) && !is_past(id, id));
                id = next;
            }
        }
    }

    #[test]
    fn bounds_of_each_kind() {
        let check = |kind: Kind, id, len, flags: u8| {
            let head = Head {
                kind,
                end: flags & END != 0,
                packed: flags & PACKED != 0,
                id,
                len,
            };
            Head::decode(&head.encode(), 100)
        };
        assert!(check(Kind::Data, 1, DATA_MAX, 0).is_ok());
        assert_eq!(
            check(Kind::Data, 1, DATA_MAX + 1, 0),
            Err("frame length out of bounds")
        );
        assert_eq!(check(Kind::Data, 1, 0, END), Err("frame length out of bounds"));
        assert_eq!(check(Kind::Data, 0, 1, 0), Err("frame with a wrong id"));
        assert_eq!(
            check(Kind::Request, 1, REQUEST_FIXED + 101 + INLINE_MAX, END),
            Err("frame length out of bounds")
        );
        assert_eq!(
            check(Kind::Request, 1, 20, PACKED),
            Err("packed frame without a body")
        );
        assert_eq!(check(Kind::Ping, 1, 8, 0), Err("frame with a wrong id"));
        assert_eq!(check(Kind::Ping, 0, 9, 0), Err("frame length out of bounds"));
        assert_eq!(
            check(Kind::Cancel, 1, 0, END),
            Err("flag on a frame that has none")
        );
        assert!(check(Kind::Window, 0, 4, 0).is_ok() && check(Kind::Window, 5, 4, 0).is_ok());
        let mut unknown = Head {
            kind: Kind::Ping,
            end: false,
            packed: false,
            id: 0,
            len: 8,
        }
        .encode();
        unknown[3] = 11;
        assert_eq!(Head::decode(&unknown, 0), Err("unknown frame kind"));
        unknown[3] = 8 | 0x80;
        assert_eq!(Head::decode(&unknown, 0), Err("unknown frame flag"));
    }
}
