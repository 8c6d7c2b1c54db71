//! A runtime in which staking, registry, reputation and pool are tables that a test sets, and hosts and verifiers with
//! all kinds of conduct that do what the chain waits for.

use crate as pallet_attestation;
use crate::{Audits, CurrentRound, JobModels, WeightInfo, audits::AuditOf};
use codec::Encode;
use frame_support::{
    derive_impl, parameter_types,
    traits::{
        ConstU32, ConstU64, ConstU128, Hooks, Randomness, UnixTime,
        fungible::{Inspect, Mutate},
        tokens::{Fortitude, Preservation},
    },
    weights::Weight,
};
use llmesh_primitives::{
    AuditId, BatchId, ElementType, JobId, MESH, ModelManifest, ModelSignature, ModelVersion, ModelVersionId,
    OfferTerms, OriginFormat, Receipt, RuntimeClass, SemVer, Sketch, TensorSpec, Verdict, VersionStatus,
    WorkOrigin,
    attestation::{AuditState, Duty, Finding, Preimages, SKETCH_SIZE, Subject, Vote},
    traits::{
        Conduct, ModelRegistry, ReceiptSink, ReputationProvider, ReputationSink, StakeProvider,
        VerdictHandler, VerifierInfo, VerifierPool, VerifierSet, WorkSink,
    },
};
use llmesh_proofs::{Opening, Place, RequestTerms, SignedReceipt, audit::ballot, merkle, sampling};
use sp_core::{H256, Pair, sr25519};
use sp_runtime::{
    AccountId32, BuildStorage, DispatchResult, MultiSignature, Perbill,
    traits::{BlakeTwo256, Hash},
};
use std::{cell::RefCell, collections::BTreeMap, time::Duration};

type Block = frame_system::mocking::MockBlock<Test>;

pub const MODEL: ModelVersionId = 7;
/// Fee of one result.
pub const FEE: u128 = MESH;
pub const DEPOSIT: u128 = 10 * MESH;
pub const WINDOW: u64 = 4;
pub const EPOCH_BLOCKS: u64 = 10;
pub const HORIZON: u32 = 8;
pub const PERIOD: u64 = 60_000;
pub const POOL_FUNDS: u128 = 6_400 * MESH;
pub const STAKE: u128 = 1_000 * MESH;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Attestation: pallet_attestation,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
    type AccountId = AccountId32;
    type Lookup = sp_runtime::traits::IdentityLookup<AccountId32>;
    type AccountData = pallet_balances::AccountData<u128>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type Balance = u128;
    type AccountStore = System;
    type ExistentialDeposit = ConstU128<1_000_000>;
    type RuntimeHoldReason = RuntimeHoldReason;
}

// --- people ----------------------------------------------------------------------------------------------------------

fn pair(n: u32) -> sr25519::Pair {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&n.to_le_bytes());
    sr25519::Pair::from_seed(&seed)
}

fn account(n: u32) -> AccountId32 {
    thread_local! {
        static ACCOUNTS: RefCell<BTreeMap<u32, AccountId32>> = RefCell::default();
    }
    ACCOUNTS.with(|all| {
        all.borrow_mut()
            .entry(n)
            .or_insert_with(|| pair(n).public().0.into())
            .clone()
    })
}

pub fn host() -> AccountId32 {
    account(1)
}
pub fn other_host() -> AccountId32 {
    account(2)
}
pub fn client() -> AccountId32 {
    account(3)
}
pub fn stranger() -> AccountId32 {
    account(4)
}
pub fn pool() -> AccountId32 {
    account(5)
}
pub fn verifier(n: u32) -> AccountId32 {
    account(100 + n)
}

/// Number of the account whose key a host or client signs with.
fn number_of(who: &AccountId32) -> u32 {
    (1..5)
        .find(|n| account(*n) == *who)
        .expect("it is a host, a client or the stranger")
}

pub fn sign(who: &AccountId32, bytes: &[u8]) -> MultiSignature {
    pair(number_of(who)).sign(bytes).into()
}

/// What a host or a verifier does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Honest,
    /// As host: runs another model. As verifier: says that it found what no one else found.
    Cheats,
    /// As host: does not open. As verifier: does not commit.
    Absent,
    /// As host: does not publish. As verifier: does not reveal.
    Stops,
    /// As host: gives no input. As verifier: says so.
    NoInput,
    /// As host: gives neither output nor probe. As verifier: says so.
    NoPreimages,
    /// As host: gives an output that does not follow. As verifier: says so.
    Bad,
    /// As verifier: could not run the model.
    Abstains,
    /// As verifier: says that the model fails.
    Fails,
    /// As verifier: agrees with whatever the host publishes... if it could: it commits to the sketch of the stage
    /// before.
    Copies,
    /// As verifier of a cheating host: finds by itself what the cheat yields.
    Accomplice,
}

// --- tables ----------------------------------------------------------------------------------------------------------

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slash {
    pub who: AccountId32,
    pub fraction: Perbill,
    pub amount: u128,
    pub reporter: Option<AccountId32>,
}

#[derive(Default)]
pub struct World {
    pub versions: BTreeMap<ModelVersionId, ModelVersion<AccountId32>>,
    pub uses: BTreeMap<ModelVersionId, u32>,
    pub stakes: BTreeMap<AccountId32, u128>,
    pub verifiers: BTreeMap<AccountId32, Vec<RuntimeClass>>,
    /// Verifiers that have staked behind a host.
    pub interests: Vec<(AccountId32, AccountId32)>,
    pub scores: BTreeMap<AccountId32, Perbill>,
    pub conduct: Vec<(AccountId32, Conduct)>,
    pub verdicts: Vec<(AccountId32, H256, Conduct)>,
    pub slashes: Vec<Slash>,
    pub cuts: BTreeMap<AccountId32, u128>,
    pub ways: BTreeMap<AccountId32, Way>,
    pub trees: BTreeMap<BatchId, (merkle::Tree, Vec<SignedReceipt>)>,
    pub jobs: BTreeMap<JobId, Receipt>,
    /// Sketches that hosts published, by audit and stage.
    pub published: BTreeMap<(AuditId, u8), Sketch>,
    pub sequences: BTreeMap<AccountId32, u64>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

pub fn world<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with(|w| f(&mut w.borrow_mut()))
}

pub struct Tables;

impl StakeProvider<AccountId32> for Tables {
    fn stake_of(who: &AccountId32) -> u128 {
        world(|w| w.stakes.get(who).copied().unwrap_or_default())
    }
    fn is_host(who: &AccountId32) -> bool {
        world(|w| w.stakes.contains_key(who))
    }
    fn is_verifier(who: &AccountId32) -> bool {
        world(|w| w.verifiers.contains_key(who))
    }
    fn slash(who: &AccountId32, fraction: Perbill, reporter: Option<&AccountId32>) -> u128 {
        world(|w| {
            let stake = w.stakes.entry(who.clone()).or_default();
            let amount = fraction.mul_floor(*stake);
            *stake -= amount;
            w.slashes.push(Slash {
                who: who.clone(),
                fraction,
                amount,
                reporter: reporter.cloned(),
            });
            amount
        })
    }
}

impl VerifierSet<AccountId32> for Tables {
    fn max_verifiers() -> u32 {
        40
    }
    fn verifiers() -> Vec<VerifierInfo<AccountId32>> {
        world(|w| {
            w.verifiers
                .iter()
                .map(|(account, classes)| VerifierInfo {
                    account: account.clone(),
                    stake: w.stakes.get(account).copied().unwrap_or_default(),
                    classes: classes.clone().try_into().unwrap(),
                })
                .collect()
        })
    }
    fn has_interest(verifier: &AccountId32, host: &AccountId32) -> bool {
        world(|w| w.interests.contains(&(verifier.clone(), host.clone())))
    }
}

impl ModelRegistry<AccountId32> for Tables {
    fn version(id: ModelVersionId) -> Option<ModelVersion<AccountId32>> {
        world(|w| w.versions.get(&id).cloned())
    }
    fn offers(_: ModelVersionId) -> Vec<(AccountId32, OfferTerms)> {
        vec![]
    }
    fn max_offers() -> u32 {
        0
    }
    fn acquire(id: ModelVersionId) -> DispatchResult {
        world(|w| {
            assert!(w.versions.contains_key(&id));
            *w.uses.entry(id).or_default() += 1;
        });
        Ok(())
    }
    fn release(id: ModelVersionId) {
        world(|w| {
            let uses = w.uses.get_mut(&id).expect("it was acquired");
            *uses = uses.checked_sub(1).expect("it was not released more often");
        });
    }
    #[cfg(feature = "runtime-benchmarks")]
    fn bench_publish(owner: &AccountId32, manifest: ModelManifest) -> ModelVersionId {
        let version = ModelVersion {
            owner: owner.clone(),
            manifest,
            ..version()
        };
        world(|w| w.versions.insert(MODEL, version));
        MODEL
    }
    #[cfg(feature = "runtime-benchmarks")]
    fn bench_offer(_: ModelVersionId, _: &AccountId32, _: OfferTerms) {}
}

impl JobModels for Tables {
    fn model_of(_: JobId) -> Option<ModelVersionId> {
        Some(MODEL)
    }
}

impl ReputationProvider<AccountId32> for Tables {
    fn score(who: &AccountId32) -> Perbill {
        world(|w| w.scores.get(who).copied().unwrap_or(Perbill::from_percent(50)))
    }
}

impl ReputationSink<AccountId32> for Tables {
    fn record(who: &AccountId32, conduct: Conduct) {
        world(|w| w.conduct.push((who.clone(), conduct)));
    }
}

impl VerdictHandler<AccountId32> for Tables {
    fn on_verdict(host: &AccountId32, receipt: H256, conduct: Conduct) {
        world(|w| w.verdicts.push((host.clone(), receipt, conduct)));
    }
}

impl VerifierPool<AccountId32> for Tables {
    fn available() -> u128 {
        Balances::reducible_balance(&pool(), Preservation::Preserve, Fortitude::Polite)
    }
    fn pay(who: &AccountId32, amount: u128) -> u128 {
        let amount = amount.min(Self::available());
        Balances::transfer(&pool(), who, amount, Preservation::Preserve).unwrap_or(0)
    }
    fn take_cut(host: &AccountId32) -> u128 {
        world(|w| w.cuts.remove(host)).unwrap_or_default()
    }
}

pub struct Dice;
impl Randomness<H256, u64> for Dice {
    fn random(subject: &[u8]) -> (H256, u64) {
        let (epoch, luck) = (Epoch::get(), Luck::get());
        (
            BlakeTwo256::hash_of(&(subject, epoch, luck)),
            System::block_number(),
        )
    }
}

pub struct Clock;
impl UnixTime for Clock {
    fn now() -> Duration {
        Duration::from_millis(NowMs::get())
    }
}

parameter_types! {
    pub static AgendaWeight: Weight = Weight::MAX;
    pub static MinQuorum: u32 = 2;
    pub static MaxOpenAudits: u32 = 64;
    pub static Epoch: u64 = 0;
    pub static Luck: u64 = 0;
    pub static NowMs: u64 = 1_000_000;
    /// Whether epochs follow the block numbers.
    pub static EpochsRun: bool = true;
    pub const MismatchSlash: Perbill = Perbill::from_percent(10);
    pub const WithheldSlash: Perbill = Perbill::from_percent(5);
    pub const FalseVoteSlash: Perbill = Perbill::from_percent(2);
    pub const BonusShare: Perbill = Perbill::from_percent(25);
}

impl pallet_attestation::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Randomness = Dice;
    type Epoch = Epoch;
    type Stake = Tables;
    type Verifiers = Tables;
    type Registry = Tables;
    type JobModels = Tables;
    type Reputation = Tables;
    type Conduct = Tables;
    type Pool = Tables;
    type Verdicts = Tables;
    type Time = Clock;
    type Window = ConstU64<WINDOW>;
    type Horizon = ConstU32<HORIZON>;
    type MinQuorum = MinQuorum;
    type AgendaWeight = AgendaWeight;
    type MaxSamples = ConstU32<16>;
    type MaxJobsPerRound = ConstU32<100>;
    type MaxOpenAudits = MaxOpenAudits;
    type MismatchSlash = MismatchSlash;
    type WithheldSlash = WithheldSlash;
    type FalseVoteSlash = FalseVoteSlash;
    type BonusShare = BonusShare;
    type ChallengeDeposit = ConstU128<DEPOSIT>;
    type ChallengePeriod = ConstU64<PERIOD>;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Tables;
}

#[cfg(feature = "runtime-benchmarks")]
impl crate::BenchmarkHelper<AccountId32> for Tables {
    fn make_host(who: &AccountId32) {
        world(|w| w.stakes.insert(who.clone(), STAKE));
        Balances::set_balance(who, 1_000 * MESH);
    }
    fn make_verifier(who: &AccountId32) {
        world(|w| {
            w.stakes.insert(who.clone(), STAKE);
            w.verifiers.insert(who.clone(), vec![RuntimeClass::CpuFloat]);
        });
        Balances::set_balance(who, 1_000 * MESH);
    }
    fn fill_pool(host: &AccountId32) {
        Balances::set_balance(&pool(), POOL_FUNDS);
        world(|w| w.cuts.insert(host.clone(), 100 * MESH));
    }
    fn next_epoch() {
        Epoch::set(Epoch::get() + 1);
    }
}

// --- models and work -------------------------------------------------------------------------------------------------

pub fn manifest() -> ModelManifest {
    let tensor = |name: &str| TensorSpec {
        name: name.as_bytes().to_vec().try_into().unwrap(),
        element_type: ElementType::F32,
        shape: Default::default(),
    };
    ModelManifest {
        content_id: H256::repeat_byte(3),
        size: 100,
        origin: OriginFormat::Onnx,
        signature: ModelSignature {
            inputs: vec![tensor("x")].try_into().unwrap(),
            outputs: vec![tensor("y")].try_into().unwrap(),
        },
        probe: Default::default(),
        runtime_class: RuntimeClass::CpuFloat,
        tolerance: Perbill::from_parts(500_000),
        complexity: 1_000_000,
        base_price: 1,
        licence: b"MIT".to_vec().try_into().unwrap(),
    }
}

pub fn version() -> ModelVersion<AccountId32> {
    ModelVersion {
        id: MODEL,
        name: b"test/model".to_vec().try_into().unwrap(),
        version: SemVer::default(),
        owner: stranger(),
        status: VersionStatus::Active,
        manifest: manifest(),
    }
}

pub fn genesis() -> H256 {
    Attestation::genesis()
}

/// A host's receipt for a request with this sequence on lane 2 of channel 5, epoch 1.
pub fn signed_receipt(host: &AccountId32, client: &AccountId32, sequence: u64, fee: u128) -> SignedReceipt {
    let terms = RequestTerms {
        genesis: genesis(),
        place: Place {
            channel: 5,
            epoch: 1,
            lane: 2,
            sequence,
        },
        client: client.clone(),
        model: manifest().content_id,
        version: MODEL,
        input_hash: BlakeTwo256::hash_of(&("input", host, sequence)),
        max_price: fee,
        host: host.clone(),
        expires_at: NowMs::get() + 1_000,
        salt: [sequence as u8; 16],
    };
    receipt_for(terms, fee)
}

/// The receipt of the request's host for it, all signed as it must be.
pub fn receipt_for(terms: RequestTerms, fee: u128) -> SignedReceipt {
    let Place {
        channel,
        epoch,
        lane,
        sequence,
    } = terms.place;
    let receipt = Receipt {
        origin: WorkOrigin::Request {
            channel,
            epoch,
            lane,
            sequence,
            request: terms.id(),
        },
        model: terms.model,
        runtime_class: RuntimeClass::CpuFloat,
        input_hash: terms.input_hash,
        output_hash: BlakeTwo256::hash_of(&("output", terms.input_hash)),
        probe_hash: Some(BlakeTwo256::hash_of(&("probe", terms.input_hash))),
        units: manifest().complexity,
        fee,
    };
    let (by, client) = (terms.host.clone(), terms.client.clone());
    let request = terms.signed(|bytes| sign(&client, bytes));
    SignedReceipt::new(receipt, by.clone(), request, |bytes| sign(&by, bytes))
}

/// The host claims what these receipts are worth, which come after sequence `covered`.
pub fn claim(host: &AccountId32, covered: u64, receipts: Vec<SignedReceipt>) -> BatchId {
    let leaves = receipts.iter().map(|r| (r.hash(), r.receipt.fee)).collect();
    let tree = merkle::Tree::new(leaves).unwrap();
    let work = tree.work();
    let id = crate::NextBatch::<Test>::get();
    let new = receipts.len() as u32;
    Attestation::on_claimed(host, 5, 1, 2, &client(), covered, &work, new, work.value);
    world(|w| w.trees.insert(id, (tree, receipts)));
    id
}

/// A claim for as many requests as these fees.
pub fn lane_work(host: &AccountId32, fees: &[u128]) -> BatchId {
    let covered = world(|w| {
        let next = w.sequences.entry(host.clone()).or_default();
        let covered = *next;
        *next += fees.len() as u64;
        covered
    });
    let receipts = (covered + 1..)
        .zip(fees)
        .map(|(sequence, fee)| signed_receipt(host, &client(), sequence, *fee))
        .collect();
    claim(host, covered, receipts)
}

/// The host delivers the result of a job.
pub fn job_work(host: &AccountId32, job: JobId, fee: u128) -> H256 {
    let receipt = Receipt {
        origin: WorkOrigin::Job(job),
        model: manifest().content_id,
        runtime_class: RuntimeClass::CpuFloat,
        input_hash: BlakeTwo256::hash_of(&("job", job)),
        output_hash: H256::repeat_byte(1),
        probe_hash: Some(H256::repeat_byte(2)),
        units: manifest().complexity,
        fee,
    };
    let hash = receipt.hash(host);
    Attestation::on_receipt(job, host, hash, &receipt);
    world(|w| w.jobs.insert(job, receipt));
    hash
}

// --- what people do --------------------------------------------------------------------------------------------------

/// A sketch that follows from what is said.
pub fn sketch_of<S: Encode>(subject: &S) -> Sketch {
    let mut integers = [0; SKETCH_SIZE];
    for (i, integer) in integers.iter_mut().enumerate() {
        let hash = BlakeTwo256::hash_of(&(subject, i as u32));
        *integer = i64::from(i32::from_le_bytes(hash[..4].try_into().unwrap()));
    }
    Sketch(integers)
}

/// What the model yields for the audit's input, by the present stage's sketch.
pub fn truth(audit: &AuditOf<Test>) -> Sketch {
    let input = audit.receipt.as_ref().expect("the receipt is known").input_hash;
    sketch_of(&(sampling::stage_seed(audit.seed, audit.stage), input))
}

/// What the model of a cheating host yields.
pub fn falsehood(audit: &AuditOf<Test>) -> Sketch {
    sketch_of(&(sampling::stage_seed(audit.seed, audit.stage), "cheat"))
}

pub fn way_of(who: &AccountId32) -> Way {
    world(|w| w.ways.get(who).copied()).unwrap_or(Way::Honest)
}

pub fn goes(who: &AccountId32, way: Way) {
    world(|w| w.ways.insert(who.clone(), way));
}

pub fn audit(id: AuditId) -> AuditOf<Test> {
    Audits::<Test>::get(id).expect("the audit is there")
}

/// What shows the receipt of an audit.
pub fn opening_of(id: AuditId) -> Opening {
    match audit(id).subject {
        Subject::Job { job, .. } => Opening::Job {
            receipt: world(|w| w.jobs[&job].clone()),
            version: MODEL,
        },
        Subject::Leaf { batch, point } => world(|w| {
            let (tree, receipts) = &w.trees[&batch];
            let index = tree.locate(point).expect("the point is in the tree");
            Opening::Leaf {
                proof: tree.proof(index).unwrap(),
                receipt: receipts[index as usize].clone(),
            }
        }),
        Subject::Challenge { .. } => unreachable!("challenges are not opened"),
    }
}

pub fn by(who: &AccountId32) -> RuntimeOrigin {
    RuntimeOrigin::signed(who.clone())
}

pub fn open(id: AuditId) {
    let host = audit(id).host;
    frame_support::assert_ok!(Attestation::open(by(&host), id, Box::new(opening_of(id))));
}

pub const SALT: [u8; 32] = [8; 32];

/// What a verifier of this way finds by itself.
pub fn finding_of(id: AuditId, who: &AccountId32, way: Way) -> Finding {
    let audit = audit(id);
    match way {
        Way::NoInput => Finding::NoInput,
        Way::Abstains => Finding::Abstained,
        Way::Fails => Finding::Fails,
        Way::Cheats => Finding::Ran(sketch_of(&(id, audit.stage, who))),
        Way::Accomplice => Finding::Ran(falsehood(&audit)),
        Way::Copies => Finding::Ran(
            world(|w| w.published.get(&(id, audit.stage.wrapping_sub(1))).copied())
                .unwrap_or_else(|| sketch_of(&"nothing to copy")),
        ),
        _ if way_of(&audit.host) == Way::NoInput => Finding::NoInput,
        _ => Finding::Ran(truth(&audit)),
    }
}

fn vote_of(id: AuditId, who: &AccountId32, way: Way) -> Vote {
    let preimages = match (way, way_of(&audit(id).host)) {
        (Way::Bad, _) => Preimages::Bad,
        (Way::NoPreimages, _) => Preimages::Missing,
        (Way::Accomplice | Way::Copies, _) => Preimages::Good,
        (_, Way::NoPreimages | Way::NoInput) => Preimages::Missing,
        (_, Way::Bad) => Preimages::Bad,
        _ => Preimages::Good,
    };
    Vote {
        finding: finding_of(id, who, way),
        preimages,
    }
}

pub fn commit(id: AuditId, who: &AccountId32) -> frame_support::dispatch::DispatchResultWithPostInfo {
    let finding = finding_of(id, who, way_of(who));
    Attestation::commit(by(who), id, ballot(id, audit(id).stage, who, &finding, &SALT))
}

pub fn publish(id: AuditId) {
    let record = audit(id);
    let sketch = if way_of(&record.host) == Way::Cheats {
        falsehood(&record)
    } else {
        truth(&record)
    };
    world(|w| w.published.insert((id, record.stage), sketch));
    frame_support::assert_ok!(Attestation::publish(by(&record.host), id, sketch));
}

pub fn reveal(id: AuditId, who: &AccountId32) -> frame_support::dispatch::DispatchResultWithPostInfo {
    Attestation::reveal(by(who), id, vote_of(id, who, way_of(who)), SALT)
}

pub fn everybody() -> Vec<AccountId32> {
    let mut all: Vec<_> = (0..40).map(verifier).collect();
    all.extend([host(), other_host()]);
    all
}

/// Everybody does what the chain waits for, as is their way.
pub fn act() {
    for who in everybody() {
        for item in Attestation::duties(who.clone(), 256) {
            let (id, way) = (item.audit, way_of(&who));
            // Somebody before may have changed it.
            match (item.duty, way) {
                (Duty::Open, Way::Absent) | (Duty::Publish, Way::Stops) => (),
                (Duty::Commit, Way::Absent) | (Duty::Reveal, Way::Stops) => (),
                (Duty::GiveInput | Duty::GivePreimages, _) => (),
                (Duty::Open, _) => open(id),
                (Duty::Publish, _) => publish(id),
                (Duty::Commit, _) => {
                    frame_support::assert_ok!(commit(id, &who));
                }
                (Duty::Reveal, _) => {
                    frame_support::assert_ok!(reveal(id, &who));
                }
            }
        }
    }
}

// --- time ------------------------------------------------------------------------------------------------------------

pub fn next_block() {
    let now = System::block_number() + 1;
    System::set_block_number(now);
    if EpochsRun::get() {
        Epoch::set(now / EPOCH_BLOCKS);
    }
    NowMs::set(NowMs::get() + 100);
    let before = CurrentRound::<Test>::get();
    let used = Attestation::on_initialize(now);
    let mut allowed = AgendaWeight::get();
    if CurrentRound::<Test>::get() != before || now == 1 {
        allowed = allowed.saturating_add(<() as WeightInfo>::begin_round(40));
    }
    assert!(used.all_lte(allowed), "block {now} used {used} of {allowed}");
}

pub fn run_to(block: u64) {
    while System::block_number() < block {
        next_block();
    }
}

/// Goes to the first block of the round.
pub fn run_to_round(round: u32) {
    while CurrentRound::<Test>::get() < round {
        next_block();
    }
}

/// Goes on, everybody doing their part, until nothing is open.
pub fn run_until_done() {
    for _ in 0..100 {
        act();
        if crate::OpenAudits::<Test>::get() == 0 {
            return;
        }
        next_block();
    }
    panic!("audits do not end");
}

pub fn verdict(id: AuditId) -> Verdict {
    match audit(id).state {
        AuditState::Finished(verdict) => verdict,
        open => panic!("the audit is open: {open:?}"),
    }
}

pub fn events() -> Vec<pallet_attestation::Event<Test>> {
    System::events()
        .into_iter()
        .filter_map(|r| {
            if let RuntimeEvent::Attestation(event) = r.event {
                Some(event)
            } else {
                None
            }
        })
        .collect()
}

/// What was slashed of the account, in all.
pub fn slashed(who: &AccountId32) -> u128 {
    world(|w| w.slashes.iter().filter(|s| s.who == *who).map(|s| s.amount).sum())
}

pub fn conduct_of(who: &AccountId32) -> Vec<Conduct> {
    world(|w| {
        let records = w.conduct.iter().filter(|(account, _)| account == who);
        records.map(|(_, conduct)| *conduct).collect()
    })
}

pub fn told() -> Vec<Conduct> {
    world(|w| w.verdicts.iter().map(|(_, _, conduct)| *conduct).collect())
}

// --- setup -----------------------------------------------------------------------------------------------------------

pub fn add_verifiers(count: u32) {
    world(|w| {
        for n in 0..count {
            w.verifiers
                .insert(verifier(n), vec![RuntimeClass::CpuFloat, RuntimeClass::CpuInt8]);
            w.stakes.insert(verifier(n), STAKE);
        }
    });
}

/// A chain with this many verifiers whose hosts have a reputation of 0, so that every receipt is audited.
pub fn new_test_ext_with(verifiers: u32) -> sp_io::TestExternalities {
    // Tests can share a thread.
    world(|w| *w = World::default());
    AgendaWeight::set(Weight::MAX);
    MinQuorum::set(2);
    MaxOpenAudits::set(64);
    Epoch::set(0);
    Luck::set(0);
    NowMs::set(1_000_000);
    EpochsRun::set(true);
    add_verifiers(verifiers);
    world(|w| {
        w.versions.insert(MODEL, version());
        for host in [host(), other_host()] {
            w.stakes.insert(host.clone(), STAKE);
            w.scores.insert(host, Perbill::zero());
        }
    });
    let mut storage = frame_system::GenesisConfig::<Test>::default()
        .build_storage()
        .unwrap();
    let mut balances: Vec<_> = everybody()
        .into_iter()
        .chain([client(), stranger()])
        .map(|who| (who, 1_000 * MESH))
        .collect();
    balances.push((pool(), POOL_FUNDS));
    pallet_balances::GenesisConfig::<Test> {
        balances,
        ..Default::default()
    }
    .assimilate_storage(&mut storage)
    .unwrap();
    let mut ext = sp_io::TestExternalities::from(storage);
    ext.execute_with(|| {
        frame_system::BlockHash::<Test>::insert(0, H256::repeat_byte(9));
        run_to(1);
    });
    ext
}

#[cfg(feature = "runtime-benchmarks")]
pub fn benchmark_ext() -> sp_io::TestExternalities {
    let mut ext = new_test_ext_with(0);
    ext.register_extension(sp_keystore::KeystoreExt::new(
        sp_keystore::testing::MemoryKeystore::new(),
    ));
    ext.execute_with(|| EpochsRun::set(false));
    ext
}

/// Runs a test and checks afterwards that the state is sound, that no planck was made or lost, and that no version is
/// kept for audits that are over.
pub fn build_and_execute(verifiers: u32, test: impl FnOnce()) {
    new_test_ext_with(verifiers).execute_with(|| {
        let issuance = Balances::total_issuance();
        test();
        check();
        assert_eq!(Balances::total_issuance(), issuance);
    });
}

/// What must hold at any time.
pub fn check() {
    Attestation::do_try_state().unwrap();
    let seated = Audits::<Test>::iter_values()
        .filter(|a| !matches!(a.state, AuditState::Finished(_)) && !a.members.is_empty())
        .count();
    let uses = world(|w| w.uses.values().sum::<u32>());
    assert_eq!(uses as usize, seated);
}
