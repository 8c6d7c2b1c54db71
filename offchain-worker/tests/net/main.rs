//! Workers in a real mesh on loopback, on a chain in memory: requests, payments, failures, and what hostile peers try.

mod auditing;
mod audits;
mod failover;
mod world;

use bytes::Bytes;
use codec::Encode;
use llmesh_chain::H256;
use llmesh_mesh::{Config, Keypair, Kind, Mesh, PeerId, link::Call};
use llmesh_payments::{PayerBook, PayerPolicy};
use llmesh_primitives::{Priority, SignedVoucher, Voucher};
use llmesh_proofs::{Place, RequestTerms};
use llmesh_protocol::{
    Answer, Ask, KeyId, MeshTensor, MeshTensors, PeerIdBytes, Progress, Refusal, RequestFault, RouteHeader,
    VERSION, VoucherFault,
    seal::{Received, plain_refusal, seal},
};
use llmesh_worker::net::requester::{
    ByTerms, Courier, Inference, Inferred, Parts, RequestError, Requester, What,
};
use sp_runtime::{AccountId32, Perbill};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use world::{FEE, MODEL, Node, World, asker, genesis, host, model, sees_hosts, signer, until};

const FUNDS: u128 = 1_000 * FEE;

fn inputs(bytes: &[u8]) -> MeshTensors {
    let tensor = MeshTensor::new(
        "x",
        llmesh_primitives::ElementType::U8,
        &[bytes.len() as u32],
        bytes.to_vec(),
    )
    .unwrap();
    MeshTensors::new(vec![tensor]).unwrap()
}

fn question(bytes: &[u8]) -> Inference {
    Inference {
        version: MODEL,
        inputs: inputs(bytes),
        max_price: None,
        priority: Priority::Normal,
        min_reputation: Perbill::zero(),
        deadline: Duration::from_secs(20),
    }
}

fn answer(done: &Inferred) -> Vec<u8> {
    done.outputs.clone().into_inner()[0].data.to_vec()
}

/// The key that signs a node's vouchers.
fn payer_of(node: &Node) -> llmesh_chain::Signer {
    llmesh_worker::net::identity::KeyFolder::open(llmesh_worker::net::keys_folder(node.folder.path()))
        .unwrap()
        .payer()
        .unwrap()
}

fn open(world: &World, client: &Node, hosts: &[&Node]) -> u64 {
    let hosts: Vec<AccountId32> = hosts.iter().map(|n| n.account()).collect();
    world.open(&client.account(), &payer_of(client).account32(), &hosts, FUNDS)
}

async fn stop(nodes: impl IntoIterator<Item = Node>) {
    for node in nodes {
        node.net.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_paid_and_claimed() {
    let world = World::new();
    let server = host(&world, "Alice", &[]).await;
    let client = asker(&world, "Ferdie", &[&server]).await;
    let channel = open(&world, &client, &[&server]);
    sees_hosts(&world, &client, 1).await;

    for n in 1..=4u8 {
        let done = client
            .net
            .requester()
            .infer(&question(&[n, 7]), None)
            .await
            .unwrap();
        assert_eq!(answer(&done), [n + 1, 8]);
        assert_eq!(done.price, FEE);
        assert_eq!(done.receipt.host, server.account());
        done.receipt.verify_on(genesis()).unwrap();
    }
    assert_eq!(server.executor.runs(), 4);
    // Worth claiming from three on.
    until("the claim", || {
        world.block();
        (world.lane(channel, 0).paid == 4 * FEE).then_some(())
    })
    .await;
    stop([client, server]).await;
    assert_eq!(world.lane(channel, 0).claimed, 4 * FEE);
}

/// Loses the answers to the first requests: as a relay that can not pass them back, or as a connection that breaks.
struct Loses {
    inner: Arc<dyn Courier>,
    relay: bool,
    left: AtomicU64,
}

#[async_trait::async_trait]
impl Courier for Loses {
    async fn carry(
        &self,
        header: RouteHeader,
        sealed: Bytes,
        deadline: tokio::time::Instant,
        progress: Option<tokio::sync::mpsc::Sender<Bytes>>,
    ) -> Result<Bytes, String> {
        let host = header.host.clone();
        let answer = self.inner.carry(header, sealed, deadline, progress).await?;
        let lost = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match lost {
            Err(_) => Ok(answer),
            Ok(_) if self.relay => Ok(plain_refusal(&Refusal::NextHopUnreachable { peer: host }).into()),
            Ok(_) => Err("the connection broke".into()),
        }
    }
}

/// The lane has money for one answer: whoever paid for it twice would fail.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_on_its_way_is_had_again_for_the_same_money() {
    // Two rounds and more of what one host is asked in a round.
    for (relay, losses) in [(true, 2), (false, 7)] {
        let world = World::new();
        let server = host(&world, "Alice", &[]).await;
        let client = asker(&world, "Ferdie", &[&server]).await;
        let payer = signer("Ferdie//application");
        world.open(&client.account(), &payer.account32(), &[server.account()], FEE);
        sees_hosts(&world, &client, 1).await;
        let folder = tempfile::TempDir::new().unwrap();
        let book = PayerBook::open(
            &folder.path().join("payer.redb"),
            genesis(),
            PayerPolicy::default(),
        );
        let directory = client.net.directory().clone();
        let requester = Requester::new(Parts {
            payer: client.account(),
            signer: payer,
            genesis: genesis(),
            book: Arc::new(book.unwrap()),
            client: world.clone(),
            directory: directory.clone(),
            ranking: Arc::new(ByTerms::new(directory)),
            courier: Arc::new(Loses {
                inner: client.net.courier().clone(),
                relay,
                left: AtomicU64::new(losses),
            }),
        });
        let done = requester.infer(&question(&[1, 7]), None).await.unwrap();
        assert_eq!(answer(&done), [2, 8]);
        assert_eq!(u64::from(done.attempts), losses + 1);
        assert_eq!(server.executor.runs(), 1);
        let [funds] = &requester.funds().await.unwrap()[..] else {
            panic!("one lane");
        };
        assert_eq!((funds.spent, funds.available), (FEE, 0));
        // There is no more.
        let error = requester.infer(&question(&[1, 7]), None).await.unwrap_err();
        assert!(matches!(error, RequestError::NoFunds), "{error}");
        stop([client, server]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_comes_before_its_node_waits_for_it() {
    let world = World::new();
    world.leave();
    let mut starting = Box::pin(asker(&world, "Ferdie", &[]));
    let early = tokio::time::timeout(Duration::from_secs(1), &mut starting).await;
    assert!(early.is_err(), "there is no chain yet");
    world.block();
    stop([starting.await]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_listens_hears_how_far_the_host_is() {
    let world = World::new();
    let server = host(&world, "Alice", &[]).await;
    let client = asker(&world, "Ferdie", &[&server]).await;
    open(&world, &client, &[&server]);
    sees_hosts(&world, &client, 1).await;
    server.executor.shut();
    let (sender, mut steps) = tokio::sync::mpsc::channel(16);
    let requester = client.net.requester().clone();
    let asked = tokio::spawn(async move { requester.infer(&question(&[1]), Some(sender)).await });
    // Under the host's seal, while it is at work.
    let heard = async {
        while let Some(step) = steps.recv().await {
            if matches!(step.what, What::Progress(Progress::Started)) {
                return step.host;
            }
        }
        panic!("the request ended first")
    };
    let heard = tokio::time::timeout(Duration::from_secs(10), heard).await;
    assert_eq!(heard.unwrap(), server.account());
    server.executor.let_through();
    assert_eq!(answer(&asked.await.unwrap().unwrap()), [2]);
    stop([client, server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_in_mid_request_costs_time_and_nothing_else() {
    let world = World::new();
    let first = host(&world, "Alice", &[]).await;
    let second = host(&world, "Bob", &[&first]).await;
    let client = asker(&world, "Ferdie", &[&first, &second]).await;
    let channel = open(&world, &client, &[&first, &second]);
    sees_hosts(&world, &client, 2).await;

    first.executor.shut();
    second.executor.shut();
    let requester = client.net.requester().clone();
    let asked = tokio::spawn(async move { requester.infer(&question(&[1]), None).await });
    // Whoever has it dies; the other one answers.
    let (dead, alive) = tokio::select! {
        () = first.executor.begun.notified() => (first, second),
        () = second.executor.begun.notified() => (second, first),
    };
    alive.executor.let_through();
    let dead_account = dead.account();
    let kept = dead.folder;
    dead.net.kill().await;
    dead.executor.die();
    let done = asked.await.unwrap().unwrap();
    assert_eq!(answer(&done), [2]);
    assert_eq!(done.receipt.host, alive.account());
    assert!(done.attempts >= 2);

    // Paid once: what the dead host can claim is nothing, for it served nothing.
    let lanes = client.net.requester().funds().await.unwrap();
    let spent = |who: &AccountId32| lanes.iter().find(|l| l.host == *who).map_or(0, |l| l.spent);
    assert_eq!(spent(&alive.account()), FEE);
    assert_eq!(spent(&dead_account), 0);
    assert_eq!(world.state().channels[&channel].lanes.len(), 2);

    // It comes back with its book, and the credit that it holds pays for the next answer.
    let name = if dead_account == signer("Alice").account32() {
        "Alice"
    } else {
        "Bob"
    };
    let back = world::start(&world, name, &[&alive], true, kept).await;
    alive.executor.shut();
    let requester = client.net.requester().clone();
    until("the directory to know it again", || {
        world.block();
        let known = client.net.directory().snapshot().hosts.contains_key(&back.peer());
        known.then_some(())
    })
    .await;
    let done = requester
        .infer(
            &Inference {
                deadline: Duration::from_secs(25),
                ..question(&[5])
            },
            None,
        )
        .await
        .unwrap();
    assert_eq!(answer(&done), [6]);
    alive.executor.let_through();
    stop([client, back, alive]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_money_no_host_and_no_model_are_told_apart() {
    let world = World::new();
    let server = host(&world, "Alice", &[]).await;
    let client = asker(&world, "Ferdie", &[&server]).await;
    sees_hosts(&world, &client, 1).await;
    let requester = client.net.requester();
    let ask = async |what: Inference| requester.infer(&what, None).await.unwrap_err();
    assert!(matches!(ask(question(&[1])).await, RequestError::NoFunds));
    let unknown = Inference {
        version: 99,
        ..question(&[1])
    };
    assert!(matches!(ask(unknown).await, RequestError::UnknownModel));
    let cheap = Inference {
        max_price: Some(FEE - 1),
        ..question(&[1])
    };
    assert!(matches!(
        ask(cheap).await,
        RequestError::TooDear { cheapest: FEE, .. }
    ));
    let picky = Inference {
        min_reputation: Perbill::one(),
        ..question(&[1])
    };
    assert!(matches!(ask(picky).await, RequestError::NoHost));
    assert!(matches!(ask(question(&[0; 65])).await, RequestError::Inputs(_)));
    assert_eq!(server.executor.runs(), 0);
    stop([client, server]).await;
}

/// A peer that speaks the protocol as it likes.
struct Stranger {
    mesh: Mesh,
    channel: u64,
    payer: llmesh_chain::Signer,
    key: [u8; 32],
    host: PeerId,
    account: AccountId32,
    /// The next request's number.
    numbers: AtomicU64,
}

impl Stranger {
    async fn new(world: &Arc<World>, server: &Node) -> Self {
        let payer = signer("Mallory");
        let channel = world.open(&payer.account32(), &payer.account32(), &[server.account()], FUNDS);
        let config = Config::local(Keypair::generate_ed25519(), genesis().0);
        let (mesh, _) =
            Mesh::spawn(config, Arc::new(llmesh_worker::net::Directory::new()), Vec::new()).unwrap();
        mesh.connect(server.peer(), vec![server.address.clone()])
            .await
            .unwrap();
        let key = world.state().workers[&server.signer.account_id().0].encryption_key;
        Self {
            mesh,
            channel,
            payer,
            key,
            host: server.peer(),
            account: server.account(),
            numbers: AtomicU64::new(1),
        }
    }

    fn terms(&self) -> RequestTerms {
        RequestTerms {
            genesis: genesis(),
            place: Place {
                channel: self.channel,
                epoch: 0,
                lane: 0,
                sequence: self.numbers.fetch_add(1, Ordering::Relaxed),
            },
            client: self.payer.account32(),
            model: model().manifest.content_id,
            version: MODEL,
            input_hash: inputs(&[1]).hash(),
            max_price: FEE,
            host: self.account.clone(),
            expires_at: now() + 30_000,
            salt: rand::random(),
        }
    }

    fn voucher(&self, nonce: u64, cumulative: u128) -> Voucher {
        Voucher {
            genesis: genesis(),
            channel: self.channel,
            epoch: 0,
            lane: 0,
            nonce,
            cumulative,
            receipts: H256::zero(),
        }
    }

    /// On the voucher's lane, whatever that is.
    fn ask(&self, mut terms: RequestTerms, voucher: Voucher) -> Ask {
        let Voucher {
            channel, epoch, lane, ..
        } = voucher;
        terms.place = Place {
            channel,
            epoch,
            lane,
            ..terms.place
        };
        let signature = self.payer.sign(&voucher.payload());
        Ask {
            request: terms.signed(|payload| self.payer.sign(payload)),
            channel: voucher.channel,
            price: FEE,
            voucher: SignedVoucher { voucher, signature },
            inputs: inputs(&[1]),
            progress: false,
        }
    }

    /// Seals and sends, with what `tamper` does to header and sealed bytes on the way.
    async fn send(&self, ask: &Ask, tamper: impl FnOnce(&mut RouteHeader, &mut Vec<u8>)) -> Received {
        let aad = ask.aad();
        let (mut sealed, key) = seal(&self.key, &aad, ask, &mut rand::rng()).unwrap();
        let mut header = RouteHeader {
            version: VERSION,
            request: aad.request,
            host: PeerIdBytes::truncate_from(self.host.to_bytes()),
            path: Default::default(),
            key: KeyId::of(&self.key),
            aad,
            deadline_ms: 10_000,
            class: 2,
            hops_left: 8,
        };
        tamper(&mut header, &mut sealed);
        let call = Call {
            header: header.encode().into(),
            body: sealed.into(),
            timeout: Duration::from_secs(10),
            priority: 1,
            progress: None,
        };
        let bytes = self.mesh.call(self.host, Kind::Inference, call).await.unwrap();
        key.opener().open(&bytes).unwrap()
    }

    async fn plainly(&self, ask: &Ask) -> Received {
        self.send(ask, |_, _| {}).await
    }
}

fn now() -> u64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    since.as_millis() as u64
}

fn done(received: Received) {
    assert!(
        matches!(&received, Received::Answer(Answer::Done { .. })),
        "{received:?}"
    );
}

fn refusal(received: Received) -> Refusal {
    match received {
        Received::Answer(Answer::Refused(refusal)) | Received::Plain(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

fn voucher_fault(received: Received) -> VoucherFault {
    match refusal(received) {
        Refusal::Voucher(refused) => refused.fault,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_terms_and_vouchers_counts() {
    let world = World::new();
    let server = host(&world, "Alice", &[]).await;
    let stranger = Stranger::new(&world, &server).await;
    sees_hosts(&world, &server, 1).await;
    let good = || stranger.voucher(1, FEE);

    // Terms.
    let faults: [(fn(&mut RequestTerms), RequestFault); 3] = [
        (|t| t.genesis = H256::repeat_byte(9), RequestFault::OtherChain),
        (|t| t.host = AccountId32::new([9; 32]), RequestFault::OtherHost),
        (|t| t.model = H256::repeat_byte(9), RequestFault::OtherModel),
    ];
    for (change, fault) in faults {
        let mut terms = stranger.terms();
        change(&mut terms);
        let refused = refusal(stranger.plainly(&stranger.ask(terms, good())).await);
        assert_eq!(refused, Refusal::BadRequest { fault });
    }
    let mut other_input = stranger.ask(stranger.terms(), good());
    other_input.inputs = inputs(&[2]);
    assert_eq!(
        refusal(stranger.plainly(&other_input).await),
        Refusal::BadRequest {
            fault: RequestFault::OtherInput
        }
    );
    let mut dear = stranger.ask(stranger.terms(), good());
    dear.price = FEE + 1;
    assert_eq!(
        refusal(stranger.plainly(&dear).await),
        Refusal::BadRequest {
            fault: RequestFault::AbovePrice
        }
    );
    let mut cheap = stranger.ask(stranger.terms(), good());
    cheap.price = FEE - 1;
    assert_eq!(
        refusal(stranger.plainly(&cheap).await),
        Refusal::PriceTooLow { required: FEE }
    );
    let mut old = stranger.terms();
    old.expires_at = now() - 1;
    assert!(matches!(
        refusal(stranger.plainly(&stranger.ask(old, good())).await),
        Refusal::Expired { .. }
    ));
    let mut unsigned = stranger.ask(stranger.terms(), good());
    unsigned.request.signature = signer("Bob").sign(unsigned.request.terms.id().as_bytes());
    assert_eq!(
        refusal(stranger.plainly(&unsigned).await),
        Refusal::BadRequest {
            fault: RequestFault::BadSignature
        }
    );

    // Vouchers.
    let changes: [(fn(&mut Voucher), VoucherFault); 5] = [
        (|v| v.genesis = H256::repeat_byte(9), VoucherFault::OtherChannel),
        (|v| v.epoch = 1, VoucherFault::OtherChannel),
        (|v| v.cumulative = FEE - 1, VoucherFault::TooLittle),
        (|v| v.cumulative = FUNDS + 1, VoucherFault::AboveFunds),
        (|v| v.nonce = 0, VoucherFault::Conflict),
    ];
    for (change, fault) in changes {
        let mut voucher = good();
        change(&mut voucher);
        let received = stranger.plainly(&stranger.ask(stranger.terms(), voucher)).await;
        assert_eq!(voucher_fault(received), fault);
    }
    let mut other_lane = good();
    other_lane.lane = 1;
    assert_eq!(
        refusal(
            stranger
                .plainly(&stranger.ask(stranger.terms(), other_lane))
                .await
        ),
        Refusal::ChannelUnknown
    );
    let mut forged = stranger.ask(stranger.terms(), good());
    forged.voucher.signature = signer("Bob").sign(&forged.voucher.voucher.payload());
    assert_eq!(
        voucher_fault(stranger.plainly(&forged).await),
        VoucherFault::BadSignature
    );
    assert_eq!(server.executor.runs(), 0, "nothing was computed");

    // What is right is still served.
    let ask = stranger.ask(stranger.terms(), good());
    done(stranger.plainly(&ask).await);
    // The same voucher does not pay twice.
    let again = stranger.plainly(&stranger.ask(stranger.terms(), good())).await;
    assert_eq!(voucher_fault(again), VoucherFault::TooLittle);
    // Neither does one with the same number and another sum.
    let conflict = stranger.ask(stranger.terms(), stranger.voucher(1, 2 * FEE));
    assert_eq!(
        voucher_fault(stranger.plainly(&conflict).await),
        VoucherFault::Conflict
    );
    assert_eq!(server.executor.runs(), 1);
    stranger.mesh.stop().await;
    stop([server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_number_of_a_lane_is_answered_once() {
    let world = World::new();
    let server = host(&world, "Alice", &[]).await;
    let stranger = Stranger::new(&world, &server).await;
    sees_hosts(&world, &server, 1).await;
    let numbered = |sequence: u64, nonce: u64| {
        let mut terms = stranger.terms();
        terms.place.sequence = sequence;
        stranger.ask(terms, stranger.voucher(nonce, u128::from(nonce) * FEE))
    };
    done(stranger.plainly(&numbered(7, 1)).await);
    // Another request under the same number, one far ahead, and none.
    for sequence in [7, 7 + 1_000] {
        let refused = refusal(stranger.plainly(&numbered(sequence, 2)).await);
        assert_eq!(refused, Refusal::NumberTaken { highest: 7 }, "{sequence}");
    }
    let none = refusal(stranger.plainly(&numbered(0, 2)).await);
    let fault = RequestFault::OtherPlace;
    assert_eq!(none, Refusal::BadRequest { fault });
    // The money that was refused is still there, and lower numbers are as good as long as nothing was claimed.
    done(stranger.plainly(&numbered(3, 2)).await);
    assert_eq!(server.executor.runs(), 2);

    // A claim takes what there is; what comes later under a number that it went past is refused.
    for nonce in 3..=4 {
        done(stranger.plainly(&numbered(5 + nonce, nonce)).await);
    }
    until("the claim", || {
        world.block();
        (world.lane(stranger.channel, 0).covered > 0).then_some(())
    })
    .await;
    let covered = world.lane(stranger.channel, 0).covered;
    assert!((8..=9).contains(&covered), "{covered}");
    let passed = refusal(stranger.plainly(&numbered(5, 5)).await);
    assert!(matches!(passed, Refusal::NumberTaken { .. }), "{passed}");
    stranger.mesh.stop().await;
    stop([server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_twice_is_computed_and_charged_once() {
    let world = World::new();
    let server = host(&world, "Alice", &[]).await;
    let stranger = Stranger::new(&world, &server).await;
    sees_hosts(&world, &server, 1).await;
    let ask = stranger.ask(stranger.terms(), stranger.voucher(1, FEE));
    // Raced, and afterwards.
    let (one, two) = tokio::join!(stranger.plainly(&ask), stranger.plainly(&ask));
    let three = stranger.plainly(&ask).await;
    assert!(matches!(&one, Received::Answer(Answer::Done { .. })), "{one:?}");
    assert_eq!(one, two);
    assert_eq!(one, three);
    assert_eq!(server.executor.runs(), 1);
    // The next voucher needs to be one fee higher, not three.
    let next = stranger.ask(stranger.terms(), stranger.voucher(2, 2 * FEE));
    done(stranger.plainly(&next).await);
    stranger.mesh.stop().await;
    stop([server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_relay_changes_is_noticed() {
    let world = World::new();
    let server = host(&world, "Alice", &[]).await;
    let stranger = Stranger::new(&world, &server).await;
    sees_hosts(&world, &server, 1).await;
    let ask = || stranger.ask(stranger.terms(), stranger.voucher(1, FEE));

    let flipped = stranger
        .send(&ask(), |_, sealed| {
            let middle = sealed.len() / 2;
            sealed[middle] ^= 1;
        })
        .await;
    assert_eq!(refusal(flipped), Refusal::Malformed);
    let cut = stranger.send(&ask(), |_, sealed| sealed.truncate(100)).await;
    assert_eq!(refusal(cut), Refusal::Malformed);
    let priced = stranger.send(&ask(), |header, _| header.aad.price = 1).await;
    assert_eq!(refusal(priced), Refusal::Malformed);
    let suite = stranger.send(&ask(), |_, sealed| sealed[1] = 9).await;
    assert_eq!(refusal(suite), Refusal::Malformed);
    let other_key = stranger
        .send(&ask(), |header, _| header.key = KeyId([9; 8]))
        .await;
    assert!(matches!(refusal(other_key), Refusal::WrongKey { .. }));
    assert_eq!(server.executor.runs(), 0);

    // Garbage on the protocol, and the service goes on.
    for body in [Bytes::new(), Bytes::from(vec![0xff; 4096])] {
        let call = Call {
            header: Bytes::from_static(b"\x01not a header"),
            body,
            timeout: Duration::from_secs(10),
            priority: 0,
            progress: None,
        };
        let answer = stranger
            .mesh
            .call(server.peer(), Kind::Inference, call)
            .await
            .unwrap();
        assert_eq!(answer[..2], [VERSION, 0], "a refusal in clear");
    }
    done(stranger.plainly(&ask()).await);
    stranger.mesh.stop().await;
    stop([server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_carries_a_request_and_knows_nothing_of_it() {
    let world = World::new();
    let server = host(&world, "Alice", &[]).await;
    let relay = host(&world, "Bob", &[&server]).await;
    let stranger = Stranger::new(&world, &server).await;
    stranger
        .mesh
        .connect(relay.peer(), vec![relay.address.clone()])
        .await
        .unwrap();
    sees_hosts(&world, &server, 2).await;
    sees_hosts(&world, &relay, 2).await;
    let ask = stranger.ask(stranger.terms(), stranger.voucher(1, FEE));
    let aad = ask.aad();
    let (sealed, key) = seal(&stranger.key, &aad, &ask, &mut rand::rng()).unwrap();
    let host_bytes = PeerIdBytes::truncate_from(server.peer().to_bytes());
    let header = RouteHeader {
        version: VERSION,
        request: aad.request,
        host: host_bytes.clone(),
        path: vec![host_bytes].try_into().unwrap(),
        key: KeyId::of(&stranger.key),
        aad,
        deadline_ms: 10_000,
        class: 2,
        hops_left: 4,
    };
    let call = |header: &RouteHeader| Call {
        header: header.encode().into(),
        body: sealed.clone().into(),
        timeout: Duration::from_secs(10),
        priority: 1,
        progress: None,
    };
    let answer = stranger
        .mesh
        .call(relay.peer(), Kind::Inference, call(&header))
        .await
        .unwrap();
    let received = key.opener().open(&answer).unwrap();
    assert!(
        matches!(received, Received::Answer(Answer::Done { .. })),
        "{received:?}"
    );
    assert_eq!(relay.executor.runs(), 0);

    // The host is gone: the relay says so, in clear and at once.
    let dead = server.peer();
    server.net.stop().await;
    let answer = stranger
        .mesh
        .call(relay.peer(), Kind::Inference, call(&header))
        .await
        .unwrap();
    let refused = refusal(key.opener().open(&answer).unwrap());
    assert!(
        matches!(&refused, Refusal::NextHopUnreachable { peer } if peer.as_slice() == dead.to_bytes()),
        "{refused}"
    );
    stranger.mesh.stop().await;
    stop([relay]).await;
}
