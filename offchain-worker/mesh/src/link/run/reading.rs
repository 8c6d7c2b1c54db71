//! Reading: from bytes to frames, and what frames may be.

use super::{
    Agreed, Inflow, Key, LINK_ACK, READ_MAX, READ_MIN, Reading, Run, Step, WINDOW_MIN, check, ensure,
    violation,
};
use crate::link::{
    CODE_CANCELLED, CODE_TIMEOUT, CallError, LinkEnd, Reject, Role,
    frame::{self, Fault, Head, Hello, Kind},
};
use bytes::Bytes;
use futures::io::{AsyncRead, AsyncWrite};
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::Instant;

/// Frames for an exchange that may come after its end.
const LATE_FRAMES: u64 = 4;

impl<S: AsyncRead + AsyncWrite + Unpin> Run<S> {
    /// One read and what it brought. False when there is nothing to read.
    pub(super) fn read(&mut self, cx: &mut Context<'_>) -> Step<bool> {
        let now = self.now;
        if let Some(at) = self.byte_rate.as_mut().and_then(|bucket| bucket.ready_at(now)) {
            // The peer waits because this side does not read: that is not its stall.
            self.last_read = at;
            self.frame_begun = self.frame_begun.map(|_| at);
            self.arm(at);
            return Ok(false);
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.buffer.is_empty() {
            self.buffer.resize(READ_MIN, 0);
        }
        let n = match Pin::new(&mut self.io).poll_read(cx, &mut self.buffer[self.end..]) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(0)) => return Err(LinkEnd::Eof),
            Poll::Ready(Ok(n)) => n,
            Poll::Ready(Err(error)) => return Err(LinkEnd::Io(error.to_string())),
        };
        self.end += n;
        self.last_read = self.now;
        self.unheard = 0;
        self.config.heard.note(self.now);
        self.sending.stats.bytes_in += n as u64;
        if let Some(bucket) = &mut self.byte_rate {
            bucket.spend(n);
        }
        let full = self.end == self.buffer.len();
        let buffer = std::mem::take(&mut self.buffer);
        let need = self.parse(&buffer);
        self.buffer = buffer;
        let need = need?;
        if self.start > 0 && self.start < self.end {
            // Only a part of a frame is left: it goes to the front.
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let wanted = if full {
            (self.buffer.len() * 4).min(READ_MAX)
        } else {
            0
        };
        let wanted = wanted.max(need);
        if wanted > self.buffer.len() {
            self.buffer.resize(wanted, 0);
        }
        Ok(true)
    }

    /// Takes all complete frames, and data as far as it is here. Returns the room that the begun frame needs.
    pub(super) fn parse(&mut self, buffer: &[u8]) -> Step<usize> {
        let mut whole = false;
        let mut need = 0;
        loop {
            let here = &buffer[self.start..self.end];
            if let Some(reading) = &mut self.reading {
                let n = reading.left.min(here.len());
                if n == 0 {
                    break;
                }
                reading.left -= n;
                let (key, finished, end) = (reading.key, reading.left == 0, reading.end);
                self.start += n;
                if finished {
                    self.reading = None;
                    whole = true;
                }
                self.on_data(key, &here[..n], finished && end)?;
                continue;
            }
            let Some(agreed) = self.agreed else {
                match check(Hello::decode(here))? {
                    Some((hello, len)) => {
                        self.start += len;
                        whole = true;
                        self.on_hello(hello)?;
                        continue;
                    }
                    None => {
                        need = frame::HELLO_FIXED + frame::HELLO_LIMITS_MAX;
                        break;
                    }
                }
            };
            let Some(head) = check(Head::decode(here, self.config.max_header))? else {
                break;
            };
            if head.kind == Kind::Data && !head.packed {
                self.start += frame::HEAD;
                self.sending.stats.frames_in += 1;
                let key = self.begin_data(head, head.len)?;
                self.reading = Some(Reading {
                    key,
                    left: head.len,
                    end: head.end,
                });
                continue;
            }
            let Some(payload) = here.get(frame::HEAD..frame::HEAD + head.len) else {
                need = frame::HEAD + head.len;
                break;
            };
            self.start += frame::HEAD + head.len;
            self.sending.stats.frames_in += 1;
            whole = true;
            self.on_frame(&agreed, head, payload)?;
        }
        if self.start == self.end && self.reading.is_none() {
            self.frame_begun = None;
        } else if whole || self.frame_begun.is_none() {
            self.frame_begun = Some(self.now);
            self.arm(self.now + self.config.stall);
        }
        Ok(need)
    }

    pub(super) fn on_hello(&mut self, hello: Hello) -> Step {
        ensure(
            hello.dialer != (self.role == Role::Dialer),
            "both sides have the same role",
        )?;
        let peer = hello.limits;
        let window = self.config.window.min(peer.window as usize);
        let link_window = self.config.link_window.min(peer.link_window as usize);
        ensure(
            window >= WINDOW_MIN && link_window >= 4 * LINK_ACK,
            "window too small",
        )?;
        self.agreed = Some(Agreed {
            peer,
            window,
            link_window,
        });
        self.sending.link_credit = link_window;
        self.link_in_credit = link_window;
        self.ping_due = true;
        // Calls that were made before the limits were known.
        let refused: Vec<u64> = self
            .calls
            .iter()
            .filter(|(_, call)| !Self::fits(&peer, &call.header, &call.flow.body))
            .map(|(key, _)| *key)
            .collect();
        for key in refused {
            self.give_up(key, Some(CallError::TooLarge));
        }
        Ok(())
    }

    pub(super) fn is_own(&self, id: u32) -> bool {
        (id % 2 == 1) == (self.role == Role::Dialer)
    }

    /// The call of one of our ids, which must be in use.
    pub(super) fn own(&self, id: u32) -> Step<u64> {
        match self.ids.get(&id) {
            Some(key) => Ok(*key),
            None => violation("frame for an exchange that is not in use"),
        }
    }

    pub(super) fn on_frame(&mut self, agreed: &Agreed, head: Head, payload: &[u8]) -> Step {
        let own = self.is_own(head.id);
        match head.kind {
            Kind::Request => {
                ensure(!own, "request with an id of ours")?;
                self.on_request(agreed, head, payload)
            }
            Kind::Data => self.on_packed_data(agreed, head, payload),
            Kind::Response => {
                ensure(own, "response to a request of the peer")?;
                self.on_response(agreed, head, payload)
            }
            Kind::Reject => {
                ensure(own, "reject of a request of the peer")?;
                let key = self.own(head.id)?;
                ensure(
                    self.calls.get(&key).is_some_and(|call| !call.answered),
                    "second answer",
                )?;
                let (code, message) = check(frame::decode_reason(payload))?;
                let error = match code {
                    CODE_TIMEOUT => CallError::Timeout,
                    CODE_CANCELLED => CallError::Cancelled,
                    _ => CallError::Rejected(Reject { code, message }),
                };
                self.answer(key, Err(error));
                Ok(())
            }
            Kind::Cancel => {
                ensure(!own, "cancel of a request of ours")?;
                self.on_cancel(head.id)
            }
            Kind::Window => self.on_window(agreed, head.id, check(frame::decode_u32(payload))? as usize),
            Kind::Progress => {
                ensure(own, "progress of a request of the peer")?;
                let key = self.own(head.id)?;
                let Some(call) = self.calls.get(&key) else {
                    return Ok(());
                };
                ensure(
                    call.inflow.is_none() && !call.answered,
                    "progress after the answer",
                )?;
                let Some(listener) = &call.progress else {
                    return violation("progress that nobody asked for");
                };
                if call.reply.is_some() && listener.try_send(Bytes::copy_from_slice(payload)).is_err() {
                    self.sending.stats.progress_dropped += 1;
                }
                Ok(())
            }
            Kind::Ping => {
                // A ping may follow when the last one is answered, so one place is enough.
                ensure(self.pong_due.is_none(), "ping before the last pong")?;
                self.pong_due = Some(check(frame::decode_u64(payload))?);
                Ok(())
            }
            Kind::Pong => {
                let nonce = check(frame::decode_u64(payload))?;
                let Some((_, sent)) = self.ping_sent.take_if(|(expected, _)| *expected == nonce) else {
                    return violation("pong without a ping");
                };
                let rtt = Instant::now().saturating_duration_since(sent);
                let stats = &mut self.sending.stats;
                stats.rtt = Some(stats.rtt.map_or(rtt, |old| (old * 7 + rtt) / 8));
                stats.rtt_min = Some(stats.rtt_min.map_or(rtt, |old| old.min(rtt)));
                self.next_ping = self.now + self.config.ping;
                self.arm(self.next_ping);
                Ok(())
            }
            Kind::Goodbye => {
                let (code, message) = check(frame::decode_reason(payload))?;
                self.told = true;
                Err(if code == 0 {
                    LinkEnd::Goodbye
                } else {
                    LinkEnd::Violation(format!("found by the peer: {message}"))
                })
            }
        }
    }

    pub(super) fn on_response(&mut self, agreed: &Agreed, head: Head, payload: &[u8]) -> Step {
        let key = self.own(head.id)?;
        let (max_response, memory) = (self.config.max_response, self.config.memory);
        let Some(call) = self.calls.get_mut(&key) else {
            return Ok(());
        };
        ensure(call.inflow.is_none() && !call.answered, "second answer")?;
        ensure(call.ended, "answer before the request's end")?;
        let expected = check(frame::decode_u32(payload))? as usize;
        let body = &payload[frame::RESPONSE_FIXED..];
        ensure(expected <= max_response, "response too large")?;
        if !head.end {
            ensure(body.is_empty() && expected > 0, "response with a part of a body")?;
            ensure(
                expected <= memory.saturating_sub(self.in_responses),
                "memory window exceeded",
            )?;
            self.in_responses += expected;
            let mut inflow = Inflow::new(expected, agreed.window);
            inflow.discard = call.reply.is_none();
            call.inflow = Some(inflow);
            return Ok(());
        }
        let body = if head.packed {
            ensure(expected <= frame::INLINE_MAX, "inline body too large")?;
            let mut plain = Vec::with_capacity(expected);
            check(self.unpacker.unpack(body, expected, &mut plain))?;
            self.sending.stats.compression_received += 1;
            Bytes::from(plain)
        } else {
            ensure(body.len() == expected, "body of another length than declared")?;
            Bytes::copy_from_slice(body)
        };
        self.answer(key, Ok(body));
        Ok(())
    }

    /// A cancel or window frame that crossed the end of its exchange. There can be one cancel and a window's worth of window frames.
    fn on_late(&mut self, id: u32, fault: Fault) -> Step {
        ensure(frame::is_past(id, self.next_in), fault)?;
        self.late += 1;
        ensure(
            self.late <= LATE_FRAMES * self.sending.stats.calls_received,
            "too many frames for ended exchanges",
        )
    }

    pub(super) fn on_cancel(&mut self, id: u32) -> Step {
        let Some(call) = self.incoming.get_mut(&id) else {
            return self.on_late(id, "cancel of an exchange that never was");
        };
        ensure(!call.cancel_seen, "cancelled twice")?;
        call.cancel_seen = true;
        call.ended = true;
        self.sending.stats.cancelled += 1;
        if call.closing.is_some() {
            self.forget_request(id);
        } else {
            self.refuse(id, Reject::new(CODE_CANCELLED, "cancelled"));
        }
        Ok(())
    }

    pub(super) fn on_window(&mut self, agreed: &Agreed, id: u32, n: usize) -> Step {
        ensure(n > 0, "empty window frame")?;
        if id == 0 {
            let credit = self.sending.link_credit.saturating_add(n);
            ensure(credit <= agreed.link_window, "window beyond its size")?;
            self.sending.link_credit = credit;
            let now = self.sending.clock();
            if let Some(sample) = self
                .sending
                .meter
                .acknowledged(n, now, self.sending.stats.rtt_min)
            {
                self.sending
                    .adaptive
                    .delivered(sample.bytes, sample.elapsed, sample.packing, now);
            }
            return Ok(());
        }
        let (key, priority, flow) = if self.is_own(id) {
            let key = self.own(id)?;
            let Some(call) = self.calls.get_mut(&key) else {
                return Ok(());
            };
            if call.ended || call.closing.is_some() || call.answered {
                return Ok(());
            }
            (Key::Call(key), call.priority, &mut call.flow)
        } else {
            let Some(call) = self.incoming.get_mut(&id) else {
                return self.on_late(id, "window of an exchange that never was");
            };
            match &mut call.response {
                Some(flow) if call.begun => (Key::Request(id), call.priority, flow),
                // It crossed our reject.
                _ if call.reject.is_some() || call.closing.is_some() => return Ok(()),
                _ => return violation("window before its body"),
            }
        };
        let credit = flow.credit.saturating_add(n);
        ensure(credit <= agreed.window, "window beyond its size")?;
        flow.credit = credit;
        if std::mem::take(&mut flow.parked) {
            self.flows.push(priority, key);
        }
        Ok(())
    }

    /// Checks the head of a data frame against everything granted: `plain` is what it will become.
    pub(super) fn begin_data(&mut self, head: Head, plain: usize) -> Step<Key> {
        ensure(head.len <= self.link_in_credit, "link window exceeded")?;
        let (key, inflow) = if self.is_own(head.id) {
            let key = self.own(head.id)?;
            (
                Key::Call(key),
                self.calls.get_mut(&key).and_then(|call| call.inflow.as_mut()),
            )
        } else {
            let inflow = self
                .incoming
                .get_mut(&head.id)
                .and_then(|call| if call.ended { None } else { call.inflow.as_mut() });
            (Key::Request(head.id), inflow)
        };
        let Some(inflow) = inflow else {
            return violation("data without a body to belong to");
        };
        ensure(head.len <= inflow.credit, "window exceeded")?;
        ensure(
            plain <= inflow.expected - inflow.received,
            "body longer than declared",
        )?;
        ensure(
            head.end == (plain == inflow.expected - inflow.received),
            "body's end at another length than declared",
        )?;
        inflow.credit -= head.len;
        inflow.received += plain;
        self.link_in_credit -= head.len;
        Ok(key)
    }

    pub(super) fn inflow(&mut self, key: Key) -> Option<&mut Inflow> {
        match key {
            Key::Call(key) => self.calls.get_mut(&key)?.inflow.as_mut(),
            Key::Request(id) => self.incoming.get_mut(&id)?.inflow.as_mut(),
        }
    }

    pub(super) fn on_data(&mut self, key: Key, bytes: &[u8], end: bool) -> Step {
        let Some(agreed) = self.agreed else { return Ok(()) };
        if let Some(inflow) = self.inflow(key)
            && !inflow.discard
        {
            inflow.reserve(bytes.len(), agreed.window);
            inflow.data.extend_from_slice(bytes);
        }
        self.on_received(&agreed, key, bytes.len(), end);
        Ok(())
    }

    pub(super) fn on_packed_data(&mut self, agreed: &Agreed, head: Head, payload: &[u8]) -> Step {
        let plain = check(frame::decode_u32(payload))? as usize;
        ensure(plain <= frame::DATA_MAX, "packed data unpacks to too much")?;
        let key = self.begin_data(head, plain)?;
        let mut unpacker = std::mem::take(&mut self.unpacker);
        if let Some(inflow) = self.inflow(key)
            && !inflow.discard
        {
            inflow.reserve(plain, agreed.window);
            check(unpacker.unpack(&payload[frame::PACKED_FIXED..], plain, &mut inflow.data))?;
        }
        self.unpacker = unpacker;
        self.sending.stats.compression_received += 1;
        self.on_received(agreed, key, head.len, head.end);
        Ok(())
    }

    /// `n` bytes of data, as they were on the wire, are put away.
    pub(super) fn on_received(&mut self, agreed: &Agreed, key: Key, n: usize, end: bool) {
        self.link_unacknowledged += n;
        // The end of a body is told at once: the sender measures the link by it.
        if end || self.link_unacknowledged >= LINK_ACK {
            self.link_ack_due = true;
        }
        if !end {
            let Some(inflow) = self.inflow(key) else { return };
            inflow.unacknowledged += n;
            if inflow.unacknowledged < agreed.window / 2 || inflow.discard {
                return;
            }
            let dirty = match key {
                Key::Call(key) => self.calls.get_mut(&key).map(|call| &mut call.dirty),
                Key::Request(id) => self.incoming.get_mut(&id).map(|call| &mut call.dirty),
            };
            if dirty.is_some_and(|dirty| !std::mem::replace(dirty, true)) {
                self.dirty.push_back(key);
            }
            return;
        }
        match key {
            Key::Call(key) => {
                let data = self
                    .inflow(Key::Call(key))
                    .map(|inflow| std::mem::take(&mut inflow.data));
                self.answer(key, Ok(Bytes::from(data.unwrap_or_default())));
            }
            Key::Request(id) => {
                let Some(call) = self.incoming.get_mut(&id) else {
                    return;
                };
                call.ended = true;
                let inflow = call.inflow.take();
                if call.closing.is_some() {
                    self.forget_request(id);
                } else if call.reject.is_none() {
                    self.dispatch(
                        id,
                        Bytes::from(inflow.map(|inflow| inflow.data).unwrap_or_default()),
                    );
                }
            }
        }
    }
}
