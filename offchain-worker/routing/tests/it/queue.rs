use std::collections::HashMap;

use llmesh_routing::{Class, Queue, QueueConfig, Refusal, Request, Ticket};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Push(Class, Option<u64>),
    Pop,
    Finish(u64),
    Cancel(usize),
}

fn class() -> impl Strategy<Value = Class> {
    (0usize..4).prop_map(|at| Class::ALL[at])
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        5 => (class(), proptest::option::weighted(0.3, 0u64..2_000))
            .prop_map(|(class, left)| Step::Push(class, left)),
        3 => Just(Step::Pop),
        2 => (0u64..200).prop_map(Step::Finish),
        1 => any::<usize>().prop_map(Step::Cancel),
    ];
    proptest::collection::vec((0u64..60, step), 1..300)
}

fn config() -> impl Strategy<Value = QueueConfig> {
    (
        1usize..30,
        proptest::array::uniform4(0usize..12),
        proptest::array::uniform4(0u64..900),
        1usize..4,
        1u64..100,
    )
        .prop_map(|(limit, class_limits, mut patience_us, servers, service_us)| {
            patience_us.sort_unstable();
            QueueConfig {
                limit,
                class_limits,
                patience_us,
                servers,
                service_us,
            }
        })
}

struct Known {
    class: Class,
    arrived: u64,
    deadline: Option<u64>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn nothing_is_lost_and_nobody_is_passed_after_the_patience(config in config(), steps in steps()) {
        let mut queue: Queue<u32> = Queue::new(config.clone());
        let mut waiting: HashMap<u32, (Ticket, Known)> = HashMap::new();
        let (mut now, mut item, mut running) = (0, 0, 0usize);
        for (pause, step) in steps {
            now += pause;
            match step {
                Step::Push(class, left) => {
                    item += 1;
                    let deadline_us = left.map(|left| now + left);
                    let of_class = waiting.values().filter(|(_, known)| known.class == class).count();
                    let wait = queue.expected_wait_us(class);
                    match queue.push(Request { class, deadline_us, item }, now) {
                        Ok(ticket) => {
                            prop_assert!(waiting.len() < config.limit);
                            prop_assert!(of_class < config.class_limits[class as usize]);
                            let known = Known { class, arrived: now, deadline: deadline_us };
                            waiting.insert(item, (ticket, known));
                        },
                        Err((refusal, back)) => {
                            prop_assert_eq!(back.item, item);
                            match refusal {
                                Refusal::QueueFull { limit } => prop_assert_eq!(waiting.len(), limit),
                                Refusal::ClassFull { limit, .. } => prop_assert_eq!(of_class, limit),
                                Refusal::TooLate { needed_us, left_us } => {
                                    prop_assert_eq!(Some(left_us), left);
                                    prop_assert!(needed_us > left_us);
                                    // Time that passed since can only bring more of those waiting before it.
                                    prop_assert!(needed_us >= wait + queue.service_us());
                                },
                            }
                        },
                    }
                },
                Step::Pop => {
                    let taken = queue.pop(now);
                    prop_assert_eq!(taken.is_none(), waiting.is_empty());
                    let Some(taken) = taken else { continue };
                    let (ticket, known) = waiting.remove(&taken.item).unwrap();
                    prop_assert_eq!(ticket, taken.ticket);
                    prop_assert_eq!(taken.waited_us, now - known.arrived);
                    prop_assert_eq!(taken.late, known.deadline.is_some_and(|deadline| deadline < now));
                    running += usize::from(!taken.late);
                    // Whoever is left behind has not been passed by one that came after its patience, nor by
                    // one of its own class that came later.
                    for (_, left) in waiting.values() {
                        let patience = config.patience_us[left.class as usize];
                        prop_assert!(known.arrived <= left.arrived + patience);
                        if left.class == known.class {
                            prop_assert!(known.arrived <= left.arrived);
                        }
                    }
                },
                Step::Finish(took) => {
                    queue.finish(Some(took));
                    running = running.saturating_sub(1);
                },
                Step::Cancel(which) => {
                    let Some(&item) = waiting.keys().nth(which % waiting.len().max(1)) else { continue };
                    let (ticket, _) = waiting.remove(&item).unwrap();
                    prop_assert_eq!(queue.cancel(ticket), Some(item));
                    prop_assert_eq!(queue.cancel(ticket), None);
                },
            }
            prop_assert_eq!(queue.len(), waiting.len());
            prop_assert_eq!(queue.running(), running);
        }
    }

    // The worst that can happen: before every single pop, everything more urgent that fits is pushed.
    #[test]
    fn nothing_starves_under_a_flood(
        victim in class(),
        patience in 0u64..5_000,
        service in 1u64..50,
        limit in 2usize..40,
        flood in proptest::collection::vec((class(), 1usize..20), 1..10),
    ) {
        let config = QueueConfig {
            limit,
            class_limits: [limit; 4],
            patience_us: [0, patience / 20, patience / 4, patience],
            servers: 1,
            service_us: service,
        };
        let mut queue: Queue<bool> = Queue::new(config.clone());
        let mut now = 0;
        while queue.len() + 1 < limit {
            queue.push(Request { class: Class::Urgent, deadline_us: None, item: false }, now).unwrap();
        }
        queue.push(Request { class: victim, deadline_us: None, item: true }, now).unwrap();
        let bound = config.patience_us[victim as usize] + limit as u64 * service;
        for turn in 0.. {
            let taken = queue.pop(now).unwrap();
            if taken.item {
                prop_assert!(taken.waited_us <= bound, "waited {} of {}", taken.waited_us, bound);
                break;
            }
            prop_assert!(now <= bound, "it still waits");
            queue.finish(Some(service));
            now += service;
            let (class, count) = flood[turn % flood.len()];
            for _ in 0..count {
                let _ = queue.push(Request { class, deadline_us: None, item: false }, now);
            }
        }
    }
}
