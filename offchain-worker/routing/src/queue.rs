//! The requests that wait at a host: which is next, and which is refused at once.
//!
//! # Order
//! Every class has a patience. A request is due at its arrival plus the patience of its class, and the one
//! that is due first is taken first. That is priority with linear ageing: of two requests that arrive
//! together the more urgent one goes first, and a request that has waited for its patience goes before
//! whatever arrives then.
//!
//! So nothing starves. A request of patience p is passed by no request that arrives p or more after it: from
//! then on at most the requests already waiting, fewer than the limit of the queue, are ahead of it. Its wait
//! is at most p plus the time that the host takes for one full queue, whatever arrives.
//!
//! # Admission
//! The queue is bounded as a whole and by class, so that a flood of one class leaves room for the others. A
//! request with a deadline is refused when the estimate says that its answer would come too late: a client
//! that hears no at once can go elsewhere, one that waits in vain can not. The estimate is the number of
//! requests ahead times the mean service time (smoothed with 1/8 of each new one) over the number of servers.
//!
//! Time is a parameter: microseconds on any clock. A clock that goes back counts as one that stands still.

use std::{collections::VecDeque, error::Error, fmt};

/// How urgent a request is; the first three are the tiers that a client can pay for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    Urgent,
    High,
    Normal,
    /// What nobody waits for, such as warming a cache.
    Background,
}

impl Class {
    /// All classes, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Urgent, Self::High, Self::Normal, Self::Background];
}

/// The bounds of a [`Queue`]. Arrays are in the order of [`Class::ALL`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// Requests that may wait altogether.
    pub limit: usize,
    /// Requests of each class that may wait.
    pub class_limits: [usize; 4],
    /// After how many microseconds a request of each class goes before one that arrives then, whatever its
    /// class.
    pub patience_us: [u64; 4],
    /// Requests that are served at a time, at least 1.
    pub servers: usize,
    /// The mean service time in microseconds until one is measured.
    pub service_us: u64,
}

impl Default for QueueConfig {
    /// 256 requests, at most 3/4 of them urgent, high or normal each and 1/8 background; patience 0, 0.2, 1
    /// and 10 s; one server; 5 ms a request.
    fn default() -> Self {
        Self {
            limit: 256,
            class_limits: [192, 192, 192, 32],
            patience_us: [0, 200_000, 1_000_000, 10_000_000],
            servers: 1,
            service_us: 5_000,
        }
    }
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<T> {
    pub class: Class,
    /// The time by which the answer has to be there, in microseconds on the queue's clock.
    pub deadline_us: Option<u64>,
    /// What the caller wants back when its turn comes.
    pub item: T,
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many requests wait as may.
    QueueFull { limit: usize },
    /// As many requests of this class wait as may.
    ClassFull { class: Class, limit: usize },
    /// The answer is needed within `left_us`, and is expected to take `needed_us`.
    TooLate { needed_us: u64, left_us: u64 },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueFull { limit } => write!(f, "the queue is full: {limit} requests wait"),
            Self::ClassFull { class, limit } => {
                write!(
                    f,
                    "the queue is full for this priority: {limit} {class:?} requests wait"
                )
            }
            Self::TooLate { needed_us, left_us } => {
                write!(
                    f,
                    "too busy for the deadline: {left_us} us are left, about {needed_us} us are needed"
                )
            }
        }
    }
}

impl Error for Refusal {}

/// Names a waiting request, to cancel it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    class: Class,
    number: u64,
}

/// A request whose turn has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken<T> {
    pub ticket: Ticket,
    pub class: Class,
    /// How long it waited, in microseconds.
    pub waited_us: u64,
    /// Its deadline has passed: it is to be answered with that rather than served. No server is taken for it.
    pub late: bool,
    pub item: T,
}

#[derive(Debug)]
struct Waiting<T> {
    number: u64,
    arrived: u64,
    due: u64,
    deadline: Option<u64>,
    item: T,
}

/// A bounded queue with priority classes that age. `T` is whatever the caller needs to serve a request.
#[derive(Debug)]
pub struct Queue<T> {
    config: QueueConfig,
    /// First come, first served within a class: the front is always the one that is due first.
    lanes: [VecDeque<Waiting<T>>; 4],
    next: u64,
    now: u64,
    running: usize,
    /// Mean service time, microseconds times 8.
    service_x8: u64,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub fn new(config: QueueConfig) -> Self {
        let service_x8 = config.service_us.saturating_mul(8);
        let lanes = std::array::from_fn(|_| VecDeque::new());
        Self {
            config,
            lanes,
            next: 0,
            now: 0,
            running: 0,
            service_x8,
        }
    }

    /// Takes a request in.
    ///
    /// # Errors
    /// The [`Refusal`], with the request, when there is no room for it or no chance of its deadline.
    pub fn push(&mut self, request: Request<T>, now_us: u64) -> Result<Ticket, (Refusal, Request<T>)> {
        let now = self.tick(now_us);
        if let Some(refusal) = self.refusal(request.class, request.deadline_us) {
            return Err((refusal, request));
        }
        let number = self.next;
        self.next += 1;
        let Request {
            class,
            deadline_us: deadline,
            item,
        } = request;
        let due = self.due(class);
        self.lanes[class as usize].push_back(Waiting {
            number,
            arrived: now,
            due,
            deadline,
            item,
        });
        Ok(Ticket { class, number })
    }

    /// Gives out the request that is due first, whether a server is free or not. Unless it is late, it counts
    /// as being served from now on, until [`Self::finish`].
    pub fn pop(&mut self, now_us: u64) -> Option<Taken<T>> {
        let now = self.tick(now_us);
        let class = Class::ALL
            .into_iter()
            .filter_map(|class| Some((self.lanes[class as usize].front()?.due, class)))
            .min()?
            .1;
        let waiting = self.lanes[class as usize].pop_front()?;
        let late = waiting.deadline.is_some_and(|deadline| deadline < now);
        if !late {
            self.running += 1;
        }
        let ticket = Ticket {
            class,
            number: waiting.number,
        };
        Some(Taken {
            ticket,
            class,
            waited_us: now - waiting.arrived,
            late,
            item: waiting.item,
        })
    }

    /// A request that was given out is done. `took_us` goes into the estimate; `None` when it was broken off.
    pub fn finish(&mut self, took_us: Option<u64>) {
        self.running = self.running.saturating_sub(1);
        if let Some(took) = took_us {
            self.service_x8 = (self.service_x8 - self.service_x8 / 8).saturating_add(took);
        }
    }

    /// Takes a request back that still waits.
    pub fn cancel(&mut self, ticket: Ticket) -> Option<T> {
        let lane = &mut self.lanes[ticket.class as usize];
        let at = lane
            .binary_search_by_key(&ticket.number, |waiting| waiting.number)
            .ok()?;
        Some(lane.remove(at)?.item)
    }

    /// How long a request of this class that came now would wait for its turn, in microseconds, if nothing
    /// else came.
    pub fn expected_wait_us(&self, class: Class) -> u64 {
        let mine = (self.due(class), class);
        let ahead: usize = Class::ALL
            .into_iter()
            .map(|class| self.lanes[class as usize].partition_point(|waiting| (waiting.due, class) <= mine))
            .sum();
        let servers = self.config.servers.max(1);
        let rounds = (ahead + self.running + 1)
            .saturating_sub(servers)
            .div_ceil(servers) as u64;
        rounds.saturating_mul(self.service_us())
    }

    /// The mean service time, in microseconds.
    pub fn service_us(&self) -> u64 {
        self.service_x8 / 8
    }

    /// How many requests wait.
    pub fn len(&self) -> usize {
        self.lanes.iter().map(VecDeque::len).sum()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many requests are being served.
    pub fn running(&self) -> usize {
        self.running
    }

    fn refusal(&self, class: Class, deadline: Option<u64>) -> Option<Refusal> {
        if self.len() >= self.config.limit {
            return Some(Refusal::QueueFull {
                limit: self.config.limit,
            });
        }
        let limit = self.config.class_limits[class as usize];
        if self.lanes[class as usize].len() >= limit {
            return Some(Refusal::ClassFull { class, limit });
        }
        let left_us = deadline?.saturating_sub(self.now);
        let needed_us = self.expected_wait_us(class).saturating_add(self.service_us());
        (needed_us > left_us).then_some(Refusal::TooLate { needed_us, left_us })
    }

    fn due(&self, class: Class) -> u64 {
        self.now.saturating_add(self.config.patience_us[class as usize])
    }

    fn tick(&mut self, now_us: u64) -> u64 {
        self.now = self.now.max(now_us);
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(limit: usize) -> Queue<u32> {
        Queue::new(QueueConfig {
            limit,
            class_limits: [limit, limit, limit, 1],
            ..QueueConfig::default()
        })
    }

    fn request(class: Class, item: u32) -> Request<u32> {
        Request {
            class,
            deadline_us: None,
            item,
        }
    }

    #[test]
    fn urgent_first_then_age() {
        let mut queue = queue(8);
        queue.push(request(Class::Normal, 1), 0).unwrap();
        queue.push(request(Class::High, 2), 0).unwrap();
        queue.push(request(Class::Urgent, 3), 0).unwrap();
        queue.push(request(Class::Urgent, 4), 1_000_001).unwrap();
        let order: Vec<u32> = std::iter::from_fn(|| queue.pop(2_000_000).map(|taken| taken.item)).collect();
        assert_eq!(
            order,
            [3, 2, 1, 4],
            "the normal one had waited for its patience when 4 came"
        );
    }

    #[test]
    fn every_refusal_says_why() {
        let mut queue = queue(2);
        queue.push(request(Class::Background, 0), 0).unwrap();
        let (refusal, back) = queue.push(request(Class::Background, 1), 0).unwrap_err();
        assert_eq!(
            refusal,
            Refusal::ClassFull {
                class: Class::Background,
                limit: 1
            }
        );
        assert_eq!(back.item, 1, "the caller gets its request back");
        queue.push(request(Class::Normal, 2), 0).unwrap();
        let (refusal, _) = queue.push(request(Class::Urgent, 3), 0).unwrap_err();
        assert_eq!(refusal, Refusal::QueueFull { limit: 2 });
        assert_eq!(refusal.to_string(), "the queue is full: 2 requests wait");
    }

    #[test]
    fn a_deadline_counts_what_is_ahead_and_nothing_else() {
        let mut queue = queue(8);
        for item in 0..3 {
            queue.push(request(Class::Normal, item), 0).unwrap();
        }
        let mut timed = Request {
            class: Class::Normal,
            deadline_us: Some(19_999),
            item: 9,
        };
        let (refusal, _) = queue.push(timed.clone(), 0).unwrap_err();
        assert_eq!(
            refusal,
            Refusal::TooLate {
                needed_us: 20_000,
                left_us: 19_999
            }
        );
        timed.class = Class::Urgent;
        let ticket = queue.push(timed, 0).unwrap();
        assert_eq!(queue.cancel(ticket), Some(9));
        assert_eq!(queue.cancel(ticket), None);

        assert_eq!(queue.pop(0).unwrap().item, 0);
        assert_eq!(
            queue.expected_wait_us(Class::Urgent),
            5_000,
            "one is being served"
        );
        queue.finish(Some(13_000));
        assert_eq!(queue.service_us(), 6_000);
        assert_eq!(queue.expected_wait_us(Class::Urgent), 0);
        assert_eq!(queue.expected_wait_us(Class::Normal), 12_000);
    }

    #[test]
    fn what_came_too_late_takes_no_server() {
        let mut queue = queue(8);
        queue
            .push(
                Request {
                    class: Class::High,
                    deadline_us: Some(10_000),
                    item: 1,
                },
                0,
            )
            .unwrap();
        let taken = queue.pop(10_001).unwrap();
        assert!(taken.late);
        assert_eq!((taken.waited_us, queue.running()), (10_001, 0));
    }

    #[test]
    fn a_clock_that_goes_back_stands_still() {
        let mut queue = queue(8);
        queue.push(request(Class::Normal, 1), 5_000_000).unwrap();
        queue.push(request(Class::Normal, 2), 0).unwrap();
        assert_eq!(
            queue.pop(0).map(|taken| (taken.item, taken.waited_us)),
            Some((1, 0))
        );
    }
}
