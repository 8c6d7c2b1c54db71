//! Own calls, from the command to the answer.

use super::{Command, Flow, Key, OutCall, Run, Start, Step};
use crate::link::{
    CallError, LinkEnd,
    frame::{self, Limits},
};
use bytes::Bytes;
use futures::io::{AsyncRead, AsyncWrite};
use std::{
    sync::atomic::Ordering,
    task::{Context, Poll},
};

impl<S: AsyncRead + AsyncWrite + Unpin> Run<S> {
    pub(super) fn take_commands(&mut self, cx: &mut Context<'_>) -> Step<bool> {
        let mut any = false;
        while let Poll::Ready(Some(command)) = self.commands.poll_recv(cx) {
            any = true;
            match command {
                Command::Start(start) => self.begin(start),
                Command::Cancel(key) => self.give_up(key, None),
                Command::Close => return Err(LinkEnd::Closed),
            }
        }
        Ok(any)
    }

    pub(super) fn begin(&mut self, start: Start) {
        let Start {
            key,
            deadline,
            header,
            body,
            priority,
            progress,
            reply,
        } = start;
        if let Some(agreed) = &self.agreed
            && !Self::fits(&agreed.peer, &header, &body)
        {
            self.shared.outgoing.fetch_sub(1, Ordering::Relaxed);
            // The caller may be gone.
            let _ = reply.send(Err(CallError::TooLarge));
            return;
        }
        if self.calls.is_empty() {
            self.waiting_since = self.now;
            self.arm(self.now + self.config.patience / 2);
        }
        let flow = Flow::new(body);
        let lane = if flow.is_large() {
            &mut self.large_starts
        } else {
            &mut self.small_starts
        };
        lane.push(priority, key);
        let call = OutCall {
            id: 0,
            priority,
            deadline,
            header,
            flow,
            large: None,
            progress,
            reply: Some(reply),
            ended: false,
            answered: false,
            cancel_due: false,
            dirty: false,
            inflow: None,
            closing: None,
        };
        self.calls.insert(key, call);
        self.arm(deadline);
    }

    pub(super) fn fits(peer: &Limits, header: &Bytes, body: &Bytes) -> bool {
        let large = body.len() > frame::INLINE_MAX;
        header.len() <= peer.max_header as usize
            && body.len() <= peer.max_body as usize
            && (!large || body.len() as u64 <= peer.memory)
    }

    /// The caller is gone or its time is over.
    pub(super) fn give_up(&mut self, key: u64, error: Option<CallError>) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if let (Some(reply), Some(error)) = (call.reply.take(), error) {
            let _ = reply.send(Err(error));
        }
        call.reply = None;
        if call.closing.is_some() || call.answered {
            return;
        }
        let (id, priority) = (call.id, call.priority);
        if id == 0 {
            let lane = if call.flow.is_large() {
                &mut self.large_starts
            } else {
                &mut self.small_starts
            };
            lane.remove(priority, &key);
            self.forget_call(key);
            return;
        }
        call.closing = Some(self.now);
        call.cancel_due = true;
        call.flow.body = Bytes::new();
        if let Some(inflow) = &mut call.inflow {
            inflow.discard();
        }
        let flowing = !call.ended && !call.flow.parked;
        if !std::mem::replace(&mut call.dirty, true) {
            self.dirty.push_back(Key::Call(key));
        }
        if flowing {
            self.flows.remove(priority, &Key::Call(key));
        }
        self.arm(self.now + self.config.stall);
    }

    pub(super) fn forget_call(&mut self, key: u64) {
        let Some(call) = self.calls.remove(&key) else {
            return;
        };
        if call.id != 0 {
            self.ids.remove(&call.id);
        }
        if let Some(len) = call.large {
            self.large_calls -= 1;
            self.out_memory -= len;
        }
        if let Some(inflow) = &call.inflow {
            self.in_responses -= inflow.expected;
        }
        self.shared.outgoing.fetch_sub(1, Ordering::Relaxed);
    }

    /// The peer's half of a call has ended.
    pub(super) fn answer(&mut self, key: u64, answer: Result<Bytes, CallError>) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if let Some(reply) = call.reply.take() {
            let _ = reply.send(answer);
        }
        if call.ended {
            self.forget_call(key);
            return;
        }
        // Refused before the body was through: our half ends with a cancel frame.
        let flowing = !call.flow.parked && call.closing.is_none();
        let priority = call.priority;
        call.answered = true;
        call.cancel_due = true;
        call.flow.body = Bytes::new();
        if !std::mem::replace(&mut call.dirty, true) {
            self.dirty.push_back(Key::Call(key));
        }
        if flowing {
            self.flows.remove(priority, &Key::Call(key));
        }
    }
}
