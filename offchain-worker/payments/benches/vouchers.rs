//! Vouchers that a host verifies and persists per second on one core, against what it could do simpler.
//!
//! `cargo bench -p llmesh-payments --bench vouchers -- [--lanes N] [--rounds N] [--core N]`
//!
//! The process pins itself to one core. In each round all ways get the next voucher of every lane, one after the other, so
//! that whatever else the machine does hits all alike; a ratio is the median of the rounds' ratios.
//!
//! - *verify only*: `sp_runtime::MultiSignature::verify`, one by one, nothing written: what a host must at least do if it
//!   uses the chain's own function.
//! - *one commit each*: the same, and one synced redb transaction a voucher: the peer. It gets [`PEER`] of the vouchers.
//! - *book, admit*: [`PayeeBook::admit`] of all lanes at a time: verified in batches.
//! - *book, request*: the same and then `served`, which waits for the disk: what a request costs in payments.
//!
//! Rates are by the clock. Next to them stands the processor time of each, in which a busy machine shows less: there
//! several threads on the core get more of it than one. So the ratio to *verify only* is one of processor times, and that
//! to *one commit each*, which waits for the disk, one of the clock.
//!
//! At last, how long one request alone waits for either step.

use codec::Encode;
use llmesh_payments::{LaneFacts, LaneKey, PayeeBook, PayeeLimits, PayeePolicy};
use llmesh_primitives::{ChannelState, SignedVoucher, Voucher};
use redb::{Database, TableDefinition};
use rustix::{
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};
use sp_core::{H256, Pair, sr25519};
use sp_runtime::AccountId32;
use std::{
    env,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

const GENESIS: H256 = H256::repeat_byte(7);
const HOST: AccountId32 = AccountId32::new([1; 32]);
const PRICE: u128 = 10;
/// Vouchers a round for the peer, which is slow.
const PEER: usize = 64;
/// Requests one by one at the end.
const ALONE: u64 = 50;
const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("vouchers");

struct Options {
    lanes: u64,
    rounds: u64,
    core: usize,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        lanes: 1_024,
        rounds: 12,
        core: 0,
    };
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().and_then(|value| value.parse::<u64>().ok());
            value.ok_or_else(|| format!("{argument} needs a number"))
        };
        match argument.as_str() {
            "--lanes" => options.lanes = number()?.max(1),
            "--rounds" => options.rounds = number()?.max(1),
            "--core" => options.core = number()? as usize,
            // What cargo itself passes on.
            "--bench" => {}
            _ => return Err(format!("unknown option {argument}")),
        }
    }
    Ok(options)
}

fn signer(lane: u64) -> sr25519::Pair {
    sr25519::Pair::from_seed(&H256::from_low_u64_be(lane + 1).0)
}

fn facts(lane: u64) -> LaneFacts {
    LaneFacts {
        key: LaneKey {
            channel: lane,
            lane: 0,
        },
        epoch: 0,
        host: HOST,
        signer: signer(lane).public().into(),
        funded: 1 << 60,
        claimed: 0,
        paid: 0,
        nonce: 0,
        covered: 0,
        covered_value: 0,
        released: false,
        state: ChannelState::Open,
        expires_at: 1_000_000,
        now: 1,
    }
}

fn voucher(lane: u64, nonce: u64) -> SignedVoucher {
    let voucher = Voucher {
        genesis: GENESIS,
        channel: lane,
        epoch: 0,
        lane: 0,
        nonce,
        cumulative: PRICE * u128::from(nonce),
        receipts: H256::zero(),
    };
    let signature = signer(lane).sign(&voucher.payload()).into();
    SignedVoucher { voucher, signature }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// A stretch of work by the clock and in processor time, of all threads.
#[derive(Clone, Copy)]
struct Spent {
    clock: Duration,
    processor: Duration,
}

struct Watch(Instant, Duration);

impl Watch {
    fn start() -> Self {
        Self(Instant::now(), processor_time())
    }

    fn read(&self) -> Spent {
        Spent {
            clock: self.0.elapsed(),
            processor: processor_time().saturating_sub(self.1),
        }
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[derive(Default)]
struct Times {
    verify: Vec<Spent>,
    commit_each: Vec<Spent>,
    admit: Vec<Spent>,
    request: Vec<Spent>,
    admit_alone: Vec<Duration>,
    served_alone: Vec<Duration>,
}

async fn run(options: &Options) -> Times {
    let folder = tempfile::tempdir().expect("a folder for the databases");
    let peer = Database::create(folder.path().join("peer.redb")).expect("the peer's database");
    let limits = PayeeLimits {
        lane: PayeePolicy {
            max_ahead: 1 << 50,
            ..PayeePolicy::default()
        },
        ..PayeeLimits::default()
    };
    let book = PayeeBook::open(&folder.path().join("book.redb"), HOST, GENESIS, limits).expect("the book");
    book.set_stake_limit(u128::MAX);
    let book = Arc::new(book);
    let facts: Arc<Vec<LaneFacts>> = Arc::new((0..options.lanes).map(facts).collect());
    let mut times = Times::default();
    for round in 1..=options.rounds {
        let vouchers: Arc<Vec<SignedVoucher>> =
            Arc::new((0..options.lanes).map(|lane| voucher(lane, round)).collect());

        let began = Watch::start();
        for (facts, signed) in facts.iter().zip(vouchers.iter()) {
            assert!(signed.voucher.is_signed_by(&signed.signature, &facts.signer));
        }
        times.verify.push(began.read());

        let began = Watch::start();
        for (facts, signed) in facts.iter().zip(vouchers.iter()).take(PEER) {
            assert!(signed.voucher.is_signed_by(&signed.signature, &facts.signer));
            let transaction = peer.begin_write().expect("a transaction");
            transaction
                .open_table(ROWS)
                .expect("the table")
                .insert(
                    facts.key.channel.to_be_bytes().as_slice(),
                    signed.encode().as_slice(),
                )
                .expect("a row");
            transaction.commit().expect("a commit");
        }
        // As if it had all of them.
        let part = PEER.min(options.lanes as usize) as f64 / options.lanes as f64;
        let Spent { clock, processor } = began.read();
        times.commit_each.push(Spent {
            clock: clock.div_f64(part),
            processor: processor.div_f64(part),
        });

        let began = Watch::start();
        let mut tasks = tokio::task::JoinSet::new();
        for lane in 0..options.lanes as usize {
            let (book, facts, vouchers) = (Arc::clone(&book), Arc::clone(&facts), Arc::clone(&vouchers));
            tasks.spawn(async move {
                let request = H256::from_low_u64_be(round << 32 | lane as u64);
                let admitted = book
                    .admit(&facts[lane], &vouchers[lane], PRICE, request, round)
                    .await;
                admitted.expect("it is admitted")
            });
        }
        let admissions = tasks.join_all().await;
        let admitted = began.read();
        let mut tasks = tokio::task::JoinSet::new();
        for admission in admissions {
            tasks.spawn(async move {
                let receipt = admission.request();
                drop(admission.served(receipt).await.expect("it is served"));
            });
        }
        tasks.join_all().await;
        times.admit.push(admitted);
        times.request.push(began.read());
    }
    for n in 1..=ALONE {
        let nonce = options.rounds + n;
        let voucher = voucher(0, nonce);
        let began = Instant::now();
        let request = H256::from_low_u64_be(u64::MAX - n);
        let admission = book.admit(&facts[0], &voucher, PRICE, request, nonce).await;
        times.admit_alone.push(began.elapsed());
        let began = Instant::now();
        let served = admission.expect("it is admitted").served(request).await;
        times.served_alone.push(began.elapsed());
        drop(served.expect("it is served"));
    }
    times
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut core = CpuSet::new();
    core.set(options.core);
    // Threads that are started later inherit it.
    if let Err(error) = sched_setaffinity(None, &core) {
        eprintln!("not pinned to core {}: {error}", options.core);
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let times = runtime.block_on(run(&options));
    println!(
        "one core, {} lanes at a time, {} rounds, sr25519, signatures verified and rows synced",
        options.lanes, options.rounds
    );
    let each = |times: &[Spent], of: fn(&Spent) -> Duration| {
        let mut times: Vec<f64> = times
            .iter()
            .map(|spent| of(spent).as_secs_f64() / options.lanes as f64)
            .collect();
        median(&mut times)
    };
    let ratio = |of: &[Spent], to: &[Spent], what: fn(&Spent) -> Duration| {
        let mut ratios: Vec<f64> = of
            .iter()
            .zip(to)
            .map(|(of, to)| what(to).as_secs_f64() / what(of).as_secs_f64())
            .collect();
        median(&mut ratios)
    };
    for (name, of) in [
        ("verify only, one by one", &times.verify),
        ("verify, one commit each", &times.commit_each),
        ("book, admit", &times.admit),
        ("book, request (admit and served)", &times.request),
    ] {
        println!(
            "  {name:<33} {:>7.0} /s {:>7.1} us of processor   {:>5.2} x verify only   {:>6.1} x one commit each",
            1.0 / each(of, |spent| spent.clock),
            1e6 * each(of, |spent| spent.processor),
            ratio(of, &times.verify, |spent| spent.processor),
            ratio(of, &times.commit_each, |spent| spent.clock)
        );
    }
    let milliseconds = |times: &[Duration]| {
        let mut times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        median(&mut times)
    };
    println!(
        "  one alone: admitted after {:.2} ms, served after {:.2} ms (median of {ALONE})",
        milliseconds(&times.admit_alone),
        milliseconds(&times.served_alone)
    );
    ExitCode::SUCCESS
}
