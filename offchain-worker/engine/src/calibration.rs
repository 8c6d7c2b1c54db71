//! Measures how reproducible a model is, and derives the tolerance that its manifest states.
//!
//! The reference is a run as a verifier does it ([`crate::EngineConfig::verifier`]). Each sample is run again in the
//! ways that an honest host may choose: more threads, other graph optimisations, in a batch with other samples. What is
//! measured is the relative L2 difference of the probe, |host - verifier| / |verifier|, on the grid of 2^-20 on which
//! sketches are made. The tolerance is the 99.9th percentile times a margin, rounded up to a millionth, and never below
//! a floor.
//!
//! The margin is there because a sketch estimates a difference from 15 random sums: at half the tolerance it takes an
//! honest run for a wrong one once in four million times, at the tolerance itself every second time.
//!
//! Where batches differ by more than the registry allows but single runs do not, the tolerance is that of single runs, and
//! [`Calibration::batches`] is false.
//!
//! ONNX Runtime chooses its kernels by the CPU that it runs on and has no switch for it, so the levels of other CPUs can
//! not be measured here; [`Calibration::skipped`] says so. The floor is there for them.

use crate::{
    EngineError, Execution, ModelRef, RunRequest,
    convert::{self, RawOutput},
    samples::{self, RANGES, Values},
    session::{Limits, Loaded, Optimisation, Setup},
    watchdog::Watchdog,
};
use llmesh_primitives::{ElementType, Tensor, Tensors};
use ort::{
    environment::Environment,
    session::{Session, SessionInputValue},
    value::ValueType,
};
use sp_runtime::Perbill;
use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

/// A grid unit, and the most units, of sketches.
const GRID: f64 = 1_048_576.0;
/// The quantile of all measured differences that counts.
const QUANTILE: f64 = 0.999;

/// How much is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibrationOptions {
    /// Samples to make up when none are given, one of zeros among them.
    pub samples: usize,
    /// What made-up samples are drawn from.
    pub seed: u64,
    /// Intra-op threads to try beside one.
    pub threads: Vec<usize>,
    /// Sizes of batches to try, where the model leaves the first dimension open; none when hosts are to run requests one
    /// by one, as this engine does.
    pub batches: Vec<usize>,
    /// What the 99.9th percentile is multiplied by.
    pub margin: f64,
    /// The tolerance is never below this.
    pub floor: Perbill,
    /// The registry's limit; a model that needs more is refused.
    pub limit: Perbill,
    /// About how long all runs together may take; fewer samples are used for slow models, but no fewer than four.
    pub time: Duration,
}

impl Default for CalibrationOptions {
    fn default() -> Self {
        Self {
            samples: 64,
            seed: 1,
            threads: vec![2, 4],
            batches: vec![2, 4, 8],
            margin: 2.0,
            floor: Perbill::from_parts(20_000),
            limit: Perbill::from_parts(1_000_000),
            time: Duration::from_secs(120),
        }
    }
}

/// The differences found in one way of running.
#[derive(Clone, Debug, PartialEq)]
pub struct Variation {
    /// The way in words, like `2 threads`.
    pub name: String,
    /// Runs that were compared.
    pub runs: usize,
    pub median: f64,
    pub largest: f64,
}

/// What a calibration found.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// What to publish.
    pub tolerance: Perbill,
    /// 99.9th percentile of all relative differences.
    pub p999: f64,
    /// Samples that were used.
    pub samples: usize,
    /// Whether the samples were made up.
    pub made_up: bool,
    /// Elements of the probe at the first sample, or of all outputs without a probe.
    pub elements: usize,
    /// Median length of a verifier's run.
    pub run: Duration,
    /// Each way of running that was measured.
    pub variations: Vec<Variation>,
    /// Whether the tolerance leaves room for hosts that run several requests in one batch.
    pub batches: bool,
    /// What could not be measured or is not allowed for, and why.
    pub skipped: Vec<String>,
}

/// Why no tolerance can be stated.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// The model can not be run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Honest runs differ too much.
    #[error(
        "not reproducible enough: the 99.9th percentile of the relative difference between honest runs is {p999:.2e}, with \
         the margin {needed:.2e}; the registry's limit is {limit:.2e}. The widest: {widest}"
    )]
    NotReproducible {
        p999: f64,
        needed: f64,
        limit: f64,
        widest: String,
    },
    /// The probe has values that can not be compared.
    #[error(
        "sample {sample}: the probe has {count} values that are infinite or not a number: choose another probe"
    )]
    NotFinite { sample: usize, count: usize },
    /// The probe has values beyond the grid of sketches.
    #[error("sample {sample}: the probe has values beyond 2^20, where sketches end: choose another probe")]
    OutOfRange { sample: usize },
    /// The probe says nothing.
    #[error("the probe is zero for every sample: there is nothing to compare; choose another probe")]
    AllZero,
    /// No sample could be made up.
    #[error("no made-up input runs, so give samples of real ones: {0}")]
    NoSamples(EngineError),
    /// A given sample does not fit.
    #[error("sample {sample} does not fit the model: {reason}")]
    BadSample {
        sample: usize,
        reason: llmesh_primitives::TensorError,
    },
}

/// What is compared of one run: the tensors' bytes in order.
struct Compared {
    tensors: Vec<Piece>,
    elapsed: Duration,
}

struct Piece {
    element_type: ElementType,
    shape: Vec<u32>,
    data: Vec<u8>,
}

impl Compared {
    fn of(run: &Execution) -> Self {
        let tensors = match &run.probe {
            Some(probe) => vec![Piece {
                element_type: probe.element_type,
                shape: probe.shape.to_vec(),
                data: probe.data.to_vec(),
            }],
            None => run
                .outputs
                .iter()
                .map(|t| Piece {
                    element_type: t.element_type,
                    shape: t.shape.to_vec(),
                    data: t.data.to_vec(),
                })
                .collect(),
        };
        Self {
            tensors,
            elapsed: run.elapsed,
        }
    }
}

/// Inputs of a run that need not fit the signature: a batch of several samples.
struct RawInput {
    name: String,
    element_type: ElementType,
    shape: Vec<u32>,
    data: Vec<u8>,
}

impl From<&Tensor> for RawInput {
    fn from(tensor: &Tensor) -> Self {
        Self {
            name: tensor.name_str().to_owned(),
            element_type: tensor.element_type,
            shape: tensor.shape.to_vec(),
            data: tensor.data.to_vec(),
        }
    }
}

/// What a calibration works with.
pub(crate) struct Bench<'a> {
    pub environment: Environment,
    pub bytes: Vec<u8>,
    pub model: &'a ModelRef,
    pub limits: Limits,
    pub watchdog: &'a Watchdog,
}

impl Bench<'_> {
    fn load(&self, setup: Setup) -> Result<Loaded, EngineError> {
        Loaded::load(&self.environment, self.bytes.clone(), self.model, setup)
    }

    /// Runs once and copies what is compared.
    fn run(&self, loaded: &mut Loaded, inputs: &[RawInput]) -> Result<Compared, EngineError> {
        let mut values: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
        for input in inputs {
            let value = convert::raw_to_ort(&input.name, input.element_type, &input.shape, &input.data)?;
            values.push((Cow::Borrowed(input.name.as_str()), value.into()));
        }
        let signature = &self.model.signature;
        let names = match self.model.probe.as_str() {
            "" => signature
                .outputs
                .iter()
                .map(|s| std::str::from_utf8(&s.name).unwrap_or_default())
                .collect(),
            probe => vec![probe],
        };
        loaded.run_raw(values, self.limits.time, self.watchdog, |outputs, elapsed| {
            let mut tensors = Vec::with_capacity(names.len());
            for name in names {
                let value = outputs.get(name).ok_or_else(|| EngineError::Output {
                    name: name.into(),
                    reason: "it is not there".into(),
                })?;
                let raw = RawOutput::new(name, value)?;
                // A batch has more than one run may have, within reason.
                let (size, limit) = (raw.data.len() as u64, self.limits.probe_bytes.saturating_mul(64));
                if size > limit {
                    return Err(EngineError::ProbeTooLarge { size, limit });
                }
                tensors.push(Piece {
                    element_type: raw.element_type,
                    data: raw.data.to_vec(),
                    shape: raw.shape,
                });
            }
            Ok(Compared { tensors, elapsed })
        })
    }

    /// Samples that the model can run, with integers as large as it takes.
    fn make_up(
        &self,
        reference: &mut Loaded,
        options: &CalibrationOptions,
    ) -> Result<Vec<Tensors>, CalibrationError> {
        let signature = &self.model.signature;
        let mut ranges = vec![1; signature.inputs.len()];
        let mut runs = |ranges: &[u32]| {
            let sample = samples::draw(
                reference.session(),
                signature,
                ranges,
                options.seed,
                1,
                Values::Random,
            )?;
            let inputs: Vec<RawInput> = sample.iter().map(RawInput::from).collect();
            self.run(reference, &inputs).map(drop)
        };
        runs(&ranges).map_err(CalibrationError::NoSamples)?;
        for i in 0..ranges.len() {
            for range in RANGES {
                let mut wider = ranges.clone();
                if let Some(r) = wider.get_mut(i) {
                    *r = range;
                }
                if runs(&wider).is_ok() {
                    ranges = wider;
                    break;
                }
            }
        }
        (0..options.samples.max(4))
            .map(|n| {
                let values = if n == 0 { Values::Zero } else { Values::Random };
                let session = reference.session();
                samples::draw(session, signature, &ranges, options.seed, n, values).map_err(Into::into)
            })
            .collect()
    }

    pub fn calibrate(
        &self,
        given: Vec<Tensors>,
        options: &CalibrationOptions,
    ) -> Result<Calibration, CalibrationError> {
        let started = Instant::now();
        let mut reference = self.load(Setup::with_threads(1))?;
        let made_up = given.is_empty();
        let mut samples = if made_up {
            self.make_up(&mut reference, options)?
        } else {
            for (sample, inputs) in given.iter().enumerate() {
                self.model
                    .signature
                    .check_inputs(inputs)
                    .map_err(|reason| CalibrationError::BadSample { sample, reason })?;
            }
            given
        };
        let setups = setups(options);
        let ways = 1 + setups.len() + options.batches.len();

        let mut baseline = Vec::with_capacity(samples.len());
        for (n, sample) in samples.iter().enumerate() {
            if n >= 4 && started.elapsed() > options.time / ways as u32 {
                break;
            }
            // Here the outputs are checked against the signature too, as in every run of a worker.
            let request = RunRequest::new(self.model.clone(), sample.clone()).with_probe();
            let compared = Compared::of(&reference.run(&request, self.limits, self.watchdog)?);
            check(n, &compared)?;
            baseline.push(compared);
        }
        samples.truncate(baseline.len());
        if baseline
            .iter()
            .all(|c| c.tensors.iter().all(|t| numbers(t).iter().all(|x| *x == 0.0)))
        {
            return Err(CalibrationError::AllZero);
        }

        let (mut alone, mut together) = (Vec::new(), Vec::new());
        let mut variations = Vec::new();
        let mut skipped = vec![
            "other CPUs: ONNX Runtime chooses its kernels by the CPU and has no switch for it; calibrate on another \
             machine too where it matters"
                .to_owned(),
        ];
        let mut note = |name: String, found: Vec<f64>, all: &mut Vec<f64>| {
            if let Some(variation) = Variation::of(name, &found) {
                tracing::debug!(?variation, "measured");
                variations.push(variation);
            }
            all.extend(found);
        };
        for (name, setup) in setups {
            let mut loaded = self.load(setup)?;
            let mut found = Vec::with_capacity(samples.len());
            for (sample, expected) in samples.iter().zip(&baseline) {
                let inputs: Vec<RawInput> = sample.iter().map(RawInput::from).collect();
                found.push(difference(
                    &expected.tensors,
                    &self.run(&mut loaded, &inputs)?.tensors,
                ));
            }
            note(name, found, &mut alone);
        }
        for &size in &options.batches {
            match self.batches(&mut reference, &samples, &baseline, size) {
                Ok(found) => note(format!("batches of {size}"), found, &mut together),
                Err(reason) => {
                    skipped.push(format!("batches of {size}: {reason}"));
                    // Another size would fail for the same reason.
                    break;
                }
            }
        }

        let limit = f64::from(options.limit.deconstruct()) / 1e9;
        let batched = !together.is_empty();
        together.extend_from_slice(&alone);
        let mut p999 = quantile(&mut together, QUANTILE);
        // NaN never fits.
        let fits = |p999: f64| p999 * options.margin <= limit;
        let batches = batched && fits(p999);
        if batched && !batches {
            skipped.push(format!(
                "batches: with them the 99.9th percentile is {p999:.2e}, more than the registry's limit allows: hosts have \
                 to run requests one by one"
            ));
            p999 = quantile(&mut alone, QUANTILE);
        }
        let needed = p999 * options.margin;
        if !fits(p999) {
            let widest = variations
                .iter()
                .max_by(|a, b| a.largest.total_cmp(&b.largest))
                .map(|v| format!("{}, up to {:.2e}", v.name, v.largest));
            return Err(CalibrationError::NotReproducible {
                p999,
                needed,
                limit,
                widest: widest.unwrap_or_default(),
            });
        }
        let parts = ((needed * 1e6).ceil() * 1000.0) as u32;
        let mut lengths: Vec<Duration> = baseline.iter().map(|c| c.elapsed).collect();
        lengths.sort();
        Ok(Calibration {
            tolerance: Perbill::from_parts(parts).max(options.floor).min(options.limit),
            p999,
            samples: samples.len(),
            made_up,
            elements: baseline
                .first()
                .map_or(0, |c| c.tensors.iter().map(|t| numbers(t).len()).sum()),
            run: lengths.get(lengths.len() / 2).copied().unwrap_or_default(),
            variations,
            batches,
            skipped,
        })
    }

    /// Runs the samples in batches and compares each one's part with its run alone.
    fn batches(
        &self,
        loaded: &mut Loaded,
        samples: &[Tensors],
        baseline: &[Compared],
        size: usize,
    ) -> Result<Vec<f64>, String> {
        let axes = batch_axes(loaded.session(), self.model)?;
        let mut found = Vec::new();
        // Only samples of one shape fit together.
        let mut groups: Vec<(Vec<Vec<u32>>, Vec<(&Tensors, &Compared)>)> = Vec::new();
        for (sample, alone) in samples.iter().zip(baseline) {
            let shapes: Vec<Vec<u32>> = sample.iter().map(|t| t.shape.to_vec()).collect();
            match groups.iter_mut().find(|(key, _)| *key == shapes) {
                Some((_, members)) => members.push((sample, alone)),
                None => groups.push((shapes, vec![(sample, alone)])),
            }
        }
        for members in groups.iter().flat_map(|(_, members)| members.chunks_exact(size)) {
            let inputs: Vec<&Tensors> = members.iter().map(|(sample, _)| *sample).collect();
            let batch = join(&inputs, &axes)?;
            let together = self.run(loaded, &batch).map_err(|e| e.to_string())?;
            let alone: Vec<&Compared> = members.iter().map(|(_, alone)| *alone).collect();
            for (n, expected) in alone.iter().enumerate() {
                let part = part(&together, &alone, n)?;
                found.push(difference(&expected.tensors, &part));
            }
        }
        if found.is_empty() {
            return Err("there are not enough samples of one shape".into());
        }
        Ok(found)
    }
}

impl Variation {
    fn of(name: String, found: &[f64]) -> Option<Self> {
        let mut sorted = found.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            name,
            runs: sorted.len(),
            median: *sorted.get(sorted.len() / 2)?,
            largest: *sorted.last()?,
        })
    }
}

/// The ways of running one sample by itself.
fn setups(options: &CalibrationOptions) -> Vec<(String, Setup)> {
    let mut setups = vec![("the same again".to_owned(), Setup::with_threads(1))];
    for &threads in &options.threads {
        setups.push((format!("{threads} threads"), Setup::with_threads(threads)));
    }
    let most = options.threads.iter().copied().max().unwrap_or(1);
    for (name, optimisation) in [
        ("basic graph optimisation", Optimisation::Basic),
        ("no graph optimisation", Optimisation::Disabled),
    ] {
        for intra_threads in [1, most] {
            let threads = if intra_threads == 1 {
                String::new()
            } else {
                format!(", {most} threads")
            };
            let setup = Setup {
                intra_threads,
                optimisation,
            };
            if setups.iter().all(|(_, other)| *other != setup) {
                setups.push((format!("{name}{threads}"), setup));
            }
        }
    }
    setups
}

/// The axis of the batch of each input, by the signature's order: the first where the model leaves it open, else the one
/// with the same name. `None` for an input that all samples of a batch share.
fn batch_axes(session: &Session, model: &ModelRef) -> Result<Vec<(String, Option<usize>)>, String> {
    let dims = |name: &[u8]| {
        let outlet = session.inputs().iter().find(|o| o.name().as_bytes() == name);
        match outlet.map(|o| o.dtype()) {
            Some(ValueType::Tensor {
                shape,
                dimension_symbols,
                ..
            }) => shape
                .iter()
                .zip(dimension_symbols.iter())
                .map(|(n, symbol)| (*n < 0).then(|| symbol.clone()))
                .collect(),
            _ => Vec::new(),
        }
    };
    let inputs: Vec<(String, Vec<Option<String>>)> = model
        .signature
        .inputs
        .iter()
        .map(|s| (String::from_utf8_lossy(&s.name).into_owned(), dims(&s.name)))
        .collect();
    let batch = inputs
        .iter()
        .find_map(|(_, dims)| dims.first().cloned().flatten())
        .ok_or("the model's inputs have no open first dimension")?;
    let same = |symbol: &Option<String>| symbol.as_ref().is_some_and(|s| *s == batch && !s.is_empty());
    Ok(inputs
        .into_iter()
        .map(|(name, dims)| {
            let axis = match dims.first() {
                Some(Some(_)) => Some(0),
                _ => dims.iter().position(same),
            };
            (name, axis)
        })
        .collect())
}

/// Puts samples of the same shape together along each input's batch axis.
fn join(samples: &[&Tensors], axes: &[(String, Option<usize>)]) -> Result<Vec<RawInput>, String> {
    axes.iter()
        .map(|(name, axis)| {
            let tensors = samples
                .iter()
                .map(|s| s.iter().find(|t| t.name_str() == name))
                .collect::<Option<Vec<&Tensor>>>()
                .ok_or("an input is missing")?;
            let first = tensors.first().ok_or("there is no sample")?;
            let Some(axis) = *axis else {
                return if tensors.iter().all(|t| t.data == first.data) {
                    Ok(RawInput::from(*first))
                } else {
                    Err(format!("the input {name:?} differs and has no batch dimension"))
                };
            };
            let mut shape = first.shape.to_vec();
            let outer: usize = shape.iter().take(axis).map(|n| *n as usize).product();
            for length in shape.iter_mut().skip(axis).take(1) {
                *length = length
                    .checked_mul(samples.len() as u32)
                    .ok_or("the batch is too large")?;
            }
            let block = first.data.len() / outer.max(1);
            let mut data = Vec::with_capacity(first.data.len() * samples.len());
            for n in 0..outer {
                for tensor in &tensors {
                    data.extend(tensor.data.get(n * block..(n + 1) * block).unwrap_or_default());
                }
            }
            Ok(RawInput {
                name: name.clone(),
                element_type: first.element_type,
                shape,
                data,
            })
        })
        .collect()
}

/// The part of sample `n` in the results of a batch: as many rows of each tensor as it had alone.
fn part(together: &Compared, alone: &[&Compared], n: usize) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::with_capacity(together.tensors.len());
    for (i, whole) in together.tensors.iter().enumerate() {
        let own: Vec<&Piece> = alone.iter().filter_map(|c| c.tensors.get(i)).collect();
        let apart = "what is compared has no batch dimension of its own";
        let total: usize = own.iter().map(|p| p.data.len()).sum();
        let rows: u64 = own
            .iter()
            .map(|p| u64::from(p.shape.first().copied().unwrap_or_default()))
            .sum();
        if whole.data.len() != total || whole.shape.first().map(|n| u64::from(*n)) != Some(rows) {
            return Err(apart.into());
        }
        let begin: usize = own.iter().take(n).map(|p| p.data.len()).sum();
        let piece = own.get(n).ok_or(apart)?;
        let data = whole.data.get(begin..begin + piece.data.len()).ok_or(apart)?;
        pieces.push(Piece {
            element_type: whole.element_type,
            shape: piece.shape.clone(),
            data: data.to_vec(),
        });
    }
    Ok(pieces)
}

fn check(sample: usize, compared: &Compared) -> Result<(), CalibrationError> {
    let values: Vec<f64> = compared.tensors.iter().flat_map(numbers).collect();
    let count = values.iter().filter(|x| !x.is_finite()).count();
    if count > 0 {
        return Err(CalibrationError::NotFinite { sample, count });
    }
    if values.iter().any(|x| x.abs() > GRID) {
        return Err(CalibrationError::OutOfRange { sample });
    }
    Ok(())
}

/// Relative L2 difference on the grid of sketches. Nothing against nothing is 0, something against nothing infinite.
fn difference(expected: &[Piece], found: &[Piece]) -> f64 {
    let (mut apart, mut length) = (0.0, 0.0);
    if expected.len() != found.len() {
        return f64::INFINITY;
    }
    let grid = |x: f64| (x * GRID).round_ties_even();
    for (expected, found) in expected.iter().zip(found) {
        let (expected, found) = (numbers(expected), numbers(found));
        if expected.len() != found.len() {
            return f64::INFINITY;
        }
        for (a, b) in expected.into_iter().map(grid).zip(found.into_iter().map(grid)) {
            apart += (a - b) * (a - b);
            length += a * a;
        }
    }
    if apart == 0.0 {
        0.0
    } else {
        (apart / length).sqrt()
    }
}

/// By nearest rank; 0 of nothing.
fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * q).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// A tensor's elements as numbers.
fn numbers(piece: &Piece) -> Vec<f64> {
    macro_rules! each {
        ($t:ty, $n:literal, $f:expr) => {
            piece
                .data
                .as_chunks::<$n>()
                .0
                .iter()
                .map(|b| $f(<$t>::from_le_bytes(*b)))
                .collect()
        };
    }
    match piece.element_type {
        ElementType::Bool | ElementType::U8 => each!(u8, 1, f64::from),
        ElementType::I8 => each!(i8, 1, f64::from),
        ElementType::U16 => each!(u16, 2, f64::from),
        ElementType::I16 => each!(i16, 2, f64::from),
        ElementType::U32 => each!(u32, 4, f64::from),
        ElementType::I32 => each!(i32, 4, f64::from),
        ElementType::U64 => each!(u64, 8, |n| n as f64),
        ElementType::I64 => each!(i64, 8, |n| n as f64),
        ElementType::F16 => each!(u16, 2, half),
        ElementType::BF16 => each!(u16, 2, |n| f64::from(f32::from_bits(u32::from(n) << 16))),
        ElementType::F32 => each!(f32, 4, f64::from),
        ElementType::F64 => each!(f64, 8, |x: f64| x),
    }
}

/// The value of an IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(values: &[f32]) -> Piece {
        Piece {
            element_type: ElementType::F32,
            shape: vec![values.len() as u32],
            data: values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }

    #[test]
    fn differences_are_relative_and_on_the_grid() {
        let a = [floats(&[3.0, 4.0])];
        assert_eq!(difference(&a, &[floats(&[3.0, 4.0])]), 0.0);
        assert_eq!(difference(&a, &[floats(&[3.0, 9.0])]), 1.0);
        // Less than half a grid unit away.
        assert_eq!(difference(&a, &[floats(&[3.000_000_4, 4.0])]), 0.0);
        assert_eq!(difference(&[floats(&[0.0])], &[floats(&[0.0])]), 0.0);
        assert_eq!(difference(&[floats(&[0.0])], &[floats(&[1.0])]), f64::INFINITY);
        assert_eq!(difference(&a, &[floats(&[3.0])]), f64::INFINITY);
        assert_eq!(difference(&a, &[]), f64::INFINITY);
    }

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let mut values: Vec<f64> = (1..=2000).rev().map(f64::from).collect();
        assert_eq!(quantile(&mut values, QUANTILE), 1998.0);
        assert_eq!(quantile(&mut [5.0, 1.0], QUANTILE), 5.0);
        assert_eq!(quantile(&mut [], QUANTILE), 0.0);
    }

    #[test]
    fn halves_are_read() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_953_125),
            (0x0001, 2f64.powi(-24)),
            (0x7c00, f64::INFINITY),
        ] {
            assert_eq!(half(bits), value, "{bits:x}");
        }
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn samples_are_joined_along_their_axes() {
        let tensors = |a: u8| {
            let x = Tensor::new("x", ElementType::U8, &[1, 2], vec![a, a + 1]).unwrap();
            let s = Tensor::new("s", ElementType::U8, &[2, 1, 2], vec![a, a + 1, a + 2, a + 3]).unwrap();
            let r = Tensor::new("r", ElementType::U8, &[], vec![9]).unwrap();
            Tensors::try_from(vec![x, s, r]).unwrap()
        };
        let (a, b) = (tensors(10), tensors(20));
        let axes = [
            ("x".to_owned(), Some(0)),
            ("s".to_owned(), Some(1)),
            ("r".to_owned(), None),
        ];
        let joined = join(&[&a, &b], &axes).unwrap();
        let of = |i: usize| (joined[i].shape.clone(), joined[i].data.clone());
        assert_eq!(of(0), (vec![2, 2], vec![10, 11, 20, 21]));
        assert_eq!(of(1), (vec![2, 2, 2], vec![10, 11, 20, 21, 12, 13, 22, 23]));
        assert_eq!(of(2), (vec![], vec![9]));
        let mut c = tensors(20);
        c[2] = Tensor::new("r", ElementType::U8, &[], vec![8]).unwrap();
        assert!(join(&[&a, &c], &axes).is_err());
    }
}
