//! Turns of requests at this host: the queue of [`llmesh_routing`], with tasks that wait for their turn.

use llmesh_routing::{Class, Queue, QueueConfig, Refusal, Request, Ticket};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Why a request gets no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTurn {
    Refused(Refusal),
    /// Its deadline passed while it waited.
    Late,
    /// The host takes nothing new.
    Stopping,
}

struct Inner {
    queue: Queue<oneshot::Sender<Result<Turn, NoTurn>>>,
    free: usize,
    servers: usize,
    stopping: bool,
}

/// Hands out turns. Cheap to clone.
#[derive(Clone)]
pub struct Scheduler {
    inner: Arc<Mutex<Inner>>,
    start: Instant,
}

/// The right to compute; dropping it gives it to the next in line.
#[derive(Debug)]
pub struct Turn {
    scheduler: Option<Scheduler>,
    since: Instant,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scheduler")
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(scheduler) = self.scheduler.take() {
            scheduler.finish(Some(self.since.elapsed()));
        }
    }
}

/// Takes the request out of the queue when whoever asked goes away.
struct Waiting<'a> {
    scheduler: &'a Scheduler,
    ticket: Option<Ticket>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.scheduler.lock().queue.cancel(ticket);
        }
    }
}

impl Scheduler {
    /// `servers` requests at a time, at least one.
    pub fn new(servers: usize) -> Self {
        let servers = servers.max(1);
        let config = QueueConfig {
            servers,
            ..QueueConfig::default()
        };
        Self {
            inner: Arc::new(Mutex::new(Inner {
                queue: Queue::new(config),
                free: servers,
                servers,
                stopping: false,
            })),
            start: Instant::now(),
        }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// At once when there is no room or no chance before the deadline; later when the deadline passes or the host stops.
    pub async fn turn(&self, class: Class, deadline: Instant) -> Result<Turn, NoTurn> {
        let (sender, receiver) = oneshot::channel();
        let ticket = {
            let mut inner = self.lock();
            if inner.stopping {
                return Err(NoTurn::Stopping);
            }
            let request = Request {
                class,
                deadline_us: Some(self.micros(deadline)),
                item: sender,
            };
            let now = self.micros(Instant::now());
            let ticket = inner
                .queue
                .push(request, now)
                .map_err(|(refusal, _)| NoTurn::Refused(refusal))?;
            self.hand_out(&mut inner);
            ticket
        };
        let mut waiting = Waiting {
            scheduler: self,
            ticket: Some(ticket),
        };
        let outcome = tokio::time::timeout_at(deadline.into(), receiver).await;
        match outcome {
            Ok(answer) => {
                // Its turn came: it is no longer in the queue.
                waiting.ticket = None;
                answer.unwrap_or(Err(NoTurn::Stopping))
            }
            Err(_) => Err(NoTurn::Late),
        }
    }

    /// Refuses everything that waits and everything new.
    pub fn stop(&self) {
        let mut inner = self.lock();
        inner.stopping = true;
        let now = self.micros(Instant::now());
        let mut waiting = Vec::new();
        while let Some(taken) = inner.queue.pop(now) {
            if !taken.late {
                inner.queue.finish(None);
            }
            waiting.push(taken.item);
        }
        drop(inner);
        for sender in waiting {
            let _ = sender.send(Err(NoTurn::Stopping));
        }
    }

    /// Requests that wait, and that are being computed.
    pub fn counts(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.queue.len(), inner.servers - inner.free)
    }

    /// The part of the capacity in use, in parts per million; a queue counts as full.
    pub fn load_ppm(&self) -> u32 {
        let (waiting, running) = self.counts();
        let servers = self.lock().servers;
        if waiting > 0 {
            return 1_000_000;
        }
        u32::try_from(running.saturating_mul(1_000_000) / servers).unwrap_or(1_000_000)
    }

    /// What a request of this class would wait at present.
    pub fn expected_wait(&self, class: Class) -> Duration {
        Duration::from_micros(self.lock().queue.expected_wait_us(class))
    }

    fn finish(&self, took: Option<Duration>) {
        let mut inner = self.lock();
        inner.free += 1;
        inner
            .queue
            .finish(took.map(|t| u64::try_from(t.as_micros()).unwrap_or(u64::MAX)));
        self.hand_out(&mut inner);
    }

    fn hand_out(&self, inner: &mut Inner) {
        let now = Instant::now();
        while inner.free > 0
            && let Some(taken) = inner.queue.pop(self.micros(now))
        {
            if taken.late {
                let _ = taken.item.send(Err(NoTurn::Late));
                continue;
            }
            inner.free -= 1;
            let turn = Turn {
                scheduler: Some(self.clone()),
                since: now,
            };
            if let Err(Ok(mut unwanted)) = taken.item.send(Ok(turn)) {
                // Whoever asked is gone. Its drop would lock again.
                unwanted.scheduler = None;
                inner.free += 1;
                inner.queue.finish(None);
            }
        }
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test]
    async fn turns_are_bounded_and_passed_on() {
        let scheduler = Scheduler::new(1);
        let first = scheduler.turn(Class::Normal, soon()).await.unwrap();
        assert_eq!(scheduler.counts(), (0, 1));
        assert_eq!(scheduler.load_ppm(), 1_000_000);
        let second = tokio::spawn({
            let scheduler = scheduler.clone();
            async move { scheduler.turn(Class::Normal, soon()).await }
        });
        while scheduler.counts().0 == 0 {
            tokio::task::yield_now().await;
        }
        drop(first);
        let second = second.await.unwrap().unwrap();
        assert_eq!(scheduler.counts(), (0, 1));
        drop(second);
        assert_eq!(scheduler.counts(), (0, 0));
        assert_eq!(scheduler.load_ppm(), 0);
    }

    #[tokio::test]
    async fn who_goes_away_leaves_no_trace() {
        let scheduler = Scheduler::new(1);
        let first = scheduler.turn(Class::Normal, soon()).await.unwrap();
        let waiting = tokio::spawn({
            let scheduler = scheduler.clone();
            async move { scheduler.turn(Class::Normal, soon()).await.map(drop) }
        });
        while scheduler.counts().0 == 0 {
            tokio::task::yield_now().await;
        }
        waiting.abort();
        assert!(waiting.await.is_err());
        assert_eq!(scheduler.counts(), (0, 1));
        drop(first);
        assert!(scheduler.turn(Class::Normal, soon()).await.is_ok());
    }

    #[tokio::test]
    async fn a_deadline_that_can_not_be_met_is_refused_or_late() {
        let scheduler = Scheduler::new(1);
        let _first = scheduler.turn(Class::Normal, soon()).await.unwrap();
        let past = Instant::now();
        assert!(matches!(
            scheduler.turn(Class::Normal, past).await.map(drop),
            Err(NoTurn::Refused(Refusal::TooLate { .. }))
        ));
        let short = Instant::now() + Duration::from_millis(50);
        assert_eq!(
            scheduler.turn(Class::Normal, short).await.map(drop),
            Err(NoTurn::Late)
        );
        assert_eq!(scheduler.counts(), (0, 1));
    }

    #[tokio::test]
    async fn stopping_refuses_those_who_wait() {
        let scheduler = Scheduler::new(1);
        let first = scheduler.turn(Class::Normal, soon()).await.unwrap();
        let waiting = tokio::spawn({
            let scheduler = scheduler.clone();
            async move { scheduler.turn(Class::Normal, soon()).await.map(drop) }
        });
        while scheduler.counts().0 == 0 {
            tokio::task::yield_now().await;
        }
        scheduler.stop();
        assert_eq!(waiting.await.unwrap(), Err(NoTurn::Stopping));
        assert_eq!(
            scheduler.turn(Class::Normal, soon()).await.map(drop),
            Err(NoTurn::Stopping)
        );
        drop(first);
        assert_eq!(scheduler.counts(), (0, 0));
    }
}
