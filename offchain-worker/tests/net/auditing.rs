//! Audits between real workers: a host shows its work, verifiers run it again.

use crate::{
    open, question, stop,
    world::{AddOne, FEE, Node, Setup, World, asker, host, sees_hosts, start, start_with, until},
};
use codec::Encode;
use llmesh_chain::H256;
use llmesh_engine::{EngineError, Execution, Executor, ModelRef, RunRequest};
use llmesh_mesh::{Config, Keypair, Kind, Mesh, link::Call};
use llmesh_primitives::{
    Claim, ContentId,
    attestation::{AuditState, Finding, Preimages, Vote},
};
use llmesh_proofs::sketch::close;
use llmesh_worker::audit::{
    EvidenceError, Payloads,
    wire::{Answer, Question, Refusal, VERSION, Want},
};
use sp_runtime::Perbill;
use std::{sync::Arc, time::Duration};

/// A host, two verifiers and a client; the client has asked four times, and the host was paid for it.
async fn scene(world: &Arc<World>) -> (Node, [Node; 2], Node, Claim) {
    let server = host(world, "Alice", &[]).await;
    scene_with(world, server).await
}

async fn scene_with(world: &Arc<World>, server: Node) -> (Node, [Node; 2], Node, Claim) {
    let first = host(world, "Bob", &[&server]).await;
    let second = host(world, "Charlie", &[&server]).await;
    let client = asker(world, "Ferdie", &[&server]).await;
    let channel = open(world, &client, &[&server]);
    sees_hosts(world, &client, 3).await;
    for n in 1..=4u8 {
        let asked = client.net.requester().infer(&question(&[n, 7]), None).await;
        asked.unwrap();
    }
    until("the claim", || {
        world.block();
        (world.lane(channel, 0).paid == 4 * FEE).then_some(())
    })
    .await;
    let claim = world.state().claims.last().unwrap().clone();
    assert_eq!((claim.work.leaves, claim.work.value), (4, 4 * FEE));
    (server, [first, second], client, claim)
}

fn committing(world: &World, audit: u64) -> Option<()> {
    let state = world.state().audits[&audit].audit.state;
    matches!(state, AuditState::Committing { .. }).then_some(())
}

async fn votes(world: &World, audit: u64) -> Vec<Vote> {
    until("the votes", || {
        world.block();
        world.votes(audit)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_host_is_found_honest() {
    let world = World::new();
    let (server, verifiers, client, claim) = scene(&world).await;
    let accounts = [verifiers[0].account(), verifiers[1].account()];
    // Each of the four receipts in turn.
    for n in 0..4u128 {
        let audit = world.audit(&claim, n * FEE + FEE / 2, &accounts);
        let votes = votes(&world, audit).await;
        let sketch = world.state().audits[&audit].audit.sketch.unwrap();
        for vote in votes {
            assert_eq!(vote.finding, Finding::Ran(sketch));
            assert_eq!(vote.preimages, Preimages::Good);
        }
    }
    // Verifying costs a run each; the host runs nothing again.
    assert_eq!(verifiers.each_ref().map(|v| v.executor.runs()), [4, 4]);
    assert_eq!(server.executor.runs(), 4);
    stop([client, server]).await;
    stop(verifiers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_needed_survives_a_restart_of_everybody() {
    let world = World::new();
    let (server, [first, second], client, claim) = scene(&world).await;
    // One verifier commits, then everything stops.
    second.executor.shut();
    let audit = world.audit(&claim, 2 * FEE, &[first.account(), second.account()]);
    until("a commitment", || {
        world.block();
        let state = world.state();
        state.audits[&audit].audit.members[0].ballot.map(drop)
    })
    .await;
    let mut kept = Vec::new();
    for node in [server, first, second] {
        let Node { net, folder, .. } = node;
        net.kill().await;
        kept.push(folder);
    }
    let mut kept = kept.into_iter();
    let mut next = || kept.next().unwrap();
    let server = start(&world, "Alice", &[], true, next()).await;
    let first = start(&world, "Bob", &[&server], true, next()).await;
    let second = start(&world, "Charlie", &[&server], true, next()).await;
    for vote in votes(&world, audit).await {
        assert_eq!(vote.preimages, Preimages::Good);
    }
    // The first verifier opened what it had committed to before; it did not run the model again.
    assert_eq!((first.executor.runs(), second.executor.runs()), (0, 1));
    stop([client, server, first, second]).await;
}

/// Shows nothing.
struct Nothing;

impl Payloads for Nothing {
    fn input(&self, _: H256) -> Result<Option<Vec<u8>>, EvidenceError> {
        Ok(None)
    }

    fn preimages(&self, _: H256) -> Result<Option<(Vec<u8>, Option<Vec<u8>>)>, EvidenceError> {
        Ok(None)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_that_is_shown_nothing_says_so_in_the_end() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup {
        payloads: Some(Arc::new(Nothing)),
        ..Setup::new(folder)
    };
    let server = start_with(&world, "Alice", Vec::new(), setup).await;
    let (server, verifiers, client, claim) = scene_with(&world, server).await;
    let accounts = [verifiers[0].account(), verifiers[1].account()];
    let audit = world.audit(&claim, 0, &accounts);
    until("the opening", || {
        world.block();
        committing(&world, audit)
    })
    .await;
    // As long as there is time they ask again.
    assert!(
        world.state().audits[&audit]
            .audit
            .members
            .iter()
            .all(|m| m.ballot.is_none())
    );
    world.hurry(audit);
    for vote in votes(&world, audit).await {
        assert_eq!(
            (vote.finding, vote.preimages),
            (Finding::NoInput, Preimages::Missing)
        );
    }
    assert_eq!(verifiers.each_ref().map(|v| v.executor.runs()), [0, 0]);
    stop([client, server]).await;
    stop(verifiers).await;
}

/// Adds two where the model adds one.
struct AddTwo(Arc<AddOne>);

#[async_trait::async_trait]
impl Executor for AddTwo {
    fn check(&self) -> Result<(), EngineError> {
        self.0.check()
    }

    fn has_model(&self, id: ContentId) -> bool {
        self.0.has_model(id)
    }

    async fn prepare(&self, model: ModelRef) -> Result<(), EngineError> {
        self.0.prepare(model).await
    }

    async fn execute(&self, request: RunRequest) -> Result<Execution, EngineError> {
        let once = self.0.execute(request.clone()).await?;
        let mut outputs = once.outputs.into_inner();
        for byte in outputs[0].data.iter_mut() {
            *byte = byte.wrapping_add(1);
        }
        Ok(Execution {
            outputs: outputs.try_into().unwrap(),
            ..self.0.execute(request).await?
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verifiers_of_a_cheat_agree_with_each_other_and_not_with_it() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let cheat: Arc<dyn Executor> = Arc::new(AddTwo(AddOne::new()));
    let setup = Setup {
        engine: Some(cheat),
        ..Setup::new(folder)
    };
    let server = start_with(&world, "Alice", Vec::new(), setup).await;
    let (server, verifiers, client, claim) = scene_with(&world, server).await;
    let accounts = [verifiers[0].account(), verifiers[1].account()];
    let audit = world.audit(&claim, 3 * FEE, &accounts);
    let votes = votes(&world, audit).await;
    let host = world.state().audits[&audit].audit.sketch.unwrap();
    assert_eq!(votes[0].finding, votes[1].finding);
    let Finding::Ran(own) = votes[0].finding else {
        panic!("{votes:?}")
    };
    assert!(!close(&own, &host, Perbill::from_parts(500_000)));
    stop([client, server]).await;
    stop(verifiers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_who_sit_are_shown_anything_and_not_too_early() {
    let world = World::new();
    let (server, verifiers, client, claim) = scene(&world).await;
    verifiers[0].executor.shut();
    let audit = world.audit(&claim, 0, &[verifiers[0].account()]);
    until("the opening", || {
        world.block();
        committing(&world, audit)
    })
    .await;

    // A stranger in the mesh.
    let key = Keypair::generate_ed25519();
    let config = Config {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        bootstrap: vec![server.address.clone()],
        local_only: true,
        ..Config::new(key, crate::genesis().0)
    };
    let (stranger, task) = Mesh::spawn(config, Arc::new(client.net.directory().clone()), Vec::new()).unwrap();
    let ask = |mesh: Mesh, body: Vec<u8>| {
        let peer = server.peer();
        async move {
            let call = Call {
                header: bytes::Bytes::new(),
                body: body.into(),
                timeout: Duration::from_secs(10),
                priority: 0,
                progress: None,
            };
            let answer = mesh.call(peer, Kind::Consensus, call).await.unwrap();
            Answer::read(&answer).unwrap()
        }
    };
    stranger
        .connect(server.peer(), vec![server.address.clone()])
        .await
        .unwrap();
    let question = |audit, want| {
        Question {
            version: VERSION,
            audit,
            want,
        }
        .encode()
    };
    for (body, expected) in [
        (question(audit, Want::Input), Refusal::NoSeat),
        (question(audit, Want::Preimages), Refusal::NoSeat),
        (question(audit + 1, Want::Input), Refusal::NotMine),
        (vec![1; 5], Refusal::Malformed),
        (vec![0xff; 100_000], Refusal::Malformed),
    ] {
        assert_eq!(ask(stranger.clone(), body).await, Answer::No(expected));
    }
    stranger.stop().await;
    task.await.unwrap();

    verifiers[0].executor.let_through();
    votes(&world, audit).await;
    stop([client, server]).await;
    stop(verifiers).await;
}
