//! Books whose process is killed (SIGKILL) at any point, also while it opens them: what was acknowledged is there, and what
//! was handed out is not contradicted. The killed process is this test's own binary. `LLMESH_SLOW=1` for 100 kills each.

use llmesh_payments::{
    LaneFacts, LaneKey, PayeeBook, PayeeLimits, PayeePolicy, PayerBook, PayerPolicy, VoucherRefusal,
};
use llmesh_primitives::{ChannelState, SignedVoucher, Voucher};
use sp_core::{H256, Pair, sr25519};
use sp_runtime::AccountId32;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::runtime::Runtime;

const GENESIS: H256 = H256::repeat_byte(7);
const HOST: AccountId32 = AccountId32::new([1; 32]);
const LANES: u16 = 4;
const TASKS: u64 = 16;
const PRICE: u128 = 10;
/// Where the child works; set for children only.
const FOLDER: &str = "LLMESH_PAYMENTS_CRASH_FOLDER";

fn client() -> sr25519::Pair {
    sr25519::Pair::from_seed(&[42; 32])
}

fn facts(lane: u16) -> LaneFacts {
    LaneFacts {
        key: LaneKey { channel: 1, lane },
        epoch: 0,
        host: HOST,
        signer: client().public().into(),
        funded: u128::MAX / 4,
        claimed: 0,
        paid: 0,
        nonce: 0,
        covered: 0,
        covered_value: 0,
        released: false,
        state: ChannelState::Open,
        expires_at: 1_000_000,
        now: 5,
    }
}

fn open_host(folder: &Path) -> PayeeBook {
    let limits = PayeeLimits {
        lane: PayeePolicy {
            // Every kill leaves what was at work as credit.
            max_ahead: u128::MAX / 8,
            ..PayeePolicy::default()
        },
        ..PayeeLimits::default()
    };
    let book = PayeeBook::open(&folder.join("host.redb"), HOST, GENESIS, limits).unwrap();
    book.set_stake_limit(u128::MAX / 4);
    book
}

fn open_payer(folder: &Path) -> PayerBook {
    let policy = PayerPolicy {
        lost_answers: 1_000_000,
        ..PayerPolicy::default()
    };
    PayerBook::open(&folder.join("payer.redb"), GENESIS, policy).unwrap()
}

/// The only voucher of this nonce that there will ever be.
fn voucher(lane: u16, nonce: u64) -> SignedVoucher {
    let voucher = Voucher {
        genesis: GENESIS,
        channel: 1,
        epoch: 0,
        lane,
        nonce,
        cumulative: PRICE * u128::from(nonce),
        receipts: H256::zero(),
    };
    let signature = client().sign(&voucher.payload()).into();
    SignedVoucher { voucher, signature }
}

fn receipt(request: H256) -> H256 {
    Voucher::accept(GENESIS, request)
}

/// Differs in every process.
fn chance() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    time.as_nanos() as u64 ^ (u64::from(std::process::id()) << 40)
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // Knuth's MMIX generator.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// One write call a line, so that a kill leaves whole lines and at most one torn end.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n@{line}.\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn folder_of_child() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

#[test]
#[ignore = "what the test below kills"]
fn child_host() {
    let Some(folder) = folder_of_child() else { return };
    Runtime::new().unwrap().block_on(async {
        let book = Arc::new(open_host(&folder));
        let next: Arc<Vec<AtomicU64>> = Arc::new(
            (0..LANES)
                .map(|lane| {
                    let known = book.lanes().into_iter().find(|known| known.key.lane == lane);
                    AtomicU64::new(known.map_or(1, |known| (known.signed / PRICE) as u64 + 1))
                })
                .collect(),
        );
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..TASKS {
            let (book, next) = (Arc::clone(&book), Arc::clone(&next));
            let mut dice = Dice(chance() ^ task);
            tasks.spawn(async move {
                for n in 0u64.. {
                    let lane = dice.roll(u64::from(LANES)) as u16;
                    let nonce = next[usize::from(lane)].fetch_add(1, Ordering::SeqCst);
                    let request = H256::from_low_u64_be(chance().rotate_left(7) ^ (task << 32) ^ n);
                    let voucher = voucher(lane, nonce);
                    // Its number is that of its voucher.
                    let admitted = book.admit(&facts(lane), &voucher, PRICE, request, nonce).await;
                    let admission = match admitted {
                        Ok(admission) => admission,
                        // A higher one came first, and others used it up; or a claim went past.
                        Err(VoucherRefusal::Short { .. } | VoucherRefusal::Number { .. }) => continue,
                        Err(other) => panic!("{other}"),
                    };
                    if dice.roll(4) > 0 {
                        let served = admission.served(receipt(request)).await.unwrap();
                        say(&format!("served {lane} {nonce} {}", hex(request)));
                        if dice.roll(64) == 0 {
                            let closed = book.close(facts(lane).key, 0).unwrap();
                            assert!(closed < nonce, "closed past an open number");
                        }
                        drop(served);
                    }
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    });
}

#[test]
#[ignore = "what the test below kills"]
fn child_payer() {
    let Some(folder) = folder_of_child() else { return };
    Runtime::new().unwrap().block_on(async {
        let book = Arc::new(open_payer(&folder));
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..TASKS {
            let book = Arc::clone(&book);
            let mut dice = Dice(chance() ^ task);
            tasks.spawn(async move {
                for n in 0u64.. {
                    let lane = dice.roll(u64::from(LANES)) as u16;
                    let request = H256::from_low_u64_be(chance().rotate_left(7) ^ (task << 32) ^ n);
                    let price = u128::from(dice.roll(50) + 1);
                    let sign = |payload: &[u8; 32]| client().sign(payload).into();
                    let sequence = book.next_sequence(&facts(lane)).unwrap();
                    let payment = book
                        .pay(&facts(lane), price, request, sequence, &sign)
                        .await
                        .unwrap();
                    let voucher = &payment.voucher().voucher;
                    say(&format!(
                        "paid {lane} {} {} {} {sequence}",
                        voucher.nonce,
                        voucher.cumulative,
                        hex(H256(voucher.payload()))
                    ));
                    match dice.roll(4) {
                        0 => drop(payment),
                        1 => {
                            let signed = book.lanes().into_iter().find(|known| known.key.lane == lane);
                            let signed = signed.map_or(0, |known| known.signed);
                            drop(payment.refused(signed, signed + price));
                        }
                        _ => payment.accepted(receipt(request)).await.unwrap(),
                    }
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    });
}

fn hex(hash: H256) -> String {
    format!("{hash:x}")
}

/// Runs the child and kills it after a while. Returns what it said.
fn kill_one(child: &str, folder: &Path, dice: &mut Dice) -> Vec<Vec<String>> {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args([child, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let output = BufReader::new(process.stdout.take().unwrap());
    let (began, begins) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut said = Vec::new();
        for line in output.lines().map_while(Result::ok) {
            let whole = line.strip_prefix('@').and_then(|line| line.strip_suffix('.'));
            if let Some(line) = whole {
                said.push(line.split(' ').map(str::to_owned).collect());
                let _ = began.send(());
            }
        }
        said
    });
    // One in eight is killed while it starts; the others at any time after the first word.
    if dice.roll(8) > 0 {
        begins
            .recv_timeout(Duration::from_secs(60))
            .expect("the child does nothing");
    }
    std::thread::sleep(Duration::from_micros(dice.roll(150_000)));
    process.kill().unwrap();
    process.wait().unwrap();
    reader.join().unwrap()
}

fn kills() -> usize {
    match std::env::var("LLMESH_SLOW") {
        Ok(_) => 100,
        Err(_) => 20,
    }
}

#[test]
fn a_host_that_is_killed_has_every_answer_and_its_voucher() {
    let folder = tempfile::tempdir().unwrap();
    let mut dice = Dice(chance());
    let (mut signed, mut served): (BTreeMap<u16, u128>, BTreeMap<u16, u128>) = Default::default();
    let mut sequences: HashMap<(u16, u64), String> = HashMap::new();
    let runtime = Runtime::new().unwrap();
    for kill in 1..=kills() {
        let mut last = None;
        for words in kill_one("child_host", folder.path(), &mut dice) {
            let lane: u16 = words[1].parse().unwrap();
            let number: u64 = words[2].parse().unwrap();
            // The answer is paid by its voucher.
            let sum = signed.entry(lane).or_default();
            *sum = (*sum).max(PRICE * u128::from(number));
            *served.entry(lane).or_default() += PRICE;
            let request = words[3].clone();
            let other = sequences.insert((lane, number), request.clone());
            assert_eq!(other, None, "a sequence number came twice");
            last = Some((lane, number, request));
        }
        let book = open_host(folder.path());
        let lanes: BTreeMap<_, _> = book
            .lanes()
            .into_iter()
            .map(|lane| (lane.key.lane, lane))
            .collect();
        for (lane, sum) in &signed {
            assert!(
                lanes[lane].signed >= *sum,
                "kill {kill}: lane {lane} lost vouchers"
            );
        }
        for (lane, sum) in &served {
            assert!(
                lanes[lane].served >= *sum,
                "kill {kill}: lane {lane} lost answers"
            );
        }
        for lane in lanes.values() {
            assert!(lane.served <= lane.signed);
            assert_eq!((lane.reserved, lane.at_work), (0, 0));
        }
        // And it knows what it answered.
        if let Some((lane, sequence, request)) = last {
            let request = H256::from_slice(&unhex(&request));
            let admit = |request| {
                runtime.block_on(book.admit(&facts(lane), &voucher(lane, 1), PRICE, request, sequence))
            };
            let again = admit(request);
            assert_eq!(
                again.unwrap_err(),
                VoucherRefusal::AlreadyServed {
                    receipt: receipt(request),
                    sequence
                }
            );
            // Nor does it take the number for another.
            assert!(matches!(
                admit(H256::zero()).unwrap_err(),
                VoucherRefusal::Number { highest } if highest >= sequence
            ));
        }
    }
    println!(
        "{0} of {0} kills: {1} answers, none missing, nor a voucher",
        kills(),
        sequences.len()
    );
    assert!(sequences.len() > 10 * kills());
}

#[test]
fn a_payer_that_is_killed_never_contradicts_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut dice = Dice(chance());
    let mut handed_out: HashMap<(u16, u64), String> = HashMap::new();
    let mut highest: BTreeMap<u16, (u64, u128)> = BTreeMap::new();
    let mut sequences: BTreeSet<(u16, u64)> = BTreeSet::new();
    let mut payments = 0;
    for kill in 1..=kills() {
        for words in kill_one("child_payer", folder.path(), &mut dice) {
            let lane: u16 = words[1].parse().unwrap();
            let nonce: u64 = words[2].parse().unwrap();
            let sum: u128 = words[3].parse().unwrap();
            let known = handed_out
                .entry((lane, nonce))
                .or_insert_with(|| words[4].clone());
            assert_eq!(
                *known, words[4],
                "kill {kill}: lane {lane} signed nonce {nonce} twice"
            );
            let sequence: u64 = words[5].parse().unwrap();
            assert!(
                sequences.insert((lane, sequence)),
                "kill {kill}: lane {lane} gave out number {sequence} twice"
            );
            let top = highest.entry(lane).or_default();
            *top = (*top).max((nonce, sum));
            payments += 1;
        }
        let book = open_payer(folder.path());
        let lanes: BTreeMap<_, _> = book
            .lanes()
            .into_iter()
            .map(|lane| (lane.key.lane, lane))
            .collect();
        for (lane, (nonce, sum)) in &highest {
            assert!(
                lanes[lane].nonce >= *nonce && lanes[lane].signed >= *sum,
                "kill {kill}: lane {lane}"
            );
            assert_eq!((lanes[lane].in_flight, lanes[lane].requests), (0, 0));
        }
    }
    println!(
        "{0} of {0} kills: {payments} payments, {1} vouchers, no contradiction",
        kills(),
        handed_out.len()
    );
    assert!(payments > 10 * kills());
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
