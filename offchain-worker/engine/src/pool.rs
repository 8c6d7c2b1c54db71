//! Sessions that are kept between runs.

use crate::session::Loaded;
use llmesh_primitives::ContentId;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a session was loaded for: the model and the probe among its outputs.
pub(crate) type Key = (ContentId, String);

struct Idle<T> {
    key: Key,
    session: T,
    used: u64,
}

struct State<T> {
    idle: Vec<Idle<T>>,
    lent: usize,
    clock: u64,
}

/// At most `limit` sessions, lent or idle; the one idle for longest makes room for another.
///
/// A session runs one job at a time, so there are as many of one model as jobs ran on it at the same time.
pub(crate) struct Pool<T = Loaded> {
    state: Mutex<State<T>>,
    limit: usize,
}

impl<T> Pool<T> {
    pub fn new(limit: usize) -> Self {
        Self {
            state: Mutex::new(State {
                idle: Vec::new(),
                lent: 0,
                clock: 0,
            }),
            limit: limit.max(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses a kept session or a new one. A session whose job failed is kept only if `keep` says so.
    pub fn with<R, E>(
        &self,
        key: &Key,
        load: impl FnOnce() -> Result<T, E>,
        run: impl FnOnce(&mut T) -> Result<R, E>,
        keep: impl FnOnce(&E) -> bool,
    ) -> Result<R, E> {
        let (found, evicted) = {
            let mut state = self.lock();
            let found = state
                .idle
                .iter()
                .position(|i| &i.key == key)
                .map(|i| state.idle.swap_remove(i).session);
            let full = found.is_none() && state.lent + state.idle.len() >= self.limit;
            let oldest = state
                .idle
                .iter()
                .enumerate()
                .min_by_key(|(_, i)| i.used)
                .map(|(i, _)| i);
            let evicted = oldest.filter(|_| full).map(|i| state.idle.swap_remove(i));
            state.lent += 1;
            (found, evicted)
        };
        // Freeing a model can take a while: not under the lock.
        drop(evicted);
        let _lent = Lent(self);
        let mut session = match found {
            Some(session) => session,
            None => load()?,
        };
        let result = run(&mut session);
        if result.as_ref().err().is_none_or(keep) {
            let mut state = self.lock();
            state.clock += 1;
            let used = state.clock;
            state.idle.push(Idle {
                key: key.clone(),
                session,
                used,
            });
        }
        result
    }

    #[cfg(test)]
    fn idle(&self) -> usize {
        self.lock().idle.len()
    }
}

struct Lent<'a, T>(&'a Pool<T>);

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        self.0.lock().lent -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn key(n: u8) -> Key {
        (ContentId::repeat_byte(n), String::new())
    }

    #[test]
    fn sessions_are_kept_and_the_oldest_goes_first() {
        let pool = Pool::<u8>::new(2);
        let loads = Cell::new(0);
        let run = |n: u8| {
            let load = || {
                loads.set(loads.get() + 1);
                Ok::<_, ()>(n)
            };
            pool.with(&key(n), load, |s| Ok(*s), |()| true).unwrap()
        };
        assert_eq!((run(1), run(1), run(2)), (1, 1, 2));
        assert_eq!(loads.get(), 2);
        assert_eq!(run(3), 3, "takes the place of 1");
        assert_eq!(pool.idle(), 2);
        run(2);
        assert_eq!(loads.get(), 3);
        run(1);
        assert_eq!(loads.get(), 4);
    }

    #[test]
    fn a_failed_load_gives_its_place_back() {
        let pool = Pool::<u8>::new(1);
        for _ in 0..3 {
            assert_eq!(
                pool.with(&key(1), || Err::<u8, _>("no"), |_| Ok(()), |_| true),
                Err("no")
            );
        }
        assert_eq!(
            pool.with(&key(1), || Ok::<_, ()>(1), |_| Ok(()), |()| true),
            Ok(())
        );
        assert_eq!(pool.idle(), 1);
    }

    #[test]
    fn a_broken_session_is_not_kept() {
        let pool = Pool::<u8>::new(1);
        let result = pool.with(&key(1), || Ok(1), |_| Err::<(), _>("broken"), |_| false);
        assert_eq!((result, pool.idle()), (Err("broken"), 0));
    }
}
