//! The worker on a chain and an engine that do as they are told.

mod support;

use llmesh_chain::H256;
use llmesh_primitives::{FailureReason, JobId, StakeAccount};
use llmesh_worker::{
    Fault, State, Worker, WorkerError,
    state::{Record, RedbStore, ResultStore, StateError},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use support::*;

#[tokio::test]
async fn a_job_is_computed_and_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, engine) = (FakeChain::new(), FakeEngine::new(Behaviour::Works));
    let worker = start(folder.path(), &chain, &engine).await;
    until_state(&worker, State::Ready).await;
    chain.draw(7);
    let status = until(&worker, "with a delivery", |s| s.delivered == 1).await;
    assert!(status.faults.is_empty());
    assert_eq!(chain.fate(7), JobFate::Delivered(tensors("y", 14)));
    until_state(&worker, State::Idle).await;
    worker.stop().await.unwrap();
    let shown = std::fs::read_to_string(folder.path().join("status.json")).unwrap();
    assert!(shown.contains("\"state\""), "{shown}");
}

#[tokio::test]
async fn many_jobs_are_all_delivered_once() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, engine) = (FakeChain::new(), FakeEngine::new(Behaviour::Works));
    let worker = start(folder.path(), &chain, &engine).await;
    for job in 1..=12 {
        chain.draw(job);
    }
    until(&worker, "with 12 deliveries", |s| s.delivered == 12).await;
    assert_eq!(engine.runs(), 12);
    assert_eq!(chain.count("Jobs.submit_result"), 12);
}

/// Dropping a handle ends the worker without any order, like a kill.
#[tokio::test]
async fn a_result_survives_a_crash_and_is_not_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, engine) = (FakeChain::new(), FakeEngine::new(Behaviour::Works));
    chain.state().fate = Fate::Hangs;
    let worker = start(folder.path(), &chain, &engine).await;
    chain.draw(7);
    eventually("the result is sent", || chain.count("Jobs.submit_result") == 1).await;
    drop(worker);
    tokio::task::yield_now().await;

    chain.state().fate = Fate::Included;
    let worker = spawn_again(folder.path(), &chain, &engine).await;
    until(&worker, "with a delivery", |s| s.delivered == 1).await;
    assert_eq!(chain.fate(7), JobFate::Delivered(tensors("y", 14)));
    assert_eq!(engine.runs(), 1);
}

#[tokio::test]
async fn a_delivery_that_was_not_seen_is_no_other_workers() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, engine) = (FakeChain::new(), FakeEngine::new(Behaviour::Works));
    chain.state().fate = Fate::IncludedUnseen;
    let worker = start(folder.path(), &chain, &engine).await;
    chain.draw(7);
    eventually("it is delivered", || {
        chain.fate(7) == JobFate::Delivered(tensors("y", 14))
    })
    .await;
    chain.state().fate = Fate::Included;
    for _ in 0..10 {
        chain.block();
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(worker.status().faults.is_empty());
    chain.draw(8);
    until(&worker, "with a delivery", |s| s.delivered >= 1).await;
}

#[tokio::test]
async fn a_lost_transaction_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, engine) = (FakeChain::new(), FakeEngine::new(Behaviour::Works));
    chain.state().fate = Fate::Lost;
    let worker = start(folder.path(), &chain, &engine).await;
    chain.draw(7);
    eventually("the result is sent", || chain.count("Jobs.submit_result") == 1).await;
    chain.state().fate = Fate::Included;
    eventually("it is delivered", || {
        chain.block();
        chain.fate(7) != JobFate::Pending
    })
    .await;
    until(&worker, "with a delivery", |s| s.delivered == 1).await;
    assert_eq!(engine.runs(), 1);
}

#[tokio::test]
async fn what_can_not_be_done_is_handed_back_with_the_reason() {
    for (behaviour, reason) in [
        (Behaviour::Fails, FailureReason::ModelError),
        (Behaviour::TooLarge, FailureReason::OutputTooLarge),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (chain, engine) = (FakeChain::new(), FakeEngine::new(behaviour));
        let worker = start(folder.path(), &chain, &engine).await;
        chain.draw(7);
        let status = until(&worker, "with a refusal", |s| s.declined == 1).await;
        assert_eq!((status.failed, status.delivered), (1, 0));
        assert_eq!(chain.fate(7), JobFate::Declined(reason));
    }
}

#[tokio::test]
async fn faults_come_and_go_with_what_causes_them() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, engine) = (FakeChain::new(), FakeEngine::new(Behaviour::Works));
    let good: StakeAccount = chain.state().status.stake.clone().unwrap();
    chain.state().status.stake = None;
    chain.state().free = 5;
    let worker = start(folder.path(), &chain, &engine).await;
    let status = until_state(&worker, State::AtFault).await;
    assert_eq!(status.faults, [Fault::NotBonded, Fault::NoBalance { free: 5 }]);

    chain.state().status.stake = Some(StakeAccount {
        worker: None,
        ..good.clone()
    });
    chain.state().free = 1 << 60;
    chain.block();
    until(&worker, "not registered", |s| s.faults == [Fault::NotRegistered]).await;

    chain.state().status.stake = Some(StakeAccount {
        host: false,
        ..good.clone()
    });
    chain.block();
    until(&worker, "chilled", |s| s.faults == [Fault::Chilled]).await;

    let offers = std::mem::take(&mut chain.state().status.offers);
    chain.state().status.stake = Some(good);
    chain.block();
    until(&worker, "no offer", |s| s.faults == [Fault::NoOffer]).await;

    chain.state().status.offers = offers;
    *engine.has_model.lock().unwrap() = false;
    chain.block();
    let missing = Fault::ModelMissing {
        model: "test/model@1.0.0".into(),
    };
    until(&worker, "model missing", |s| s.faults == [missing.clone()]).await;
    chain.draw(1);
    until(&worker, "with a refusal", |s| s.declined == 1).await;
    assert_eq!(chain.fate(1), JobFate::Declined(FailureReason::HostUnavailable));

    *engine.has_model.lock().unwrap() = true;
    chain.block();
    until_state(&worker, State::Ready).await;
}

#[tokio::test]
async fn a_missing_library_is_a_fault_until_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, engine) = (FakeChain::new(), FakeEngine::new(Behaviour::Works));
    *engine.has_runtime.lock().unwrap() = false;
    let worker = start(folder.path(), &chain, &engine).await;
    let status = until_state(&worker, State::AtFault).await;
    assert!(
        matches!(&status.faults[..], [Fault::RuntimeMissing { reason }] if reason.contains("nowhere.so"))
    );
    *engine.has_runtime.lock().unwrap() = true;
    chain.block();
    until_state(&worker, State::Ready).await;
}

#[tokio::test]
async fn a_lost_node_is_a_fault_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, engine) = (FakeChain::new(), FakeEngine::new(Behaviour::Waits));
    let worker = start(folder.path(), &chain, &engine).await;
    chain.draw(7);
    until_state(&worker, State::Serving).await;
    chain.disconnect();
    let status = until_state(&worker, State::AtFault).await;
    assert!(matches!(status.faults[..], [Fault::NodeUnreachable { .. }]));
    // The job goes on meanwhile, and is delivered when the node is back.
    engine.go.notify_one();
    eventually("it is tried", || chain.count("Jobs.submit_result") == 1).await;
    chain.reconnect();
    eventually("it is delivered", || {
        chain.block();
        chain.fate(7) == JobFate::Delivered(tensors("y", 14))
    })
    .await;
    until_state(&worker, State::Idle).await;
    assert_eq!(engine.runs(), 1);
}

#[tokio::test]
async fn a_suspended_host_asks_to_be_let_in_again() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, engine) = (FakeChain::new(), FakeEngine::new(Behaviour::Works));
    chain.state().status.suspended = true;
    let worker = start(folder.path(), &chain, &engine).await;
    until_state(&worker, State::Ready).await;
    assert_eq!(chain.count("Jobs.resume"), 1);
}

#[tokio::test]
async fn a_stopped_worker_finishes_what_it_can_and_hands_back_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, engine) = (FakeChain::new(), FakeEngine::new(Behaviour::Waits));
    let worker = start(folder.path(), &chain, &engine).await;
    chain.draw(1);
    until_state(&worker, State::Serving).await;
    chain.draw(2);
    until(&worker, "with one waiting", |s| s.waiting == 1).await;
    worker.begin_stop();
    eventually("the second is handed back", || {
        chain.fate(2) == JobFate::Declined(FailureReason::HostUnavailable)
    })
    .await;
    engine.go.notify_one();
    worker.stop().await.unwrap();
    assert_eq!(chain.fate(1), JobFate::Delivered(tensors("y", 2)));
}

#[tokio::test]
async fn what_takes_longer_than_the_grace_period_is_handed_back() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, engine) = (FakeChain::new(), FakeEngine::new(Behaviour::Waits));
    let worker = start(folder.path(), &chain, &engine).await;
    chain.draw(1);
    until_state(&worker, State::Serving).await;
    worker.stop().await.unwrap();
    assert_eq!(chain.fate(1), JobFate::Declined(FailureReason::HostUnavailable));
}

#[tokio::test]
async fn two_workers_with_one_key_do_not_go_on_unnoticed() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let chain = FakeChain::new();
    let (fast, slow) = (
        FakeEngine::new(Behaviour::Works),
        FakeEngine::new(Behaviour::Waits),
    );
    let first = start(one.path(), &chain, &fast).await;
    let second = start(two.path(), &chain, &slow).await;
    until_state(&first, State::Ready).await;
    until_state(&second, State::Ready).await;
    chain.draw(7);
    let status = until_state(&second, State::AtFault).await;
    assert_eq!(status.faults, [Fault::OtherWorker { job: 7 }]);
    chain.draw(8);
    until(&first, "with two deliveries", |s| s.delivered == 2).await;
    assert_eq!(slow.runs(), 1, "the second computes nothing more");
    assert!(first.status().faults.is_empty());
}

#[tokio::test]
async fn one_folder_serves_one_worker() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, engine) = (FakeChain::new(), FakeEngine::new(Behaviour::Works));
    let _worker = start(folder.path(), &chain, &engine).await;
    let error = Worker::spawn(config(folder.path()), chain.clone(), engine.clone(), signer())
        .await
        .err()
        .unwrap();
    assert!(matches!(error, WorkerError::InUse { .. }), "{error}");
}

#[tokio::test]
async fn a_taken_port_is_named_before_anything_begins() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (chain, engine) = (FakeChain::new(), FakeEngine::new(Behaviour::Works));
    let config = llmesh_worker::WorkerConfig {
        metrics: taken.local_addr().ok(),
        ..config(folder.path())
    };
    let error = Worker::spawn(config, chain, engine, signer())
        .await
        .err()
        .unwrap();
    assert!(matches!(error, WorkerError::Port { .. }), "{error}");
}

#[tokio::test]
async fn state_of_another_chain_ends_the_worker() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, engine) = (FakeChain::new(), FakeEngine::new(Behaviour::Works));
    let worker = start(folder.path(), &chain, &engine).await;
    until_state(&worker, State::Ready).await;
    worker.stop().await.unwrap();
    chain.state().genesis = H256::repeat_byte(2);
    let mut worker = spawn_again(folder.path(), &chain, &engine).await;
    let error = worker.finished().await.unwrap_err();
    assert!(
        matches!(error, WorkerError::State(StateError::OtherChain { .. })),
        "{error}"
    );
}

/// A store whose disk is full on demand.
struct SmallDisk {
    inner: RedbStore,
    full: AtomicBool,
}

impl SmallDisk {
    fn check(&self) -> Result<(), StateError> {
        match self.full.load(Ordering::SeqCst) {
            true => Err(StateError::DiskFull { path: "state".into() }),
            false => Ok(()),
        }
    }
}

impl ResultStore for SmallDisk {
    fn bind_chain(&self, genesis: H256) -> Result<(), StateError> {
        self.inner.bind_chain(genesis)
    }
    fn put(&self, record: &Record) -> Result<(), StateError> {
        self.check()?;
        self.inner.put(record)
    }
    fn get(&self, job: JobId) -> Result<Option<Record>, StateError> {
        self.inner.get(job)
    }
    fn remove(&self, job: JobId) -> Result<(), StateError> {
        self.inner.remove(job)
    }
    fn all(&self) -> Result<Vec<Record>, StateError> {
        self.inner.all()
    }
    fn check_space(&self) -> Result<(), StateError> {
        Ok(())
    }
    fn probe(&self) -> Result<(), StateError> {
        self.check()?;
        self.inner.probe()
    }
}

#[tokio::test]
async fn a_full_disk_costs_the_job_and_heals() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, engine) = (FakeChain::new(), FakeEngine::new(Behaviour::Works));
    let store = Arc::new(SmallDisk {
        inner: RedbStore::open(folder.path()).unwrap(),
        full: AtomicBool::new(true),
    });
    let worker = start_with(folder.path(), &chain, &engine, store.clone()).await;
    chain.draw(7);
    let status = until_state(&worker, State::AtFault).await;
    assert!(matches!(status.faults[..], [Fault::DiskFull { .. }]));
    eventually("it is handed back", || {
        chain.fate(7) == JobFate::Declined(FailureReason::HostUnavailable)
    })
    .await;
    chain.draw(8);
    eventually("it is handed back", || {
        chain.fate(8) == JobFate::Declined(FailureReason::HostUnavailable)
    })
    .await;
    assert_eq!(engine.runs(), 1, "nothing is computed that can not be kept");

    store.full.store(false, Ordering::SeqCst);
    chain.block();
    until(&worker, "without faults", |s| s.faults.is_empty()).await;
    chain.draw(9);
    until(&worker, "with a delivery", |s| s.delivered == 1).await;
}

/// The lock of a dropped worker is freed a moment later.
async fn spawn_again(
    folder: &std::path::Path,
    chain: &Arc<FakeChain>,
    engine: &Arc<FakeEngine>,
) -> llmesh_worker::Handle {
    for _ in 0..200 {
        match Worker::spawn(config(folder), chain.clone(), engine.clone(), signer()).await {
            Ok(worker) => return worker,
            Err(WorkerError::InUse { .. } | WorkerError::State(StateError::Database { .. })) => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the folder stays in use");
}
