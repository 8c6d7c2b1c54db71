//! Answers by request id: a request that arrives again, over another path or after a lost connection, gets the answer
//! that it had, and is neither computed nor charged twice.

use llmesh_chain::H256;
use llmesh_protocol::Answer;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// Bytes of tensors in all kept answers together.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Answers that are kept.
const MAX_ANSWERS: usize = 16_384;

/// An answer that is there, or will be.
pub(crate) type Pending = watch::Receiver<Option<Arc<Answer>>>;

struct Entry {
    answer: Pending,
    bytes: usize,
    /// Milliseconds since 1970; the request is refused as expired from then on.
    expires_at: u64,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<H256, Entry>,
    bytes: usize,
}

/// The answers of a host. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Answers {
    inner: Arc<Mutex<Inner>>,
}

/// What there is for a request id.
pub(crate) enum Found {
    /// It is new: whoever holds the slot answers it.
    New(Slot),
    /// It was asked before.
    Known(Pending),
}

/// The duty to answer a request. Dropping it without an answer forgets the request: it can be asked again.
pub(crate) struct Slot {
    answers: Answers,
    request: H256,
    sender: Option<watch::Sender<Option<Arc<Answer>>>>,
}

impl Answers {
    /// Looks a request up, and takes it on when it is new.
    pub fn find(&self, request: H256, expires_at: u64, now: u64) -> Found {
        let mut inner = self.lock();
        if let Some(entry) = inner.entries.get(&request) {
            return Found::Known(entry.answer.clone());
        }
        if inner.entries.len() >= MAX_ANSWERS || inner.bytes >= MAX_BYTES {
            inner.make_room(now);
        }
        let (sender, answer) = watch::channel(None);
        let entry = Entry {
            answer,
            bytes: 0,
            expires_at,
        };
        inner.entries.insert(request, entry);
        Found::New(Slot {
            answers: self.clone(),
            request,
            sender: Some(sender),
        })
    }

    /// Answers kept, and their bytes.
    #[cfg(test)]
    pub fn size(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.entries.len(), inner.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Forgets what has expired; if that is not enough, half of what is done, those that expire first. A request whose
    /// answer is forgotten is not computed again: the replay cache knows it until it expires.
    fn make_room(&mut self, now: u64) {
        self.forget(|entry| entry.expires_at <= now);
        if self.entries.len() < MAX_ANSWERS && self.bytes < MAX_BYTES {
            return;
        }
        let mut done: Vec<u64> = self
            .entries
            .values()
            .filter(|e| e.answer.borrow().is_some())
            .map(|e| e.expires_at)
            .collect();
        done.sort_unstable();
        if let Some(middle) = done.get(done.len() / 2).copied() {
            self.forget(|entry| entry.expires_at <= middle && entry.answer.borrow().is_some());
        }
    }

    fn forget(&mut self, mut which: impl FnMut(&Entry) -> bool) {
        let mut freed = 0usize;
        self.entries.retain(|_, entry| {
            let goes = which(entry);
            if goes {
                freed = freed.saturating_add(entry.bytes);
            }
            !goes
        });
        self.bytes = self.bytes.saturating_sub(freed);
    }
}

impl Slot {
    /// Gives the answer to everybody who waits for it, and keeps it.
    pub fn done(mut self, answer: Arc<Answer>) {
        let bytes = match &*answer {
            Answer::Done { outputs, .. } => outputs.total_bytes(),
            Answer::Refused(_) => 0,
        };
        {
            let mut inner = self.answers.lock();
            inner.bytes = inner.bytes.saturating_add(bytes);
            if let Some(entry) = inner.entries.get_mut(&self.request) {
                entry.bytes = bytes;
            }
        }
        if let Some(sender) = self.sender.take() {
            sender.send_replace(Some(answer));
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.sender.take().is_some() {
            self.answers.lock().entries.remove(&self.request);
        }
    }
}

/// Waits for an answer; `None` when whoever worked on it gave up.
pub(crate) async fn wait(mut pending: Pending) -> Option<Arc<Answer>> {
    pending.wait_for(Option::is_some).await.ok()?.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use llmesh_protocol::Refusal;

    fn refused() -> Arc<Answer> {
        Arc::new(Answer::Refused(Refusal::Internal))
    }

    #[tokio::test]
    async fn one_works_and_all_get_the_answer() {
        let answers = Answers::default();
        let request = H256::repeat_byte(1);
        let Found::New(slot) = answers.find(request, 100, 0) else {
            panic!("it is new");
        };
        let Found::Known(first) = answers.find(request, 100, 0) else {
            panic!("it is known");
        };
        let waiting = tokio::spawn(wait(first));
        slot.done(refused());
        assert_eq!(waiting.await.unwrap().as_deref(), Some(&*refused()));
        let Found::Known(later) = answers.find(request, 100, 0) else {
            panic!("it is kept");
        };
        assert!(wait(later).await.is_some());
    }

    #[tokio::test]
    async fn who_gives_up_lets_another_try() {
        let answers = Answers::default();
        let request = H256::repeat_byte(1);
        let Found::New(slot) = answers.find(request, 100, 0) else {
            panic!("it is new");
        };
        let Found::Known(waiting) = answers.find(request, 100, 0) else {
            panic!("it is known");
        };
        drop(slot);
        assert!(wait(waiting).await.is_none());
        assert!(matches!(answers.find(request, 100, 0), Found::New(_)));
        assert_eq!(answers.size().0, 0, "the second slot was dropped at once");
    }

    #[test]
    fn room_is_made_by_forgetting_what_is_over() {
        let answers = Answers::default();
        for i in 0..MAX_ANSWERS as u64 {
            if let Found::New(slot) = answers.find(H256::from_low_u64_be(i), 10 + i, 0) {
                slot.done(refused());
            }
        }
        assert_eq!(answers.size().0, MAX_ANSWERS);
        let Found::New(_slot) = answers.find(H256::repeat_byte(0xff), u64::MAX, 0) else {
            panic!("it is new");
        };
        assert!(answers.size().0 <= MAX_ANSWERS / 2 + 2);
    }
}
