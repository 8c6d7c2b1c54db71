//! What all exchanges share on their way out: windows, compression, the buffer.

use crate::link::{
    LinkStats,
    adaptive::{Adaptive, Meter, WORTH},
    frame::{self, Head, Kind},
    out::OutBuf,
    pack::Packer,
};
use bytes::{BufMut, Bytes};
use tokio::time::{Duration, Instant};

/// A data frame is not cut below this by a window.
const FRAME_MIN: usize = 4 * 1024;
/// Least that may be under way, however slow the link is.
const IN_FLIGHT_MIN: f64 = 256.0 * 1024.0;
/// Seconds of sending that may be under way beyond the round trip, for what delays the peer's tasks.
const SLACK: f64 = 0.02;
/// Most under way on a link that has not been measured.
const IN_FLIGHT_UNKNOWN: usize = 1 << 20;

/// How a body is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Undecided,
    Plain,
    Packed,
}

/// A body on its way out.
pub(super) struct Flow {
    pub(super) body: Bytes,
    pub(super) sent: usize,
    pub(super) credit: usize,
    pub(super) form: Form,
    /// Waits for the peer's window frame, outside of the lanes.
    pub(super) parked: bool,
}

impl Flow {
    pub(super) fn new(body: Bytes) -> Self {
        Self {
            body,
            sent: 0,
            credit: 0,
            form: Form::Undecided,
            parked: false,
        }
    }

    pub(super) fn is_large(&self) -> bool {
        self.body.len() > frame::INLINE_MAX
    }
}

/// What became of an attempt to put out a data frame.
pub(super) enum Sent {
    More,
    Done,
    /// The exchange's window is used up.
    Parked,
    /// The link's window is used up.
    Full,
}

/// The sending side of what all exchanges share.
pub(super) struct Sending {
    pub(super) out: OutBuf,
    pub(super) adaptive: Adaptive,
    pub(super) meter: Meter,
    pub(super) packer: Packer,
    pub(super) link_credit: usize,
    pub(super) began: Instant,
    pub(super) stats: LinkStats,
}

impl Sending {
    pub(super) fn frame(
        &mut self,
        kind: Kind,
        id: u32,
        end: bool,
        packed: bool,
        len: usize,
        write: impl FnOnce(&mut bytes::BytesMut),
    ) {
        let head = Head {
            kind,
            end,
            packed,
            id,
            len,
        }
        .encode();
        self.out.put(|buf| {
            buf.put_slice(&head);
            write(buf);
        });
        self.stats.frames_out += 1;
    }

    pub(super) fn reason(&mut self, kind: Kind, id: u32, code: u16, message: &str) {
        let message = frame::bounded(message);
        self.frame(kind, id, false, false, 2 + message.len(), |buf| {
            buf.put_u16_le(code);
            buf.put_slice(message.as_bytes());
        });
    }

    pub(super) fn clock(&self) -> Duration {
        self.began.elapsed()
    }

    /// How much more may be under way: the peer's link window, and not much more than what the link holds at its measured pace, so
    /// that what comes next does not stand behind seconds of data in somebody's buffers.
    pub(super) fn allowance(&self) -> usize {
        let hold = match (self.adaptive.peak(), self.stats.rtt_min) {
            (Some(link), Some(rtt)) => (2.0 * link * (rtt.as_secs_f64() + SLACK)).max(IN_FLIGHT_MIN) as usize,
            _ => IN_FLIGHT_UNKNOWN,
        };
        self.link_credit.min(hold.saturating_sub(self.meter.in_flight()))
    }

    /// Puts out a body that fits into one frame, packed if that pays. `fixed` is what precedes it in the payload.
    pub(super) fn inline(
        &mut self,
        kind: Kind,
        id: u32,
        fixed: impl FnOnce(&mut bytes::BytesMut),
        fixed_len: usize,
        body: &Bytes,
    ) {
        self.stats.body_out += body.len() as u64;
        if body.len() >= WORTH {
            let now = self.clock();
            if self.packer.choose(body, &mut self.adaptive, now).0
                && self.packer.block(body, &mut self.adaptive, now).0
            {
                let head = Head {
                    kind,
                    end: true,
                    packed: true,
                    id,
                    len: fixed_len + self.packer.packed().len(),
                };
                let packed = self.packer.packed();
                self.out.put(|buf| {
                    buf.put_slice(&head.encode());
                    fixed(buf);
                    buf.put_slice(packed);
                });
                self.stats.frames_out += 1;
                return;
            }
        }
        self.frame(kind, id, true, false, fixed_len + body.len(), fixed);
        self.out.put_bytes(body.clone());
    }

    /// Puts out the next frame of a large body.
    pub(super) fn data(&mut self, id: u32, flow: &mut Flow) -> Sent {
        let left = flow.body.len() - flow.sent;
        let least = left.min(FRAME_MIN);
        if flow.credit < least {
            flow.parked = true;
            return Sent::Parked;
        }
        let allowance = self.allowance();
        if allowance < least {
            return Sent::Full;
        }
        let now = self.clock();
        if flow.form == Form::Undecided {
            let (pack, took) = self.packer.choose(&flow.body, &mut self.adaptive, now);
            flow.form = if pack { Form::Packed } else { Form::Plain };
            self.meter.packing(took);
        }
        let n = left.min(frame::DATA_MAX).min(flow.credit).min(allowance);
        let plain = flow.body.slice(flow.sent..flow.sent + n);
        let end = n == left;
        let mut len = n;
        if flow.form == Form::Packed {
            let (useful, took) = self.packer.block(&plain, &mut self.adaptive, now);
            self.meter.packing(took);
            let packed = self.packer.packed();
            if useful && packed.len() + frame::PACKED_FIXED <= n {
                len = packed.len() + frame::PACKED_FIXED;
                let head = Head {
                    kind: Kind::Data,
                    end,
                    packed: true,
                    id,
                    len,
                };
                self.out.put(|buf| {
                    buf.put_slice(&head.encode());
                    buf.put_u32_le(n as u32);
                    buf.put_slice(packed);
                });
                self.stats.frames_out += 1;
            } else {
                flow.form = Form::Plain;
            }
        }
        if flow.form == Form::Plain {
            self.frame(Kind::Data, id, end, false, n, |_| {});
            self.out.put_bytes(plain);
        }
        self.stats.body_out += n as u64;
        self.meter.sent(len, now);
        flow.credit -= len;
        self.link_credit -= len;
        flow.sent += n;
        if end {
            flow.body = Bytes::new();
            flow.sent = 0;
            Sent::Done
        } else {
            Sent::More
        }
    }
}
