//! Stops runs that take too long.

use ort::session::RunOptions;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

/// A run that can be stopped.
pub(crate) struct Watched {
    pub options: RunOptions,
    expired: AtomicBool,
}

impl Watched {
    pub fn new(options: RunOptions) -> Arc<Self> {
        Arc::new(Self {
            options,
            expired: AtomicBool::new(false),
        })
    }

    /// Whether the watchdog stopped it.
    pub fn expired(&self) -> bool {
        self.expired.load(Ordering::Acquire)
    }
}

#[derive(Default)]
struct State {
    runs: BTreeMap<(Instant, u64), Arc<Watched>>,
    next: u64,
    stopping: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread that wakes at the next deadline.
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Watches a run until it is dropped.
pub(crate) struct Guard<'a> {
    watchdog: &'a Watchdog,
    key: (Instant, u64),
}

impl Watchdog {
    pub fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new()
            .name("engine-watchdog".into())
            .spawn({
                let shared = shared.clone();
                move || watch(&shared)
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Stops `run` at `deadline` unless the guard is dropped before.
    pub fn watch(&self, run: Arc<Watched>, deadline: Instant) -> Guard<'_> {
        let mut state = self.shared.lock();
        state.next += 1;
        let key = (deadline, state.next);
        state.runs.insert(key, run);
        self.shared.changed.notify_all();
        Guard { watchdog: self, key }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.watchdog.shared.lock().runs.remove(&self.key);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(shared: &Shared) {
    let mut state = shared.lock();
    while !state.stopping {
        let now = Instant::now();
        while let Some(entry) = state.runs.first_entry().filter(|e| e.key().0 <= now) {
            let run = entry.remove();
            run.expired.store(true, Ordering::Release);
            if let Err(error) = run.options.terminate() {
                tracing::error!(%error, "a run could not be stopped");
            }
        }
        let next = state.runs.first_key_value().map(|((deadline, _), _)| *deadline);
        state = match next {
            Some(deadline) => {
                let pause = deadline.saturating_duration_since(now);
                shared
                    .changed
                    .wait_timeout(state, pause)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
            None => shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
    }
}
