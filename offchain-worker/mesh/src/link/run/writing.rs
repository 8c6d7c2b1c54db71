//! Writing: what goes out, in which order.

use super::{Agreed, Inflow, Key, OUT_HIGH, OUT_LOW, Run, Sending, Sent, State, Step, WRITES};
use crate::link::{
    LinkEnd,
    frame::{self, Kind, RequestHead},
};
use bytes::BufMut;
use futures::io::{AsyncRead, AsyncWrite};
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::Instant;

impl<S: AsyncRead + AsyncWrite + Unpin> Run<S> {
    /// Puts out what there is to say, until enough waits for the stream.
    pub(super) fn fill(&mut self) {
        let Some(agreed) = self.agreed else { return };
        loop {
            let before = self.sending.out.len();
            if before >= OUT_HIGH {
                return;
            }
            self.fill_control(&agreed);
            self.fill_small(&agreed);
            self.fill_large(&agreed);
            self.fill_data();
            if self.sending.out.len() == before {
                return;
            }
        }
    }

    pub(super) fn fill_control(&mut self, agreed: &Agreed) {
        if let Some(nonce) = self.pong_due.take() {
            self.sending
                .frame(Kind::Pong, 0, false, false, 8, |buf| buf.put_u64_le(nonce));
        }
        if std::mem::take(&mut self.ping_due) && self.ping_sent.is_none() {
            self.pings += 1;
            let nonce = self.pings;
            self.ping_sent = Some((nonce, Instant::now()));
            self.sending
                .frame(Kind::Ping, 0, false, false, 8, |buf| buf.put_u64_le(nonce));
            let answered = match self.calls.is_empty() {
                true => self.config.stall,
                false => self.config.patience / 2,
            };
            self.arm(self.now + answered);
        }
        if std::mem::take(&mut self.link_ack_due) {
            let n = std::mem::take(&mut self.link_unacknowledged);
            if n > 0 {
                self.link_in_credit += n;
                self.sending
                    .frame(Kind::Window, 0, false, false, 4, |buf| buf.put_u32_le(n as u32));
            }
        }
        while let Some(key) = self.dirty.pop_front() {
            match key {
                Key::Call(key) => self.fill_call_control(agreed, key),
                Key::Request(id) => self.fill_request_control(agreed, id),
            }
        }
    }

    pub(super) fn window_frame(sending: &mut Sending, agreed: &Agreed, id: u32, inflow: Option<&mut Inflow>) {
        if let Some(inflow) = inflow
            && !inflow.discard
            && inflow.unacknowledged >= agreed.window / 2
        {
            let n = std::mem::take(&mut inflow.unacknowledged);
            inflow.credit += n;
            sending.frame(Kind::Window, id, false, false, 4, |buf| buf.put_u32_le(n as u32));
        }
    }

    pub(super) fn fill_call_control(&mut self, agreed: &Agreed, key: u64) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.dirty = false;
        if std::mem::take(&mut call.cancel_due) {
            self.sending.frame(Kind::Cancel, call.id, false, false, 0, |_| {});
            call.ended = true;
            if call.answered {
                self.forget_call(key);
            }
            return;
        }
        Self::window_frame(&mut self.sending, agreed, call.id, call.inflow.as_mut());
    }

    pub(super) fn fill_request_control(&mut self, agreed: &Agreed, id: u32) {
        let Some(call) = self.incoming.get_mut(&id) else {
            return;
        };
        call.dirty = false;
        if let Some(reject) = call.reject.take() {
            self.sending
                .reason(Kind::Reject, id, reject.code, &reject.message);
            call.closing = Some(self.now);
            if call.ended {
                self.forget_request(id);
            } else {
                self.arm(self.now + self.config.stall);
            }
            return;
        }
        Self::window_frame(&mut self.sending, agreed, id, call.inflow.as_mut());
    }

    pub(super) fn begun_calls(&self) -> usize {
        self.ids.len()
    }

    /// Small answers and small requests, in turns.
    pub(super) fn fill_small(&mut self, agreed: &Agreed) {
        while self.sending.out.len() < OUT_HIGH {
            let mut any = false;
            if let Some((_, id)) = self.small_answers.pop() {
                any = true;
                self.put_small_answer(id);
            }
            if self.small_starts.len() > 0
                && self.begun_calls() < agreed.peer.max_incoming as usize
                && let Some((_, key)) = self.small_starts.pop()
            {
                any |= self.put_request(agreed, key);
            }
            if !any {
                return;
            }
        }
    }

    pub(super) fn put_small_answer(&mut self, id: u32) {
        let Some(flow) = self.incoming.get_mut(&id).and_then(|call| call.response.take()) else {
            return;
        };
        let len = flow.body.len();
        self.held_responses -= len;
        self.sending.inline(
            Kind::Response,
            id,
            |buf| buf.put_u32_le(len as u32),
            frame::RESPONSE_FIXED,
            &flow.body,
        );
        self.forget_request(id);
    }

    /// False when no request can begin now.
    pub(super) fn put_request(&mut self, agreed: &Agreed, key: u64) -> bool {
        let Some(call) = self.calls.get_mut(&key) else {
            return true;
        };
        let id = self.next_out;
        if self.ids.contains_key(&id) {
            // The same id two billion calls ago is still in use: wait for it.
            let lane = if call.flow.is_large() {
                &mut self.large_starts
            } else {
                &mut self.small_starts
            };
            lane.unpop(call.priority, key);
            return false;
        }
        self.next_out = frame::next_id(id);
        call.id = id;
        self.ids.insert(id, key);
        self.sending.stats.calls_sent += 1;
        let header = std::mem::take(&mut call.header);
        let timeout = call
            .deadline
            .saturating_duration_since(self.now)
            .as_millis()
            .max(1);
        let head = RequestHead {
            header: header.len() as u16,
            priority: call.priority,
            options: if call.progress.is_some() {
                frame::WANTS_PROGRESS
            } else {
                0
            },
            timeout_ms: u32::try_from(timeout).unwrap_or(u32::MAX),
            body: call.flow.body.len() as u32,
        };
        let fixed = frame::REQUEST_FIXED + header.len();
        let write = |buf: &mut bytes::BytesMut| {
            head.encode(buf);
            buf.put_slice(&header);
        };
        if call.flow.is_large() {
            let len = call.flow.body.len();
            call.large = Some(len);
            call.flow.credit = agreed.window;
            self.large_calls += 1;
            self.out_memory += len;
            self.sending.frame(Kind::Request, id, false, false, fixed, write);
            self.flows.push(call.priority, Key::Call(key));
        } else {
            let body = std::mem::take(&mut call.flow.body);
            call.ended = true;
            self.sending.inline(Kind::Request, id, write, fixed, &body);
        }
        true
    }

    /// Begins large bodies as far as the peer has memory for them. A quarter of the peer's places is left to small requests.
    pub(super) fn fill_large(&mut self, agreed: &Agreed) {
        let most = (agreed.peer.max_incoming as usize * 3).div_ceil(4);
        while self.large_starts.len() > 0
            && self.begun_calls() < agreed.peer.max_incoming as usize
            && self.large_calls < most
            && let Some((priority, key)) = self.large_starts.pop()
        {
            let len = self.calls.get(&key).map_or(0, |call| call.flow.body.len());
            if (self.out_memory + len) as u64 > agreed.peer.memory {
                self.large_starts.unpop(priority, key);
                break;
            }
            if !self.put_request(agreed, key) {
                break;
            }
        }
        while let Some((priority, id)) = self.large_answers.pop() {
            let Some(call) = self.incoming.get_mut(&id) else {
                continue;
            };
            let Some(flow) = &mut call.response else { continue };
            let len = flow.body.len();
            if (self.out_responses + len) as u64 > agreed.peer.memory {
                self.large_answers.unpop(priority, id);
                break;
            }
            call.begun = true;
            flow.credit = agreed.window;
            self.out_responses += len;
            self.sending
                .frame(Kind::Response, id, false, false, frame::RESPONSE_FIXED, |buf| {
                    buf.put_u32_le(len as u32)
                });
            self.flows.push(priority, Key::Request(id));
        }
    }

    /// One data frame of the body whose turn it is.
    pub(super) fn fill_data(&mut self) {
        while let Some((priority, key)) = self.flows.pop() {
            let (id, flow) = match key {
                Key::Call(key) => match self.calls.get_mut(&key) {
                    Some(call) => (call.id, &mut call.flow),
                    None => continue,
                },
                Key::Request(id) => {
                    match self.incoming.get_mut(&id).and_then(|call| call.response.as_mut()) {
                        Some(flow) => (id, flow),
                        None => continue,
                    }
                }
            };
            let whole = flow.body.len();
            match self.sending.data(id, flow) {
                Sent::More => self.flows.push(priority, key),
                Sent::Parked => continue,
                Sent::Full => self.flows.unpop(priority, key),
                Sent::Done => match key {
                    Key::Call(key) => {
                        if let Some(call) = self.calls.get_mut(&key) {
                            call.ended = true;
                        }
                    }
                    Key::Request(id) => {
                        self.held_responses -= whole;
                        self.out_responses -= whole;
                        self.forget_request(id);
                    }
                },
            }
            return;
        }
    }

    /// Writes until the stream takes no more. True when it took something.
    pub(super) fn write(&mut self, cx: &mut Context<'_>) -> Step<bool> {
        let mut any = false;
        for _ in 0..WRITES {
            if self.sending.out.is_empty() {
                break;
            }
            match self.sending.out.poll_write(&mut self.io, cx) {
                Poll::Ready(Ok(0)) => return Err(LinkEnd::Io("the stream takes nothing".to_owned())),
                Poll::Ready(Ok(n)) => {
                    any = true;
                    self.sending.stats.bytes_out += n as u64;
                    self.sending.stats.writes += 1;
                    self.write_since = None;
                    self.unheard = self.unheard.saturating_add(n);
                    self.unflushed = true;
                    if self.sending.out.len() < OUT_LOW && matches!(self.state, State::Running) {
                        self.fill();
                    }
                }
                Poll::Ready(Err(error)) => return Err(LinkEnd::Io(error.to_string())),
                Poll::Pending => {
                    if self.write_since.is_none() {
                        self.write_since = Some(self.now);
                        self.arm(self.now + self.config.stall);
                    }
                    return Ok(any);
                }
            }
        }
        if self.unflushed && self.sending.out.is_empty() {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Err(LinkEnd::Io(error.to_string())),
                Poll::Pending => {}
            }
        }
        Ok(any)
    }
}
