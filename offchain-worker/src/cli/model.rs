//! `model ...`

use super::{
    CliError,
    args::{ClassArg, ListArgs, ModelCommand, OriginArg, PublishArgs},
    context::Context,
    output::{mesh, planck, print_json},
};
use crate::{
    manifest::{self, Declared, ModelArg},
    tensors::{show_spec, signature_to_json},
};
use llmesh_chain::{ChainApi, ChainModel, calls};
use llmesh_engine::{DynamicDims, EngineConfig, Executor, Imported, ModelRef};
use llmesh_primitives::{OriginFormat, RuntimeClass, VersionStatus};
use serde_json::{Value as Json, json};
use std::path::Path;

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

    let engine = context.engine(&args.engine, EngineConfig::default())?;
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
    let declared = Declared {
        origin: match args.origin {
            OriginArg::Onnx => OriginFormat::Onnx,
            OriginArg::Tensorflow => OriginFormat::TensorFlow,
            OriginArg::Pytorch => OriginFormat::PyTorch,
        },
        probe: args.probe,
        tolerance: args.tolerance,
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
        context.print_included(&call, &included, json!({"model": model_to_json(&model)}));
    } else {
        super::output::print(format_args!(
            "published {published} as version {} in block {}\n{:?}",
            model.id, included.block, imported.content_id
        ));
    }
    Ok(())
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
