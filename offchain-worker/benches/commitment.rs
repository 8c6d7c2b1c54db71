//! What it costs a host to commit to its answers so that they can be audited, beside the inference itself.
//!
//! `cargo bench -p llmesh-worker --bench commitment [-- --rounds N --claim N]`
//!
//! One process, the engine and a store of evidence on disk, no mesh and no chain. Needs `ORT_DYLIB_PATH` and
//! `LLMESH_MAGIKA_DIR` (`. scripts/env.sh`). The steps are those of `net::serve` between a request and its answer.
//! In each round every way answers one request, in another order each time, so that whatever else the machine does hits
//! all alike; what a way adds is the median of the rounds' differences.
//!
//! - *alone*: the model, and its outputs for the wire.
//! - *probe*: the same with the probe as one more output, copied and hashed by the engine.
//! - *hashed*: the same with inputs and outputs encoded and hashed, and the receipt.
//! - *kept*: the same with the evidence on disk, which the answer waits for.
//! - *paid*: alone, and the book of payments, which the answer waits for too.
//! - *paid, kept*: everything; book and evidence are synced side by side, as a worker does it.
//!
//! Then the same answers four at a time; each part by itself; and what a claim takes of the store, for each receipt in it. The receipt's signature is left out of all this, being part of what is paid for: it has a line.
//!
//! Processor time is that of all threads, the kernel's part for them included. It is what commitment takes from a busy
//! host; the clock says what it takes from a client's patience.

use codec::Encode;
use llmesh_chain::{H256, Signer};
use llmesh_engine::{
    DynamicDims, Engine, EngineConfig, Execution, Executor, ModelRef, ModelStore, RunRequest, find_probe,
};
use llmesh_payments::{Admission, LaneFacts, LaneKey, PayeeBook, PayeeLimits};
use llmesh_primitives::{
    ChannelState, ElementType, Receipt, RuntimeClass, SignedVoucher, Tensors, Voucher, WorkOrigin,
};
use llmesh_proofs::{Place, RequestTerms, SignedReceipt, SignedRequest, merkle::Builder};
use llmesh_protocol::{MeshTensor, MeshTensors};
use llmesh_worker::audit::{Evidence, EvidenceStore, LaneEpoch};
use rustix::time::{ClockId, clock_gettime};
use sp_runtime::MultiSignature;
use std::{
    hint::black_box,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;

const GENESIS: H256 = H256::repeat_byte(7);
/// In planck.
const PRICE: u128 = 10;
const LANE: LaneEpoch = LaneEpoch {
    channel: 1,
    epoch: 0,
    lane: 0,
};
/// What the target is for, in microseconds: commitment takes at most 1 % of a model that runs for so long.
const MODEL_US: f64 = 5_000.0;
/// Rounds that are not counted.
const WARM: usize = 20;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|i| arguments.get(i + 1)?.parse().ok())
            .unwrap_or(default)
    };
    let Some(folder) = std::env::var_os("LLMESH_MAGIKA_DIR") else {
        println!("LLMESH_MAGIKA_DIR is not set: nothing is measured");
        return;
    };
    let host = Arc::new(Host::start(Path::new(&folder)));
    let alone = one_at_a_time(&host, number("--rounds", 400)).await;
    four_at_a_time(&host).await;
    let parts = parts(&host).await;
    let claim = claims(&host, number("--claim", 10_000)).await;
    let sum = parts + claim;
    println!(
        "all parts  {sum:.1} us of processor for an answer: {:.2} % of 5 ms, {:.2} % of the model alone",
        100.0 * sum / MODEL_US,
        100.0 * sum / alone
    );
}

/// A stretch of work by the clock and in processor time of all threads, in microseconds.
#[derive(Clone, Copy, Default)]
struct Spent {
    clock: f64,
    processor: f64,
}

struct Watch(Instant, Duration);

impl Watch {
    fn start() -> Self {
        Self(Instant::now(), processor_time())
    }

    fn read(&self) -> Spent {
        Spent {
            clock: self.0.elapsed().as_secs_f64() * 1e6,
            processor: processor_time().saturating_sub(self.1).as_secs_f64() * 1e6,
        }
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) * percent / 100]
}

/// How an answer is given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Alone,
    Probe,
    Hashed,
    Kept,
    Paid,
    PaidKept,
}

impl Way {
    const ALL: [Self; 6] = [
        Self::Alone,
        Self::Probe,
        Self::Hashed,
        Self::Kept,
        Self::Paid,
        Self::PaidKept,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Probe => "probe",
            Self::Hashed => "hashed",
            Self::Kept => "kept",
            Self::Paid => "paid",
            Self::PaidKept => "paid, kept",
        }
    }

    /// The way that it adds its own to, which is what its cost is a part of.
    fn without(self) -> Self {
        match self {
            Self::PaidKept => Self::Paid,
            _ => Self::Alone,
        }
    }
}

/// A host without its mesh.
struct Host {
    engine: Engine,
    bare: ModelRef,
    probed: ModelRef,
    inputs: MeshTensors,
    signer: Signer,
    client: Signer,
    /// The terms that every receipt is for; a signature costs the client, not the host.
    request: SignedRequest,
    /// Some signature of the host's.
    signature: MultiSignature,
    evidence: EvidenceStore,
    book: PayeeBook,
    sequence: AtomicU64,
    nonce: AtomicU64,
    _folder: TempDir,
}

impl Host {
    fn start(magika: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let store = ModelStore::open(folder.path().join("models")).unwrap();
        let file = magika.join("model.onnx");
        let imported = store.import(&file, None).unwrap();
        let engine = Engine::start(store, EngineConfig::default()).unwrap();
        let (signature, _) = engine
            .inspect(imported.content_id, &DynamicDims::default())
            .unwrap();
        let probe = find_probe(&std::fs::read(&file).unwrap()).unwrap();
        assert!(!probe.name().is_empty(), "magika has a probe");
        let bare = ModelRef {
            content_id: imported.content_id,
            signature: Arc::new(signature),
            probe: String::new(),
        };
        let probed = ModelRef {
            probe: probe.name().into(),
            ..bare.clone()
        };
        let numbers: Vec<u8> = (0..2048i32).flat_map(|i| (i % 256).to_le_bytes()).collect();
        let tensor = MeshTensor::new("bytes", ElementType::I32, &[1, 2048], numbers).unwrap();
        let inputs = MeshTensors::new(vec![tensor]).unwrap();
        let signer = Signer::from_secret("//Alice").unwrap();
        let client = Signer::from_secret("//Ferdie").unwrap();
        let terms = RequestTerms {
            genesis: GENESIS,
            place: Place {
                channel: LANE.channel,
                epoch: LANE.epoch,
                lane: LANE.lane,
                sequence: 1,
            },
            client: client.account32(),
            model: bare.content_id,
            version: 7,
            input_hash: inputs.hash(),
            max_price: PRICE,
            host: signer.account32(),
            expires_at: u64::MAX,
            salt: [3; 16],
        };
        let book = folder.path().join("payee.redb");
        let book = PayeeBook::open(&book, signer.account32(), GENESIS, PayeeLimits::default()).unwrap();
        book.set_stake_limit(u128::MAX);
        Self {
            engine,
            bare,
            probed,
            inputs,
            request: terms.signed(|id| client.sign(id)),
            signature: signer.sign(&[1; 32]),
            signer,
            client,
            evidence: EvidenceStore::open(&folder.path().join("evidence"), 1 << 34).unwrap(),
            book,
            sequence: AtomicU64::new(0),
            nonce: AtomicU64::new(0),
            _folder: folder,
        }
    }

    async fn run(&self, probe: bool) -> Execution {
        let inputs = Tensors::try_from(self.inputs.clone()).unwrap();
        let run = if probe {
            RunRequest::new(self.probed.clone(), inputs).with_probe()
        } else {
            RunRequest::new(self.bare.clone(), inputs)
        };
        self.engine.execute(run).await.unwrap()
    }

    /// What is done with a request and what came of it, up to the disk.
    fn commit(&self, execution: Execution) -> (MeshTensors, SignedReceipt, Evidence) {
        let input_hash = self.inputs.hash();
        let inputs = self.inputs.encode();
        let kept_outputs = execution.outputs.encode();
        let outputs = MeshTensors::from(execution.outputs);
        let receipt = Receipt {
            origin: WorkOrigin::Request {
                channel: LANE.channel,
                epoch: LANE.epoch,
                lane: LANE.lane,
                sequence: self.sequence.fetch_add(1, Ordering::Relaxed) + 1,
                request: H256::repeat_byte(9),
            },
            model: self.bare.content_id,
            runtime_class: RuntimeClass::CpuFloat,
            input_hash,
            output_hash: outputs.hash(),
            probe_hash: execution.probe_hash,
            units: 1_000_000,
            fee: PRICE,
        };
        let receipt = SignedReceipt::new(
            receipt,
            self.signer.account32(),
            self.request.clone(),
            |payload| {
                black_box(payload);
                self.signature.clone()
            },
        );
        let evidence = Evidence {
            receipt: receipt.receipt.clone(),
            signed: Some(receipt.clone()),
            version: 7,
            inputs,
            outputs: kept_outputs,
            probe: execution.probe.map(|probe| probe.encode()),
        };
        (outputs, receipt, evidence)
    }

    async fn keep(&self, receipt: &SignedReceipt, evidence: Evidence) {
        self.evidence.put(receipt.hash(), evidence, None).await.unwrap();
    }

    /// A request that the book lets in.
    async fn admit(&self) -> Admission {
        let nonce = self.nonce.fetch_add(1, Ordering::Relaxed) + 1;
        let key = LaneKey {
            channel: LANE.channel,
            lane: LANE.lane,
        };
        let facts = LaneFacts {
            key,
            epoch: LANE.epoch,
            host: self.signer.account32(),
            signer: self.client.account32(),
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
        };
        let voucher = Voucher {
            genesis: GENESIS,
            channel: LANE.channel,
            epoch: LANE.epoch,
            lane: LANE.lane,
            nonce,
            cumulative: PRICE * u128::from(nonce),
            receipts: H256::zero(),
        };
        let signature = self.client.sign(&voucher.payload());
        let signed = SignedVoucher { voucher, signature };
        let request = H256::from_low_u64_be(nonce);
        self.book
            .admit(&facts, &signed, PRICE, request, nonce)
            .await
            .unwrap()
    }

    async fn answer(&self, way: Way) -> Spent {
        // The book's first step comes before the model and is no part of commitment.
        let admission = match way {
            Way::Paid | Way::PaidKept => Some(self.admit().await),
            _ => None,
        };
        let watch = Watch::start();
        let execution = self.run(!matches!(way, Way::Alone | Way::Paid)).await;
        let outputs = match way {
            Way::Alone | Way::Probe => MeshTensors::from(execution.outputs),
            Way::Hashed => {
                let (outputs, receipt, evidence) = self.commit(execution);
                black_box((receipt.hash(), evidence));
                outputs
            }
            Way::Kept => {
                let (outputs, receipt, evidence) = self.commit(execution);
                self.keep(&receipt, evidence).await;
                outputs
            }
            Way::Paid => {
                let outputs = MeshTensors::from(execution.outputs);
                let admission = admission.unwrap();
                let request = admission.request();
                drop(admission.served(request).await.unwrap());
                outputs
            }
            Way::PaidKept => {
                let (outputs, receipt, evidence) = self.commit(execution);
                let (kept, served) = tokio::join!(
                    self.evidence.put(receipt.hash(), evidence, None),
                    admission.unwrap().served(receipt.hash()),
                );
                kept.unwrap();
                drop(served.unwrap());
                outputs
            }
        };
        black_box(outputs);
        watch.read()
    }
}

/// Returns the processor time of the model alone.
async fn one_at_a_time(host: &Host, rounds: usize) -> f64 {
    let mut rows: Vec<[Spent; 6]> = Vec::with_capacity(rounds);
    for round in 0..rounds + WARM {
        let mut row = [Spent::default(); 6];
        for n in 0..6 {
            let at = (n + round) % 6;
            row[at] = host.answer(Way::ALL[at]).await;
        }
        if round >= WARM {
            rows.push(row);
        }
    }
    println!("one at a time, {rounds} rounds; us by the clock, and of processor");
    let of = |way: Way, what: fn(&Spent) -> f64| -> Vec<f64> {
        rows.iter().map(|row| what(&row[way as usize])).collect()
    };
    let added = |way: Way, what: fn(&Spent) -> f64| {
        let with = of(way, what);
        let without = of(way.without(), what);
        percentile(with.iter().zip(without).map(|(a, b)| a - b).collect(), 50)
    };
    for way in Way::ALL {
        let (clock, processor) = (of(way, |s| s.clock), of(way, |s| s.processor));
        let p50 = (percentile(clock.clone(), 50), percentile(processor, 50));
        print!(
            "  {:<10} clock p50 {:>6.0} p95 {:>6.0}, processor p50 {:>6.0}",
            way.name(),
            p50.0,
            percentile(clock, 95),
            p50.1
        );
        if way == way.without() || way == Way::Paid {
            println!();
            continue;
        }
        let base = percentile(of(way.without(), |s| s.clock), 50);
        let base_processor = percentile(of(way.without(), |s| s.processor), 50);
        println!(
            "; over {}: {:+5.0} (x {:.3}), processor {:+5.0} (x {:.3})",
            way.without().name(),
            added(way, |s| s.clock),
            p50.0 / base,
            added(way, |s| s.processor),
            p50.1 / base_processor
        );
    }
    percentile(of(Way::Alone, |s| s.processor), 50)
}

/// What a host that always has something to do loses.
async fn four_at_a_time(host: &Arc<Host>) {
    const ANSWERS: u64 = 200;
    let mut ratios: [Vec<f64>; 2] = Default::default();
    let mut rates: [Vec<f64>; 2] = Default::default();
    for round in 0..10 {
        let mut row = [Spent::default(); 2];
        for n in 0..2 {
            let at = (n + round) % 2;
            let way = [Way::Alone, Way::Kept][at];
            let left = Arc::new(AtomicU64::new(ANSWERS));
            let watch = Watch::start();
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let (host, left) = (host.clone(), left.clone());
                tasks.spawn(async move {
                    let next =
                        || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
                    while next().is_ok() {
                        host.answer(way).await;
                    }
                });
            }
            tasks.join_all().await;
            row[at] = watch.read();
            rates[at].push(1e6 * ANSWERS as f64 / row[at].clock);
        }
        ratios[0].push(row[1].clock / row[0].clock);
        ratios[1].push(row[1].processor / row[0].processor);
    }
    let [alone, kept] = rates.map(|rates| percentile(rates, 50));
    let [clock, processor] = ratios.map(|ratios| percentile(ratios, 50));
    println!(
        "four at a time: {alone:.1} answers a second alone, {kept:.1} kept: x {clock:.3} of the clock, x {processor:.3} of processor"
    );
}

/// Microseconds for one call, the median of many batches.
fn each<T>(mut work: impl FnMut() -> T) -> f64 {
    const BATCH: u32 = 100;
    let batches = (0..50).map(|_| {
        let began = Instant::now();
        for _ in 0..BATCH {
            black_box(work());
        }
        began.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH)
    });
    percentile(batches.collect(), 50)
}

/// Returns the sum of what counts but the claim, in microseconds of processor.
async fn parts(host: &Host) -> f64 {
    let execution = host.run(true).await;
    let probe = execution.probe.clone().unwrap();
    let (outputs, receipt, evidence) = host.commit(execution.clone());
    println!(
        "parts, us of processor for an answer; {} bytes of evidence",
        evidence.encoded_size()
    );
    let mut sum = 0.0;
    let mut row = |name: &str, us: f64| {
        println!("  {name:<44} {us:>7.1}");
        sum += us;
    };
    row("inputs hashed", each(|| host.inputs.hash()));
    row("inputs encoded", each(|| host.inputs.encode()));
    row("outputs hashed", each(|| outputs.hash()));
    row("outputs encoded", each(|| execution.outputs.encode()));
    row("probe copied, hashed and encoded", {
        let shape: Vec<u32> = probe.shape.to_vec();
        each(|| {
            let name = host.probed.probe.as_str();
            let data = probe.data.to_vec();
            let copy = llmesh_engine::ProbeTensor::new(name, probe.element_type, &shape, data).unwrap();
            (copy.hash(), copy.encode())
        })
    });
    // When it is signed, for the evidence, and for the book.
    row("receipt hashed three times", 3.0 * each(|| receipt.hash()));
    row(
        "receipt copied",
        each(|| (receipt.receipt.clone(), receipt.clone())),
    );
    row("leaf of the tree, and the nodes above it", {
        let mut tree = Builder::new();
        let hash = receipt.hash();
        each(|| tree.push(hash, PRICE))
    });
    let mut alone = Vec::new();
    for _ in 0..300 {
        let (_, receipt, evidence) = host.commit(execution.clone());
        let watch = Watch::start();
        host.keep(&receipt, evidence).await;
        alone.push(watch.read());
    }
    let clock = percentile(alone.iter().map(|s| s.clock).collect(), 50);
    row(
        "evidence written and synced, one by one",
        percentile(alone.iter().map(|s| s.processor).collect(), 50),
    );
    println!("    which takes {clock:.0} by the clock");
    let (_, grouped) = put_many(host, &host.evidence, &execution, 2_048, 32).await;
    println!(
        "    32 at a time: {:.1} of processor, {:.1} by the clock",
        grouped.processor, grouped.clock
    );
    println!(
        "  {:<44} {:>7.1}  (not counted)",
        "receipt signed",
        each(|| host.signer.sign(receipt.hash().as_bytes()))
    );
    sum
}

/// Keeps evidence for so many answers, so many at a time. Returns the cost of each, with and without making it.
async fn put_many(
    host: &Host,
    store: &EvidenceStore,
    execution: &Execution,
    count: usize,
    at_a_time: usize,
) -> (Spent, Spent) {
    let (mut all, mut written) = (Spent::default(), Spent::default());
    for _ in 0..count.div_ceil(at_a_time) {
        let watch = Watch::start();
        let made: Vec<_> = (0..at_a_time).map(|_| host.commit(execution.clone())).collect();
        let writing = Watch::start();
        let puts = made.into_iter().map(|(_, receipt, evidence)| {
            let hash = receipt.hash();
            async move { store.put(hash, evidence, None).await.unwrap() }
        });
        futures::future::join_all(puts).await;
        for (sum, spent) in [(&mut all, watch.read()), (&mut written, writing.read())] {
            sum.clock += spent.clock / count as f64;
            sum.processor += spent.processor / count as f64;
        }
    }
    (all, written)
}

/// Claims on a lane, each of what came after the one before. Returns the processor time for each receipt of the first, in
/// microseconds.
async fn claims(host: &Host, count: usize) -> f64 {
    let folder = TempDir::new().unwrap();
    let store = EvidenceStore::open(folder.path(), 1 << 34).unwrap();
    let execution = host.run(true).await;
    host.sequence.store(0, Ordering::Relaxed);
    let mut first = 0.0;
    let mut covered = 0;
    for new in [count, count, count / 10, 1] {
        put_many(host, &store, &execution, new, new.min(256)).await;
        let to = host.sequence.load(Ordering::Relaxed);
        let watch = Watch::start();
        let leaves = store.work(LANE, covered, to).await.unwrap().leaves;
        let spent = watch.read();
        println!(
            "claim of {leaves:>5} receipts after {covered:>6}: {:>7.1} ms by the clock, {:>7.1} of processor; {:>6.1} us of \
             processor for each",
            spent.clock / 1e3,
            spent.processor / 1e3,
            spent.processor / f64::from(leaves)
        );
        if covered == 0 {
            first = spent.processor / f64::from(leaves);
        }
        covered += u64::from(leaves);
    }
    first
}
