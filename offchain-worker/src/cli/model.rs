//! `model ...`

use super::{
    CliError,
    args::{ClassArg, ListArgs, ModelCommand, OriginArg, ProbeArg, PublishArgs, ToleranceArg},
    context::Context,
    output::{mesh, planck, print_json},
};
use crate::{
    manifest::{self, Declared, ModelArg},
    tensors::{self, show_spec, signature_to_json},
};
use llmesh_chain::{ChainApi, ChainModel, calls};
use llmesh_engine::{
    Calibration, CalibrationError, CalibrationOptions, DynamicDims, Engine, EngineConfig, EngineError,
    Executor, Imported, ModelRef, ProbeChoice, find_probe,
};
use llmesh_primitives::{OriginFormat, RuntimeClass, Tensors, VersionStatus};
use serde_json::{Value as Json, json};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Most samples that are read to measure a tolerance.
const MAX_SAMPLES: usize = 1000;

pub(super) async fn run(context: &Context, command: ModelCommand) -> Result<(), CliError> {
    match command {
        ModelCommand::Publish(args) => publish(context, args).await,
        ModelCommand::List(args) => list(context, args).await,
        ModelCommand::Show { model } => show(context, &model).await,
        ModelCommand::Import { file, model } => import(context, &file, model.as_ref()).await,
        ModelCommand::Deprecate { model } => {
            let found = versioned(context, &model).await?;
            context.submit_and_print(&calls::deprecate(found.id)).await
        }
        ModelCommand::Yank { model } => {
            let found = versioned(context, &model).await?;
            context.submit_and_print(&calls::yank(found.id)).await
        }
    }
}

/// What changes a version must name it.
async fn versioned(context: &Context, model: &ModelArg) -> Result<ChainModel, CliError> {
    if model.version.is_none() {
        return Err(CliError::Usage(format!("name the version, like {model}@1.0.0")));
    }
    context.resolve(model).await
}

/// Imports a file where blocking is allowed.
pub(super) async fn import_file(
    context: &Context,
    file: &Path,
    expected: Option<llmesh_chain::H256>,
) -> Result<Imported, CliError> {
    let (store, file) = (context.store()?, file.to_path_buf());
    let imported = tokio::task::spawn_blocking(move || store.import(&file, expected)).await;
    Ok(imported.map_err(|e| CliError::Failed(e.to_string()))??)
}

async fn import(context: &Context, file: &Path, model: Option<&ModelArg>) -> Result<(), CliError> {
    let expected = match model {
        Some(model) => Some(context.resolve(model).await?.manifest.content_id),
        None => None,
    };
    let imported = import_file(context, file, expected).await?;
    context.show(
        || {
            json!({
                "content_id": format!("{:?}", imported.content_id),
                "size": imported.size,
                "path": imported.path,
                "known": imported.known,
            })
        },
        || {
            format!(
                "{:?}\n{} bytes in {}",
                imported.content_id,
                imported.size,
                imported.path.display()
            )
        },
    );
    Ok(())
}

async fn publish(context: &Context, args: PublishArgs) -> Result<(), CliError> {
    let namespace = manifest::namespace(&args.name)
        .map_err(CliError::Usage)?
        .to_owned();
    context.signer()?;
    context.connect().await?;
    let imported = import_file(context, &args.file, None).await?;
    tracing::info!(content_id = ?imported.content_id, bytes = imported.size, "imported");

    let samples = match &args.samples {
        Some(path) => read_samples(path)?,
        None => Vec::new(),
    };
    let engine = context.engine(&args.engine, EngineConfig::verifier())?;
    let dims = DynamicDims {
        named: args.dynamic.iter().cloned().collect(),
        default: 1,
    };
    let id = imported.content_id;
    let (engine, inspected) = tokio::task::spawn_blocking(move || {
        let inspected = engine.inspect(id, &dims);
        (engine, inspected)
    })
    .await
    .map_err(|e| CliError::Failed(e.to_string()))?;
    let (signature, open) = inspected?;
    for (name, _) in &args.dynamic {
        if !open.contains(name) {
            let there = if open.is_empty() {
                "none".into()
            } else {
                open.join(", ")
            };
            let message =
                format!("--dynamic {name}: the model has no open dimension of this name; it has {there}");
            return Err(CliError::Usage(message));
        }
    }
    let verification = Verification {
        probe: args.probe,
        tolerance: args.tolerance,
        samples,
        batches: !args.no_batches,
    };
    let unmeasured = ModelRef {
        content_id: id,
        signature: Arc::new(signature.clone()),
        probe: String::new(),
    };
    let (engine, decided) = tokio::task::spawn_blocking(move || {
        let decided = verification.decide(&engine, unmeasured);
        (engine, decided)
    })
    .await
    .map_err(|e| CliError::Failed(e.to_string()))?;
    let decided = decided?;
    if !context.json {
        super::output::print(decided.text().trim_end());
    }
    let declared = Declared {
        origin: match args.origin {
            OriginArg::Onnx => OriginFormat::Onnx,
            OriginArg::Tensorflow => OriginFormat::TensorFlow,
            OriginArg::Pytorch => OriginFormat::PyTorch,
        },
        probe: decided.probe.name().into(),
        tolerance: decided.tolerance,
        complexity: args.complexity,
        base_price: args.base_price,
        licence: args.licence,
        runtime_class: match args.runtime_class {
            ClassArg::CpuFloat => RuntimeClass::CpuFloat,
            ClassArg::CpuInt8Vnni => RuntimeClass::CpuInt8Vnni,
            ClassArg::CpuInt8 => RuntimeClass::CpuInt8,
        },
    };
    let manifest = manifest::build(&imported, signature, &declared).map_err(CliError::Usage)?;
    // Loads the model the way a worker will, probe included.
    engine.prepare(ModelRef::from(&manifest)).await?;

    let call = calls::publish(args.name.as_bytes(), args.version, &manifest);
    let included = match context.submit(&call).await {
        Err(CliError::Chain(error))
            if error.module_error() == Some(("ModelRegistry", "UnknownNamespace")) =>
        {
            context
                .submit(&calls::register_namespace(namespace.as_bytes()))
                .await?;
            tracing::info!(namespace, "namespace registered");
            context.submit(&call).await?
        }
        other => other?,
    };
    let published = ModelArg {
        name: args.name,
        version: Some(args.version),
    };
    let model = context.resolve(&published).await?;
    if context.json {
        let verification = decided.to_json();
        context.print_included(
            &call,
            &included,
            json!({"model": model_to_json(&model), "verification": verification}),
        );
    } else {
        super::output::print(format_args!(
            "published {published} as version {} in block {}\n{:?}",
            model.id, included.block, imported.content_id
        ));
    }
    Ok(())
}

/// What the author asked for: by what runs are compared, and how closely.
struct Verification {
    probe: ProbeArg,
    tolerance: ToleranceArg,
    samples: Vec<Tensors>,
    batches: bool,
}

/// What is published of it.
struct Decided {
    probe: ProbeChoice,
    tolerance: sp_runtime::Perbill,
    /// The measurements, when the tolerance was measured.
    calibration: Option<Calibration>,
}

/// Why it could not be decided; the engine's errors keep their kind.
enum Undecided {
    Engine(EngineError),
    Other(String),
}

impl From<Undecided> for CliError {
    fn from(error: Undecided) -> Self {
        match error {
            Undecided::Engine(error) => Self::Engine(error),
            Undecided::Other(reason) => Self::Failed(reason),
        }
    }
}

impl From<CalibrationError> for Undecided {
    fn from(error: CalibrationError) -> Self {
        match error {
            CalibrationError::Engine(error) => Self::Engine(error),
            error => Self::Other(error.to_string()),
        }
    }
}

impl Verification {
    /// Finds the probe and measures the tolerance, as far as they were not given. Blocks.
    fn decide(self, engine: &Engine, model: ModelRef) -> Result<Decided, Undecided> {
        let asked = "it was asked for".to_owned();
        let probe = match self.probe {
            ProbeArg::Auto => {
                let bytes = engine.store().read(model.content_id);
                find_probe(&bytes.map_err(|e| Undecided::Engine(e.into()))?)
                    .map_err(|e| Undecided::Other(format!("looking for the probe: {e}")))?
            }
            ProbeArg::Outputs => ProbeChoice::Outputs { because: asked },
            ProbeArg::Tensor(name) => ProbeChoice::Tensor { name, because: asked },
        };
        let (tolerance, calibration) = match self.tolerance {
            ToleranceArg::Fixed(tolerance) => (tolerance, None),
            ToleranceArg::Auto => {
                let mut options = CalibrationOptions::default();
                if !self.batches {
                    options.batches.clear();
                }
                let model = ModelRef {
                    probe: probe.name().into(),
                    ..model
                };
                tracing::info!(probe = probe.name(), "measuring how reproducible the model is");
                let calibration = engine.calibrate(&model, self.samples, &options)?;
                (calibration.tolerance, Some(calibration))
            }
        };
        Ok(Decided {
            probe,
            tolerance,
            calibration,
        })
    }
}

impl Decided {
    fn text(&self) -> String {
        let mut text = match &self.probe {
            ProbeChoice::Tensor { name, because } => format!("probe       {name}: {because}\n"),
            ProbeChoice::Outputs { because } => {
                format!("probe       none, the outputs are compared: {because}\n")
            }
        };
        let tolerance = f64::from(self.tolerance.deconstruct()) / 1e9;
        text += &format!("tolerance   {tolerance:.1e}");
        let Some(found) = &self.calibration else {
            return text;
        };
        text += &format!(
            ", measured on {} {} samples; 99.9 % of honest runs differ by at most {:.1e}\n",
            found.samples,
            if found.made_up { "made-up" } else { "given" },
            found.p999
        );
        for v in &found.variations {
            text += &format!(
                "            {}: median {:.1e}, at most {:.1e}\n",
                v.name, v.median, v.largest
            );
        }
        for skipped in &found.skipped {
            text += &format!("            not measured or not allowed for: {skipped}\n");
        }
        text
    }

    fn to_json(&self) -> Json {
        let calibration = self.calibration.as_ref().map(|c| {
            let variations: Vec<Json> = c
                .variations
                .iter()
                .map(|v| json!({"name": v.name, "runs": v.runs, "median": v.median, "largest": v.largest}))
                .collect();
            json!({
                "samples": c.samples,
                "made_up": c.made_up,
                "p999": c.p999,
                "elements": c.elements,
                "batches": c.batches,
                "variations": variations,
                "skipped": c.skipped,
            })
        });
        json!({
            "probe": self.probe.name(),
            "because": self.probe.because(),
            "tolerance": f64::from(self.tolerance.deconstruct()) / 1e9,
            "calibration": calibration,
        })
    }
}

/// Reads one sample, or a folder of them in the order of their names.
fn read_samples(path: &Path) -> Result<Vec<Tensors>, CliError> {
    let failed = |path: &Path, e: std::io::Error| CliError::Usage(format!("{}: {e}", path.display()));
    if !path.is_dir() {
        return Ok(vec![read_sample(path)?]);
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(path)
        .map_err(|e| failed(path, e))?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()
        .map_err(|e| failed(path, e))?;
    files.retain(|f| f.extension().is_some_and(|e| e == "txt"));
    if files.is_empty() || files.len() > MAX_SAMPLES {
        return Err(CliError::Usage(format!(
            "{} has {} files that end in .txt; 1 to {MAX_SAMPLES} are samples",
            path.display(),
            files.len()
        )));
    }
    files.sort();
    files.iter().map(|file| read_sample(file)).collect()
}

/// One tensor a line; empty lines do not count.
fn read_sample(file: &Path) -> Result<Tensors, CliError> {
    let wrong = |e: String| CliError::Usage(format!("{}: {e}", file.display()));
    let folder = file.parent().unwrap_or(Path::new("."));
    let text = std::fs::read_to_string(file).map_err(|e| wrong(e.to_string()))?;
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| tensors::parse(line, |name| std::fs::read(folder.join(name))))
        .collect::<Result<Vec<_>, _>>()
        .map_err(wrong)?
        .try_into()
        .map_err(|_| wrong("there are more tensors than a model can have".into()))
}

async fn list(context: &Context, args: ListArgs) -> Result<(), CliError> {
    let mut models = context.connect().await?.all_model_versions().await?;
    let filter = args.filter.unwrap_or_default();
    models.retain(|m| {
        (args.all || m.status != VersionStatus::Yanked) && String::from_utf8_lossy(&m.name).contains(&filter)
    });
    context.show(
        || json!({"models": models.iter().map(model_to_json).collect::<Vec<_>>()}),
        || {
            if models.is_empty() {
                return "no models".into();
            }
            let line = |m: &ChainModel| {
                format!(
                    "{:>5}  {:<40} {:<11} {:>12} bytes  {} per million MACs\n",
                    m.id,
                    label(m),
                    status(m),
                    m.manifest.size,
                    mesh(m.manifest.base_price)
                )
            };
            models.iter().map(line).collect()
        },
    );
    Ok(())
}

async fn show(context: &Context, model: &ModelArg) -> Result<(), CliError> {
    let found = context.resolve(model).await?;
    let offers = context.client.offers(found.id).await?;
    let here = context.store()?.contains(found.manifest.content_id);
    if context.json {
        let offers: Vec<Json> = offers
            .iter()
            .map(|(host, t)| json!({"host": host.to_string(), "price": planck(t.price), "capacity": t.capacity}))
            .collect();
        let mut document = model_to_json(&found);
        if let Json::Object(document) = &mut document {
            document.insert("offers".into(), Json::Array(offers));
            document.insert("in_store".into(), Json::Bool(here));
        }
        print_json(&document);
        return Ok(());
    }
    let m = &found.manifest;
    let mut text = format!(
        "{} ({}), version {}\nowner       {}\ncontent id  {:?}, {} bytes, {} in this store\nlicence     {}\ncomplexity  \
         {} MACs\nbase price  {} per million MACs\n",
        label(&found),
        status(&found),
        found.id,
        found.owner,
        m.content_id,
        m.size,
        if here { "is" } else { "not" },
        String::from_utf8_lossy(&m.licence),
        m.complexity,
        mesh(m.base_price),
    );
    for (side, specs) in [("input", &m.signature.inputs), ("output", &m.signature.outputs)] {
        for spec in specs {
            text += &format!("{side:<11} {}\n", show_spec(spec));
        }
    }
    for (host, terms) in &offers {
        text += &format!(
            "offer       {host}: {} per million MACs, capacity {}\n",
            mesh(terms.price),
            terms.capacity
        );
    }
    if offers.is_empty() {
        text += "nobody offers it\n";
    }
    super::output::print(text.trim_end());
    Ok(())
}

/// A model's name and version.
pub(super) fn label(model: &ChainModel) -> String {
    format!("{}@{}", String::from_utf8_lossy(&model.name), model.version)
}

fn status(model: &ChainModel) -> &'static str {
    match model.status {
        VersionStatus::Active => "active",
        VersionStatus::Deprecated => "deprecated",
        VersionStatus::Yanked => "yanked",
    }
}

/// A model as JSON.
pub(super) fn model_to_json(model: &ChainModel) -> Json {
    let m = &model.manifest;
    json!({
        "id": model.id,
        "name": String::from_utf8_lossy(&model.name),
        "version": model.version.to_string(),
        "status": status(model),
        "owner": model.owner.to_string(),
        "content_id": format!("{:?}", m.content_id),
        "size": m.size,
        "origin": format!("{:?}", m.origin).to_lowercase(),
        "signature": signature_to_json(&m.signature),
        "probe": String::from_utf8_lossy(&m.probe),
        "runtime_class": format!("{:?}", m.runtime_class),
        "tolerance": f64::from(m.tolerance.deconstruct()) / 1e9,
        "complexity": m.complexity,
        "base_price": planck(m.base_price),
        "licence": String::from_utf8_lossy(&m.licence),
    })
}
