//! The handlers' futures of one link, polled inside the link's own task.
//!
//! Like `FuturesUnordered`, with three differences: a future can be dropped by its slot (a cancelled request stops at once), wakers
//! and slots are used again (no allocation a request beyond the handler's own box), and a panic is an outcome.

use futures::{future::BoxFuture, task::AtomicWaker};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

struct Ready {
    queue: Mutex<Vec<usize>>,
    parent: AtomicWaker,
}

impl Ready {
    fn push(&self, slot: usize) {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(slot);
    }
}

struct SlotWaker {
    slot: usize,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.push(self.slot);
            self.ready.parent.wake();
        }
    }
}

struct Slot<T, O> {
    work: Option<(T, BoxFuture<'static, O>)>,
    state: Arc<SlotWaker>,
    waker: Waker,
}

/// What became of a future.
pub(super) enum Outcome<O> {
    Done(O),
    Panicked,
}

/// Futures with a tag each.
pub(super) struct WorkSet<T, O> {
    slots: Vec<Slot<T, O>>,
    free: Vec<usize>,
    ready: Arc<Ready>,
    batch: Vec<usize>,
}

impl<T, O> WorkSet<T, O> {
    pub fn new() -> Self {
        let ready = Ready {
            queue: Mutex::new(Vec::new()),
            parent: AtomicWaker::new(),
        };
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            ready: Arc::new(ready),
            batch: Vec::new(),
        }
    }

    /// Takes a future in; the next [`Self::poll`] polls it first.
    pub fn insert(&mut self, tag: T, future: BoxFuture<'static, O>) -> usize {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = self.slots.len();
                let state = Arc::new(SlotWaker {
                    slot,
                    queued: AtomicBool::new(false),
                    ready: self.ready.clone(),
                });
                self.slots.push(Slot {
                    work: None,
                    waker: Waker::from(state.clone()),
                    state,
                });
                slot
            }
        };
        self.slots[slot].work = Some((tag, future));
        if !self.slots[slot].state.queued.swap(true, Ordering::AcqRel) {
            self.ready.push(slot);
        }
        slot
    }

    /// Drops the future in `slot`.
    pub fn remove(&mut self, slot: usize) {
        if self
            .slots
            .get_mut(slot)
            .is_some_and(|slot| slot.work.take().is_some())
        {
            self.free.push(slot);
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.free.clear();
    }

    /// Polls what was woken, once each, and hands over what is finished, until `finished` says that it is enough for now (false); the
    /// rest keeps its turn. Returns whether anything finished.
    pub fn poll(&mut self, cx: &mut Context<'_>, mut finished: impl FnMut(T, Outcome<O>) -> bool) -> bool {
        self.ready.parent.register(cx.waker());
        let mut batch = std::mem::take(&mut self.batch);
        std::mem::swap(
            &mut batch,
            &mut *self.ready.queue.lock().unwrap_or_else(PoisonError::into_inner),
        );
        let mut any = false;
        let mut woken = batch.drain(..);
        for index in woken.by_ref() {
            let Some(slot) = self.slots.get_mut(index) else {
                continue;
            };
            slot.state.queued.store(false, Ordering::Release);
            let Some((_, future)) = slot.work.as_mut() else {
                continue;
            };
            let mut context = Context::from_waker(&slot.waker);
            let outcome = match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context))) {
                Ok(Poll::Pending) => continue,
                Ok(Poll::Ready(output)) => Outcome::Done(output),
                Err(_) => Outcome::Panicked,
            };
            if let Some((tag, _)) = slot.work.take() {
                self.free.push(index);
                any = true;
                if !finished(tag, outcome) {
                    break;
                }
            }
        }
        if woken.len() > 0 {
            self.ready
                .queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(woken.by_ref());
        }
        drop(woken);
        self.batch = batch;
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, channel::oneshot, future};

    fn step(set: &mut WorkSet<u32, u32>) -> Vec<(u32, Option<u32>)> {
        let mut out = Vec::new();
        set.poll(&mut Context::from_waker(Waker::noop()), |tag, outcome| {
            out.push((
                tag,
                match outcome {
                    Outcome::Done(value) => Some(value),
                    Outcome::Panicked => None,
                },
            ));
            out.len() < 2
        });
        out
    }

    #[test]
    fn ready_pending_woken_and_removed() {
        let mut set = WorkSet::new();
        set.insert(1, future::ready(10).boxed());
        let (tx2, rx2) = oneshot::channel();
        let (tx3, rx3) = oneshot::channel::<u32>();
        set.insert(2, rx2.map(Result::unwrap).boxed());
        let third = set.insert(3, rx3.map(|_| 0).boxed());
        assert_eq!(step(&mut set), [(1, Some(10))]);
        assert_eq!(step(&mut set), []);
        tx2.send(20).unwrap();
        assert_eq!(step(&mut set), [(2, Some(20))]);
        set.remove(third);
        assert!(tx3.is_canceled());
        // A slot is used again; a late waker of its old tenant does no harm.
        set.insert(4, future::ready(40).boxed());
        assert_eq!(step(&mut set), [(4, Some(40))]);
        assert_eq!(set.slots.len(), 3);
    }

    #[test]
    fn enough_is_enough() {
        let mut set = WorkSet::new();
        for i in 0..5 {
            set.insert(i, future::ready(i).boxed());
        }
        assert_eq!(step(&mut set), [(0, Some(0)), (1, Some(1))]);
        set.remove(2);
        assert_eq!(step(&mut set), [(3, Some(3)), (4, Some(4))]);
        assert_eq!(step(&mut set), []);
    }

    #[test]
    fn a_panic_is_an_outcome() {
        let mut set = WorkSet::new();
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        set.insert(1, async { panic!("handler") }.boxed());
        let out = step(&mut set);
        std::panic::set_hook(hook);
        assert_eq!(out, [(1, None)]);
    }
}
