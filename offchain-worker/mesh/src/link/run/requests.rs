//! The peer's requests, from the frame to the answer.

use super::{Agreed, Flow, InCall, Inflow, Key, OUT_HIGH, PROGRESS_QUEUE, Run, Step, check, ensure};
use crate::link::{
    CODE_INTERNAL, CODE_RATE, CODE_TOO_LARGE, Incoming, ProgressSender, Reject,
    frame::{self, Head, Kind, RequestHead},
    work::Outcome,
};
use bytes::Bytes;
use futures::io::{AsyncRead, AsyncWrite};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
};
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;

impl<S: AsyncRead + AsyncWrite + Unpin> Run<S> {
    pub(super) fn on_request(&mut self, agreed: &Agreed, head: Head, payload: &[u8]) -> Step {
        ensure(head.id == self.next_in, "exchange id out of sequence")?;
        ensure(!self.incoming.contains_key(&head.id), "exchange id in use")?;
        ensure(
            self.incoming.len() < self.config.max_incoming,
            "too many exchanges",
        )?;
        let (request, body_at) = check(RequestHead::decode(payload))?;
        let (expected, body) = (request.body as usize, &payload[body_at..]);
        ensure(
            request.header as usize <= self.config.max_header,
            "header too large",
        )?;
        ensure(expected <= self.config.max_body, "body too large")?;
        let large = if head.end { 0 } else { expected };
        if head.end {
            ensure(expected <= frame::INLINE_MAX, "inline body too large")?;
        } else {
            ensure(body.is_empty() && expected > 0, "request with a part of a body")?;
            ensure(
                large <= self.config.memory.saturating_sub(self.in_memory),
                "memory window exceeded",
            )?;
        }
        self.next_in = frame::next_id(head.id);
        self.in_memory += large;
        self.sending.stats.calls_received += 1;
        // One allocation for header and body.
        let (header, body) = if head.packed {
            let mut plain = Vec::with_capacity(request.header as usize + expected);
            plain.extend_from_slice(&payload[frame::REQUEST_FIXED..body_at]);
            check(self.unpacker.unpack(body, expected, &mut plain))?;
            self.sending.stats.compression_received += 1;
            let mut header = Bytes::from(plain);
            let body = header.split_off(request.header as usize);
            (header, body)
        } else {
            ensure(
                !head.end || body.len() == expected,
                "body of another length than declared",
            )?;
            let mut header = Bytes::copy_from_slice(&payload[frame::REQUEST_FIXED..]);
            let body = header.split_off(request.header as usize);
            (header, body)
        };
        let timeout =
            Duration::from_millis(u64::from(request.timeout_ms)).min(self.config.request_timeout_max);
        let wants_progress = request.options & frame::WANTS_PROGRESS != 0;
        self.progress_used |= wants_progress;
        let deadline = self.now + timeout;
        let call = InCall {
            priority: request.priority,
            wants_progress,
            header,
            deadline,
            cancelled: None,
            inflow: (!head.end).then(|| Inflow::new(expected, agreed.window)),
            large,
            ended: head.end,
            cancel_seen: false,
            slot: None,
            response: None,
            begun: false,
            reject: None,
            closing: None,
            dirty: false,
        };
        self.incoming.insert(head.id, call);
        self.arm(deadline);
        let now = self.now;
        if self
            .request_rate
            .as_mut()
            .is_some_and(|bucket| !bucket.take_one(now))
        {
            self.refuse(head.id, Reject::new(CODE_RATE, "too many requests"));
        } else if head.end {
            self.dispatch(head.id, body);
        }
        Ok(())
    }

    /// Gives a complete request to the handler.
    pub(super) fn dispatch(&mut self, id: u32, body: Bytes) {
        let Some(call) = self.incoming.get_mut(&id) else {
            return;
        };
        let cancelled = CancellationToken::new();
        call.cancelled = Some(cancelled.clone());
        let request = Incoming {
            header: std::mem::take(&mut call.header),
            body,
            deadline: call.deadline,
            cancelled,
            progress: ProgressSender {
                id,
                sender: call.wants_progress.then(|| self.progress_sender.clone()),
            },
        };
        match catch_unwind(AssertUnwindSafe(|| self.handler.handle(request))) {
            Ok(future) => call.slot = Some(self.work.insert(id, future)),
            Err(_) => self.refuse(id, Reject::new(CODE_INTERNAL, "the handler failed")),
        }
    }

    pub(super) fn poll_work(&mut self, cx: &mut Context<'_>) -> bool {
        // What the peer does not read is held here: handlers wait until it reads.
        if self.held_responses > self.config.memory {
            return false;
        }
        let mut finished = std::mem::take(&mut self.finished);
        let (mut held, most) = (self.held_responses, self.config.memory);
        let any = self.work.poll(cx, |id, outcome| {
            if let Outcome::Done(Ok(body)) = &outcome {
                held += body.len();
            }
            finished.push((id, outcome));
            held <= most
        });
        for (id, outcome) in finished.drain(..) {
            self.on_finished(id, outcome);
        }
        self.finished = finished;
        any
    }

    pub(super) fn on_finished(&mut self, id: u32, outcome: Outcome<Result<Bytes, Reject>>) {
        let Some(call) = self.incoming.get_mut(&id) else {
            return;
        };
        call.slot = None;
        if call.wants_progress {
            // What the handler said before it finished goes first.
            for _ in 0..2 * PROGRESS_QUEUE {
                let Ok((id, message)) = self.progress.try_recv() else {
                    break;
                };
                self.put_progress(id, message);
            }
        }
        let Some(call) = self.incoming.get_mut(&id) else {
            return;
        };
        let response = match outcome {
            Outcome::Done(Ok(response)) => response,
            Outcome::Done(Err(reject)) => return self.refuse(id, reject),
            Outcome::Panicked => return self.refuse(id, Reject::new(CODE_INTERNAL, "the handler failed")),
        };
        let Some(Agreed { peer, .. }) = self.agreed else {
            return;
        };
        let flow = Flow::new(response);
        let len = flow.body.len();
        let large = flow.is_large();
        if len > self.config.max_response.min(peer.max_response as usize)
            || (large && len as u64 > peer.memory)
        {
            return self.refuse(id, Reject::new(CODE_TOO_LARGE, "response too large"));
        }
        self.held_responses += len;
        call.response = Some(flow);
        let lane = if large {
            &mut self.large_answers
        } else {
            &mut self.small_answers
        };
        lane.push(call.priority, id);
    }

    /// Answers a request with a reject, whatever state it is in. The handler's future is dropped.
    pub(super) fn refuse(&mut self, id: u32, reject: Reject) {
        let Some(call) = self.incoming.get_mut(&id) else {
            return;
        };
        if call.reject.is_some() || call.closing.is_some() {
            return;
        }
        self.sending.stats.rejected += 1;
        call.reject = Some(reject);
        call.header = Bytes::new();
        if let Some(cancelled) = &call.cancelled {
            cancelled.cancel();
        }
        if let Some(slot) = call.slot.take() {
            self.work.remove(slot);
        }
        if let Some(inflow) = &mut call.inflow {
            inflow.discard();
        }
        let priority = call.priority;
        let response = call.response.take();
        let begun = std::mem::take(&mut call.begun);
        if !std::mem::replace(&mut call.dirty, true) {
            self.dirty.push_back(Key::Request(id));
        }
        if let Some(flow) = response {
            self.held_responses -= flow.body.len();
            if begun {
                self.out_responses -= flow.body.len();
                if !flow.parked {
                    self.flows.remove(priority, &Key::Request(id));
                }
            } else if flow.is_large() {
                self.large_answers.remove(priority, &id);
            } else {
                self.small_answers.remove(priority, &id);
            }
        }
    }

    pub(super) fn forget_request(&mut self, id: u32) {
        let Some(call) = self.incoming.remove(&id) else {
            return;
        };
        self.in_memory -= call.large;
    }

    pub(super) fn put_progress(&mut self, id: u32, message: Bytes) {
        let listening = self.incoming.get(&id).is_some_and(|call| {
            call.wants_progress && call.reject.is_none() && call.closing.is_none() && call.response.is_none()
        });
        if listening {
            self.sending
                .frame(Kind::Progress, id, false, false, message.len(), |_| {});
            self.sending.out.put_bytes(message);
        }
    }

    pub(super) fn take_progress(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while self.progress_used && self.sending.out.len() < OUT_HIGH {
            let Poll::Ready(Some((id, message))) = self.progress.poll_recv(cx) else {
                break;
            };
            self.put_progress(id, message);
            any = true;
        }
        any
    }
}
