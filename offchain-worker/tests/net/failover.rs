//! Hosts and relays that die at any moment while requests are under way.

use crate::{
    answer, payer_of, question, stop,
    world::{AddOne, FEE, Node, Setup, World, genesis, signer, start_with, until},
};
use llmesh_mesh::Multiaddr;
use llmesh_payments::{PayeeBook, PayeeLimits};
use llmesh_worker::net::{books_folder, requester::Inferred};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;

const RELAYS: usize = 3;
const HOSTS: usize = 3;
const REQUESTS: usize = 200;
const AT_A_TIME: usize = 4;
/// What a run of the model takes.
const RUN: Duration = Duration::from_millis(40);

/// A relay or a host in all its lives.
struct Member {
    name: String,
    listen: Vec<Multiaddr>,
    join: Vec<Multiaddr>,
    node: Option<Node>,
}

impl Member {
    async fn start(&mut self, world: &Arc<World>, folder: TempDir) {
        let engine = AddOne::that_takes(RUN);
        let setup = Setup {
            listen: self.listen.clone(),
            engine: Some(engine),
            ..Setup::new(folder)
        };
        self.node = Some(start_with(world, &self.name, self.join.clone(), setup).await);
    }

    /// As by SIGKILL; what is on disk stays.
    async fn kill(&mut self) -> TempDir {
        let node = self.node.take().unwrap();
        let folder = node.folder;
        node.net.kill().await;
        folder
    }
}

/// Nobody can connect to the hosts or to the client: they know each other through relays alone. One relay or host after the
/// other is killed and started anew, at least two of each being alive.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_request_is_answered_while_hosts_and_relays_die() {
    let world = World::new();
    let mut members = Vec::new();
    let mut relays: Vec<Multiaddr> = Vec::new();
    for n in 0..RELAYS + HOSTS {
        let is_relay = n < RELAYS;
        let name = format!("{}{n}", if is_relay { "Relay" } else { "Host" });
        if is_relay {
            world.state().idle.insert(signer(&name).account_id().0);
        }
        let mut member = Member {
            name,
            listen: match is_relay {
                true => vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
                false => Vec::new(),
            },
            join: relays.clone(),
            node: None,
        };
        member.start(&world, TempDir::new().unwrap()).await;
        if is_relay {
            // It comes back where it was.
            let node = member.node.as_ref().unwrap();
            member.listen = node.net.addresses();
            relays.push(node.address.clone());
        }
        members.push(member);
    }
    for (n, member) in members.iter_mut().enumerate() {
        member.join = relays
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != n)
            .map(|(_, a)| a.clone())
            .collect();
    }
    let setup = Setup {
        is_host: false,
        listen: Vec::new(),
        ..Setup::new(TempDir::new().unwrap())
    };
    let client = start_with(&world, "Ferdie", relays.clone(), setup).await;
    let hosts: Vec<_> = members[RELAYS..]
        .iter()
        .map(|m| m.node.as_ref().unwrap().account())
        .collect();
    let funds = 10 * REQUESTS as u128 * FEE;
    let channel = world.open(&client.account(), &payer_of(&client).account32(), &hosts, funds);
    until("all to be known, and the way to them", || {
        world.block();
        let known = client.net.directory().snapshot().hosts.len() == RELAYS + HOSTS;
        let status = client.net.status().borrow().clone();
        let near = status.peers.iter().filter(|p| p.ready && p.rtt.is_some()).count();
        (known && near >= RELAYS).then_some(())
    })
    .await;

    let requester = client.net.requester().clone();
    let ask = {
        let requester = requester.clone();
        move |n: usize| {
            let requester = requester.clone();
            async move {
                let began = Instant::now();
                let done = requester.infer(&question(&[n as u8, (n >> 8) as u8]), None).await;
                (n, done, began.elapsed())
            }
        }
    };
    // What it takes when nobody dies.
    let mut calm = Vec::new();
    for n in 0..20 {
        let (_, done, took) = ask(n).await;
        done.unwrap();
        calm.push(took);
    }
    calm.sort();
    let usual = calm[calm.len() / 2];

    let over = Arc::new(AtomicBool::new(false));
    let deaths = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let reaper = tokio::spawn({
        let (world, over, deaths) = (world.clone(), over.clone(), deaths.clone());
        async move {
            while !over.load(Ordering::SeqCst) {
                // Any one, at any moment of the requests under way.
                let victim = rand::random_range(0..members.len());
                tokio::time::sleep(Duration::from_millis(rand::random_range(0..150))).await;
                let folder = members[victim].kill().await;
                deaths[usize::from(victim >= RELAYS)].fetch_add(1, Ordering::SeqCst);
                members[victim].start(&world, folder).await;
            }
            members
        }
    });
    let next = Arc::new(AtomicUsize::new(20));
    let last = 20 + REQUESTS;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..AT_A_TIME {
        let (next, ask) = (next.clone(), ask.clone());
        tasks.spawn(async move {
            let mut answers = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::SeqCst);
                if n >= last {
                    return answers;
                }
                answers.push(ask(n).await);
            }
        });
    }
    let answers: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    over.store(true, Ordering::SeqCst);
    let members = reaper.await.unwrap();

    let mut extra = Vec::new();
    let mut got: BTreeMap<_, Inferred> = BTreeMap::new();
    let mut again = 0;
    for (n, done, took) in answers {
        let done = done.unwrap_or_else(|error| panic!("request {n}, after {took:?}: {error}"));
        assert_eq!(
            answer(&done),
            [(n as u8).wrapping_add(1), ((n >> 8) as u8).wrapping_add(1)]
        );
        again += usize::from(done.attempts > 1);
        extra.push(took.saturating_sub(usual));
        assert!(got.insert(done.request, done).is_none(), "two requests of one id");
    }
    assert_eq!(got.len(), REQUESTS);
    let [relay_deaths, host_deaths] = &*deaths;
    let (relay_deaths, host_deaths) = (
        relay_deaths.load(Ordering::SeqCst),
        host_deaths.load(Ordering::SeqCst),
    );
    assert!(relay_deaths > 0 && host_deaths > 0);

    // The client counts each answer as paid, once.
    let answered = (REQUESTS + calm.len()) as u128;
    let spent: u128 = requester
        .funds()
        .await
        .unwrap()
        .iter()
        .map(|lane| lane.spent)
        .sum();
    // What hosts may charge: an answer that was on its host's disk and died on its way is charged too.
    let folders: Vec<_> = {
        let mut folders = Vec::new();
        for member in members {
            let account = member.node.as_ref().unwrap().account();
            let node = member.node.unwrap();
            node.net.kill().await;
            folders.push((account, node.folder));
        }
        folders
    };
    stop([client]).await;
    let mut charged = 0;
    for (account, folder) in &folders {
        let path = books_folder(folder.path()).join("payee.redb");
        let book = PayeeBook::open(&path, account.clone(), genesis(), PayeeLimits::default()).unwrap();
        charged += book.lanes().iter().map(|lane| lane.served).sum::<u128>();
    }
    let lost = charged / FEE - answered;
    extra.sort();
    let at = |percent: usize| extra[(extra.len() - 1) * percent / 100].as_millis();
    println!(
        "{} of {} requests answered while {relay_deaths} relays and {host_deaths} hosts died; {again} were sent again; \
         {lost} answers died on their way and were charged; usually {} ms, extra delay p50 {} ms, p90 {} ms, p99 {} ms, most {} ms",
        got.len(),
        REQUESTS,
        usual.as_millis(),
        at(50),
        at(90),
        at(99),
        at(100)
    );
    assert_eq!(world.state().channels[&channel].lanes.len(), HOSTS);
    assert_eq!(charged % FEE, 0);
    assert!(
        spent >= answered * FEE && spent <= charged,
        "{spent} of {charged}"
    );
    assert!(lost <= (host_deaths * AT_A_TIME) as u128);
}
