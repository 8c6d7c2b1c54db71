//! Measures what an audit sees: honest ways of running real models against frauds, compared by sketches.
//!
//! ```text
//! scripts/setup --models && . scripts/env.sh
//! cargo run -p llmesh-engine --example detect -- [--samples N] [--seeds N] [--runs N] [--no-batches] [MODEL...]
//! ```
//!
//! For each model (magika, silero-vad, minilm; all that are there without a name) it finds the probe and calibrates the
//! tolerance on samples like real requests: files of this repository, sounds, token sequences. Then hosts run the samples
//! in honest ways and on changed weights, and each run is compared to a verifier's under `--seeds` random seeds. At last
//! `--runs` honest runs of silero-vad on fresh inputs are each audited once. What it prints goes into docs/models.md.

use llmesh_engine::{
    CalibrationOptions, DynamicDims, Engine, EngineConfig, Execution, Executor, ModelRef, ModelStore,
    Optimisation, RunRequest, find_probe, float_weights,
};
use llmesh_primitives::{ElementType, Sketch, Tensor, Tensors};
use llmesh_proofs::sketch::{close, sketch};
use sp_core::H256;
use sp_runtime::Perbill;
use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

type Anything<T> = Result<T, Box<dyn Error>>;

/// A stream of numbers that is the same for the same key.
struct Numbers(blake3::OutputReader);

impl Numbers {
    fn new(key: &str, n: usize) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(key.as_bytes());
        hasher.update(&(n as u64).to_le_bytes());
        Self(hasher.finalize_xof())
    }

    fn next(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    /// Uniform between 0 and 1.
    fn unit(&mut self) -> f32 {
        (self.next() >> 8) as f32 / 16_777_216.0
    }

    /// About normal, with mean 0 and variance 1: a sum of four.
    fn normal(&mut self) -> f32 {
        ((0..4).map(|_| self.unit()).sum::<f32>() - 2.0) * 3f32.sqrt()
    }

    fn seed(&mut self) -> H256 {
        let mut bytes = [0; 32];
        self.0.fill(&mut bytes);
        H256(bytes)
    }
}

fn floats(name: &str, shape: &[u32], values: impl IntoIterator<Item = f32>) -> Tensor {
    let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
    Tensor::new(name, ElementType::F32, shape, bytes).expect("the sample fits")
}

fn longs(name: &str, shape: &[u32], values: impl IntoIterator<Item = i64>) -> Tensor {
    let bytes = values.into_iter().flat_map(i64::to_le_bytes).collect();
    Tensor::new(name, ElementType::I64, shape, bytes).expect("the sample fits")
}

fn tensors(list: Vec<Tensor>) -> Tensors {
    list.try_into().expect("few tensors")
}

/// What magika's model takes of a file: 1024 bytes of the start and of the end, without white space at the edges.
fn file_features(file: &[u8]) -> Vec<i32> {
    const HALF: usize = 1024;
    const PADDING: i32 = 256;
    let blank = |b: &u8| matches!(b, 9..=13 | 32);
    let head = &file[..file.len().min(4096)];
    let head = &head[head.iter().position(|b| !blank(b)).unwrap_or(head.len())..];
    let tail = &file[file.len().saturating_sub(4096)..];
    let tail = &tail[..tail.iter().rposition(|b| !blank(b)).map_or(0, |i| i + 1)];
    let tail = &tail[tail.len().saturating_sub(HALF)..];
    let mut numbers: Vec<i32> = head.iter().take(HALF).map(|b| i32::from(*b)).collect();
    numbers.resize(2 * HALF - tail.len(), PADDING);
    numbers.extend(tail.iter().map(|b| i32::from(*b)));
    numbers
}

/// Files of this repository, `count` of them, as evenly over all of them as can be.
fn files(count: usize) -> Anything<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    // Asked for at run time: a target folder can be shared by several checkouts.
    let own = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("run it with cargo run")?;
    let mut folders = vec![PathBuf::from(own).join("../..")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                if !["target", "node_modules", ".git"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if path.metadata()?.len() > 0 {
                found.push(path);
            }
        }
    }
    found.sort();
    let step = (found.len() / count.max(1)).max(1);
    let chosen = found.into_iter().step_by(step).take(count);
    Ok(chosen.map(std::fs::read).collect::<Result<_, _>>()?)
}

/// A piece of sound of 36 ms: a chord that rises, with noise.
fn sound(n: usize) -> Tensors {
    let mut numbers = Numbers::new("sound", n);
    let (pitch, loud, noise) = (
        80.0 + 200.0 * numbers.unit(),
        numbers.unit().powi(2),
        0.1 * numbers.unit().powi(2),
    );
    let samples: Vec<f32> = (0..576)
        .map(|i| {
            let turn = std::f32::consts::TAU * pitch * i as f32 / 16_000.0;
            let chord: f32 = (1..8).map(|k| (turn * k as f32).sin() / k as f32).sum();
            loud * 0.3 * chord + noise * numbers.normal()
        })
        .collect();
    let state: Vec<f32> = (0..256).map(|_| 0.3 * numbers.normal()).collect();
    tensors(vec![
        floats("input", &[1, 576], samples),
        floats("state", &[2, 1, 128], state),
        longs("sr", &[], [16_000]),
    ])
}

/// A sequence of 32 tokens of which the last may be padding.
fn sentence(n: usize) -> Tensors {
    const LENGTH: usize = 32;
    let mut numbers = Numbers::new("sentence", n);
    let words = 4 + numbers.next() as usize % (LENGTH - 5);
    let ids: Vec<i64> = (0..LENGTH)
        .map(|i| match i {
            0 => 101,
            i if i <= words => 1000 + i64::from(numbers.next() % 28_000),
            i if i == words + 1 => 102,
            _ => 0,
        })
        .collect();
    let shape = [1, LENGTH as u32];
    tensors(vec![
        longs("input_ids", &shape, ids),
        longs(
            "attention_mask",
            &shape,
            (0..LENGTH).map(|i| i64::from(i <= words + 1)),
        ),
        longs("token_type_ids", &shape, [0; LENGTH]),
    ])
}

fn samples(model: &str, count: usize) -> Anything<Vec<Tensors>> {
    Ok(match model {
        "magika" => files(count)?
            .iter()
            .map(|file| {
                let data = file_features(file).iter().flat_map(|n| n.to_le_bytes()).collect();
                let input =
                    Tensor::new("bytes", ElementType::I32, &[1, 2048], data).expect("the sample fits");
                tensors(vec![input])
            })
            .collect(),
        "silero-vad" => (0..count).map(sound).collect(),
        "minilm" => (0..count).map(sentence).collect(),
        other => return Err(format!("there are no samples for {other}").into()),
    })
}

/// A way of changing the weights of a model.
type Change = fn(&mut [f32], &mut Numbers);

fn noise(share: f32) -> impl Fn(&mut [f32], &mut Numbers) {
    move |weights, numbers| {
        for w in weights {
            *w *= 1.0 + share * numbers.normal();
        }
    }
}

fn shuffled(weights: &mut [f32], numbers: &mut Numbers) {
    for i in (1..weights.len()).rev() {
        weights.swap(i, numbers.next() as usize % (i + 1));
    }
}

/// Rounds to as many levels as fit in so many bits, with one scale for the tensor.
fn rounded(weights: &mut [f32], bits: i32) {
    let largest = weights.iter().fold(0f32, |m, w| m.max(w.abs()));
    let scale = largest / (2f32.powi(bits - 1) - 1.0);
    if scale > 0.0 {
        for w in weights {
            *w = (*w / scale).round() * scale;
        }
    }
}

/// Rounds to the 11 significant bits of half precision; its range is not looked at.
fn half(weights: &mut [f32], _: &mut Numbers) {
    for w in weights {
        let bits = w.to_bits();
        *w = f32::from_bits((bits + 0xfff + (bits >> 13 & 1)) & !0x1fff);
    }
}

const FRAUDS: [(&str, Change); 7] = [
    ("another model (weights shuffled)", shuffled),
    ("weights rounded to 4 bits", |w, _| rounded(w, 4)),
    ("weights rounded to int8", |w, _| rounded(w, 8)),
    ("weights with 5 % noise", |w, n| noise(0.05)(w, n)),
    ("weights with 1 % noise", |w, n| noise(0.01)(w, n)),
    ("weights with 0.1 % noise", |w, n| noise(0.001)(w, n)),
    ("weights rounded to half precision", half),
];

/// The model with other weights. Small tensors stay: they are shapes, factors and the like.
fn changed(model: &[u8], change: Change) -> Anything<Vec<u8>> {
    const SMALLEST: usize = 16 * 4;
    let mut bytes = model.to_vec();
    for (n, weights) in float_weights(model)?.into_iter().enumerate() {
        if weights.bytes.len() < SMALLEST {
            continue;
        }
        let stored = bytes.get_mut(weights.bytes).ok_or("weights beyond the file")?;
        let chunks = stored.as_chunks_mut::<4>().0;
        let mut values: Vec<f32> = chunks.iter().map(|b| f32::from_le_bytes(*b)).collect();
        change(&mut values, &mut Numbers::new("weights", n));
        for (to, from) in chunks.iter_mut().zip(values) {
            *to = from.to_le_bytes();
        }
    }
    Ok(bytes)
}

/// What is compared of a run.
type Probe = Vec<(ElementType, Vec<u8>)>;

fn probe(run: &Execution) -> Probe {
    run.compared().map(|(ty, bytes)| (ty, bytes.to_vec())).collect()
}

fn sketch_of(seed: H256, probe: &Probe) -> Sketch {
    sketch(seed, probe.iter().map(|(ty, bytes)| (*ty, bytes.as_slice())))
}

/// Relative L2 difference of FP32 probes.
fn distance(verifier: &Probe, host: &Probe) -> f64 {
    let numbers = |p: &Probe| -> Vec<f64> {
        p.iter()
            .flat_map(|(_, bytes)| bytes.as_chunks::<4>().0)
            .map(|b| f64::from(f32::from_le_bytes(*b)))
            .collect()
    };
    let (v, h) = (numbers(verifier), numbers(host));
    let apart: f64 = v.iter().zip(&h).map(|(a, b)| (a - b) * (a - b)).sum();
    let length: f64 = v.iter().map(|a| a * a).sum();
    (apart / length).sqrt()
}

/// An engine with a store of its own.
struct Machine {
    engine: Engine,
    runtime: tokio::runtime::Runtime,
}

impl Machine {
    fn new(store: &Path, config: EngineConfig) -> Anything<Self> {
        Ok(Self {
            engine: Engine::start(ModelStore::open(store)?, config)?,
            runtime: tokio::runtime::Builder::new_current_thread().build()?,
        })
    }

    fn run(&self, model: &ModelRef, inputs: &Tensors) -> Anything<Probe> {
        let request = RunRequest::new(model.clone(), inputs.clone()).with_probe();
        Ok(probe(&self.runtime.block_on(self.engine.execute(request))?))
    }

    fn run_all(&self, model: &ModelRef, samples: &[Tensors]) -> Anything<Vec<Probe>> {
        samples.iter().map(|s| self.run(model, s)).collect()
    }

    /// Runs samples of one shape together along the first dimension and takes the results apart.
    fn run_batches(&self, model: &ModelRef, samples: &[Tensors], size: usize) -> Anything<Vec<Probe>> {
        let mut parts = Vec::new();
        for group in samples.chunks_exact(size) {
            let first = group.first().ok_or("no sample")?;
            let joined = first
                .iter()
                .map(|t| {
                    let mut shape = t.shape.to_vec();
                    if let Some(rows) = shape.first_mut() {
                        *rows *= size as u32;
                    }
                    let data = group
                        .iter()
                        .flat_map(|s| s.iter().find(|other| other.name == t.name))
                        .flat_map(|t| t.data.iter().copied())
                        .collect();
                    Tensor::new(t.name_str(), t.element_type, &shape, data)
                })
                .collect::<Result<Vec<_>, _>>()
                .map_err(|e| e.to_string())?;
            for (ty, bytes) in self.run(model, &tensors(joined))? {
                parts.extend(
                    bytes
                        .chunks_exact(bytes.len() / size)
                        .map(|b| vec![(ty, b.to_vec())]),
                );
            }
        }
        Ok(parts)
    }
}

/// Audits each run under several seeds and prints a row.
fn row(name: &str, verifier: &[Probe], host: &[Probe], tolerance: Perbill, seeds: usize) {
    let mut distances: Vec<f64> = verifier.iter().zip(host).map(|(v, h)| distance(v, h)).collect();
    distances.sort_by(f64::total_cmp);
    let (mut audits, mut differ) = (0usize, 0usize);
    for (n, (v, h)) in verifier.iter().zip(host).enumerate() {
        let mut numbers = Numbers::new("seeds", n);
        for _ in 0..seeds {
            let seed = numbers.seed();
            audits += 1;
            differ += usize::from(!close(&sketch_of(seed, v), &sketch_of(seed, h), tolerance));
        }
    }
    let at = |i: usize| distances.get(i).copied().unwrap_or_default();
    println!(
        "| {name} | {:.1e} | {:.1e} | {:.1e} | {audits} | {:.2} % |",
        at(0),
        at(distances.len() / 2),
        at(distances.len().saturating_sub(1)),
        100.0 * differ as f64 / audits.max(1) as f64
    );
}

struct Options {
    samples: usize,
    seeds: usize,
    runs: usize,
    no_batches: bool,
    models: Vec<String>,
}

fn options() -> Anything<Options> {
    let mut options = Options {
        samples: 96,
        seeds: 50,
        runs: 100_000,
        no_batches: false,
        models: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let target = match argument.as_str() {
            "--samples" => &mut options.samples,
            "--seeds" => &mut options.seeds,
            "--runs" => &mut options.runs,
            "--no-batches" => {
                options.no_batches = true;
                continue;
            }
            name if !name.starts_with('-') => {
                options.models.push(name.to_owned());
                continue;
            }
            other => return Err(format!("unknown option {other}").into()),
        };
        *target = arguments.next().ok_or("a number is missing")?.parse()?;
    }
    Ok(options)
}

/// A model that is at hand, as it would be published.
struct Subject {
    bytes: Vec<u8>,
    reference: ModelRef,
    tolerance: Perbill,
    batches: bool,
    samples: Vec<Tensors>,
}

fn subject(
    name: &str,
    file: &Path,
    verifier: &Machine,
    count: usize,
    calibration: &CalibrationOptions,
) -> Anything<Subject> {
    let bytes = std::fs::read(file)?;
    let content_id = verifier.engine.store().import(file, None)?.content_id;
    let named: &[(&str, u32)] = match name {
        "silero-vad" => &[
            ("sequence", 576),
            ("AddstateN_dim_0", 2),
            ("AddstateN_dim_2", 128),
        ],
        _ => &[("sequence", 64)],
    };
    let dims = DynamicDims {
        named: named.iter().map(|(dim, n)| ((*dim).to_owned(), *n)).collect(),
        default: 8,
    };
    let (signature, _) = verifier.engine.inspect(content_id, &dims)?;
    let choice = find_probe(&bytes)?;
    let reference = ModelRef {
        content_id,
        signature: Arc::new(signature),
        probe: choice.name().to_owned(),
    };
    let samples = samples(name, count)?;
    let found = verifier
        .engine
        .calibrate(&reference, samples.clone(), calibration)?;
    let tolerance = f64::from(found.tolerance.deconstruct()) / 1e9;
    println!("\n### {name}\n\nProbe `{}`: {}.", choice.name(), choice.because());
    println!(
        "{} samples, {} elements, {:.1?} a run; 99.9th percentile of honest differences {:.1e}, tolerance {tolerance:.1e}.",
        found.samples, found.elements, found.run, found.p999
    );
    for skipped in &found.skipped {
        println!("- {skipped}");
    }
    for v in &found.variations {
        println!(
            "- {}: {} runs, median {:.1e}, largest {:.1e}",
            v.name, v.runs, v.median, v.largest
        );
    }
    Ok(Subject {
        bytes,
        reference,
        tolerance: found.tolerance,
        batches: found.batches,
        samples,
    })
}

fn hosts() -> Vec<(&'static str, EngineConfig)> {
    let with = |intra_threads, optimisation| EngineConfig {
        intra_threads,
        optimisation,
        ..EngineConfig::default()
    };
    vec![
        ("honest: as a verifier runs it", with(1, Optimisation::All)),
        ("honest: 2 threads", with(2, Optimisation::All)),
        ("honest: 4 threads", with(4, Optimisation::All)),
        ("honest: basic graph optimisation", with(1, Optimisation::Basic)),
        (
            "honest: no graph optimisation, 2 threads",
            with(2, Optimisation::Disabled),
        ),
    ]
}

fn main() -> Anything<()> {
    let options = options()?;
    let cache =
        std::env::var_os("LLMESH_CACHE").ok_or("LLMESH_CACHE is not set: `. scripts/env.sh` first")?;
    let models = PathBuf::from(cache).join("models");
    let folder = tempfile::tempdir()?;
    let verifier = Machine::new(folder.path(), EngineConfig::verifier())?;
    let mut calibration = CalibrationOptions::default();
    if options.no_batches {
        calibration.batches.clear();
    }
    let mut last = None;
    for name in ["magika", "minilm", "silero-vad"] {
        let file = models.join(name).join("model.onnx");
        let wanted = options.models.is_empty() || options.models.iter().any(|m| m == name);
        if !wanted || !file.is_file() {
            println!(
                "\n{name} is left out{}",
                if wanted {
                    ": run scripts/setup --models"
                } else {
                    ""
                }
            );
            continue;
        }
        let subject = subject(name, &file, &verifier, options.samples, &calibration)?;
        let truth = verifier.run_all(&subject.reference, &subject.samples)?;
        println!(
            "\n| Host | least | median | largest difference | audits | taken for a mismatch |\n|---|---|---|---|---|---|"
        );
        let (tolerance, seeds) = (subject.tolerance, options.seeds);
        for (host, config) in hosts() {
            let host_machine = Machine::new(folder.path(), config)?;
            let runs = host_machine.run_all(&subject.reference, &subject.samples)?;
            row(host, &truth, &runs, tolerance, seeds);
        }
        // silero-vad's state has its batch elsewhere.
        if subject.batches && name != "silero-vad" {
            let runs = verifier.run_batches(&subject.reference, &subject.samples, 8)?;
            row("honest: batches of 8", &truth, &runs, tolerance, seeds);
        }
        for (fraud, change) in FRAUDS {
            let path = folder.path().join("changed.onnx");
            std::fs::write(&path, changed(&subject.bytes, change)?)?;
            let content_id = verifier.engine.store().import(&path, None)?.content_id;
            let reference = ModelRef {
                content_id,
                ..subject.reference.clone()
            };
            let runs = verifier.run_all(&reference, &subject.samples)?;
            row(fraud, &truth, &runs, tolerance, seeds);
            std::fs::remove_file(verifier.engine.store().path(content_id))?;
        }
        last = Some((name, subject));
    }
    if let Some((name, subject)) = last.filter(|(name, _)| *name == "silero-vad" && options.runs > 0) {
        honest_runs(name, &subject, &verifier, folder.path(), options.runs)?;
    }
    Ok(())
}

/// Audits as many honest runs, each of an input and a seed of its own.
fn honest_runs(name: &str, subject: &Subject, verifier: &Machine, store: &Path, runs: usize) -> Anything<()> {
    let started = Instant::now();
    let machines = hosts()
        .into_iter()
        .map(|(_, config)| Ok((config.intra_threads, Machine::new(store, config)?)))
        .collect::<Anything<Vec<_>>>()?;
    let mut numbers = Numbers::new("honest runs", 0);
    let (mut differ, mut largest) = (0usize, 0f64);
    for n in 0..runs {
        let input = sound(1_000_000 + n);
        // Threads of ONNX Runtime wait by spinning: they run every tenth time only.
        let spins = n % 10 == 9;
        let kind: Vec<&Machine> = machines
            .iter()
            .filter(|(threads, _)| (*threads > 1) == spins)
            .map(|(_, machine)| machine)
            .collect();
        let Some(host) = kind.get(n / 10 % kind.len().max(1)) else {
            break;
        };
        if n % 10_000 == 9_999 {
            eprintln!("{} of {runs} runs", n + 1);
        }
        let (v, h) = (
            verifier.run(&subject.reference, &input)?,
            host.run(&subject.reference, &input)?,
        );
        let seed = numbers.seed();
        largest = largest.max(distance(&v, &h));
        differ += usize::from(!close(
            &sketch_of(seed, &v),
            &sketch_of(seed, &h),
            subject.tolerance,
        ));
    }
    println!(
        "\n{runs} honest runs of {name}, each of its own input, audited once: {differ} taken for a mismatch; largest \
         difference {largest:.1e}; {:.0?}",
        started.elapsed()
    );
    Ok(())
}
