//! `offer`

use super::{CliError, args::OfferArgs, context::Context, model};
use crate::{
    net::{
        Directory,
        content::{MeshPeers, is_locked},
    },
    running::models_folder,
};
use llmesh_chain::{ChainModel, NodeClient, calls};
use llmesh_content::{ContentId, FetchOptions, Phase, Store, StoreConfig, fetch};
use llmesh_mesh::{Config, Keypair, Mesh};
use llmesh_primitives::OfferTerms;
use serde_json::json;
use std::{
    io::{IsTerminal, Write},
    sync::Arc,
    time::Duration,
};

/// Longest wait for a first peer.
const JOIN: Duration = Duration::from_secs(15);

pub(super) async fn run(context: &Context, args: OfferArgs) -> Result<(), CliError> {
    context.signer()?;
    let found = context.resolve(&args.model).await?;
    if args.withdraw {
        return context.submit_and_print(&calls::withdraw_offer(found.id)).await;
    }
    let manifest = &found.manifest;
    if let Some(file) = &args.file {
        model::import_file(context, file, Some(manifest.content_id)).await?;
    } else if !args.elsewhere && !context.store()?.contains(manifest.content_id) {
        get(context, &args, &found).await?;
    }
    let price = args.price.unwrap_or(manifest.base_price);
    let call = calls::offer(
        found.id,
        &OfferTerms {
            price,
            capacity: args.capacity,
        },
    );
    let included = context.submit(&call).await?;
    let extra = json!({
        "model": model::label(&found),
        "id": found.id,
        "price": super::output::planck(price),
        "capacity": args.capacity,
    });
    context.print_included(&call, &included, extra);
    Ok(())
}

/// Fetches the model's file from the peers that have it.
async fn get(context: &Context, args: &OfferArgs, found: &ChainModel) -> Result<(), CliError> {
    let label = model::label(found);
    let folder = models_folder(&context.base_path);
    let store = match Store::open(&folder, StoreConfig::default()) {
        Ok(store) => store,
        Err(error) if is_locked(&error) => {
            tracing::info!("the worker that runs here fetches {label} itself once it is offered");
            return Ok(());
        }
        Err(error) => return Err(CliError::Failed(error.to_string())),
    };
    let genesis = context.client.genesis_hash().await?;
    let directory = Directory::new();
    directory.refresh(&context.client).await?;
    let config = Config {
        bootstrap: args.from.clone(),
        local_only: args.mesh_local,
        ..Config::new(Keypair::generate_ed25519(), genesis.0)
    };
    let failed = |e: &dyn std::fmt::Display| CliError::Failed(format!("the mesh: {e}"));
    let (mesh, task) =
        Mesh::spawn(config, Arc::new(directory.clone()), Vec::new()).map_err(|e| failed(&e))?;
    if !args.from.is_empty() {
        let mut status = mesh.status();
        let joined = status.wait_for(|s| s.peers.iter().any(|p| p.ready));
        if !matches!(tokio::time::timeout(JOIN, joined).await, Ok(Ok(_))) {
            tracing::warn!("no peer named by --from answered; trying those that the chain names");
        }
    }
    let peers = MeshPeers {
        mesh: mesh.clone(),
        directory,
    };
    let id = ContentId(found.manifest.content_id.0);
    let terminal = std::io::stderr().is_terminal();
    let last = std::sync::Mutex::new(None);
    let progress = |p: llmesh_content::Progress| {
        let percent = p.bytes_done.saturating_mul(100) / p.bytes_total.max(1);
        let line = match p.phase {
            Phase::Outline => format!("{label}: looking for peers that have it"),
            Phase::Local => format!("{label}: checking what is here already"),
            Phase::Chunks => format!(
                "{label}: {percent} % of {:.1} MB from {} peers, {:.1} MB/s{}",
                p.bytes_total as f64 / 1e6,
                p.peers,
                p.rate as f64 / 1e6,
                p.eta()
                    .map_or(String::new(), |eta| format!(", {} s left", eta.as_secs()))
            ),
            Phase::Finishing => format!("{label}: writing it to disk"),
            Phase::Done => format!("{label}: here"),
        };
        let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A log gets a line for each phase and each tenth; a terminal gets them all, on one line.
        let step = (p.phase, percent / 10);
        if terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[2K{line}");
        } else if *last != Some(step) {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
        *last = Some(step);
    };
    let fetched = fetch(
        &store,
        &peers,
        id,
        found.manifest.size,
        FetchOptions::default(),
        progress,
    )
    .await;
    if terminal {
        let _ = writeln!(std::io::stderr());
    }
    mesh.stop().await;
    let _ = tokio::time::timeout(Duration::from_secs(5), task).await;
    fetched.map_err(|error| {
        CliError::Failed(format!(
            "{label} could not be fetched: {error}. What arrived is kept: try again, name a peer of the mesh with --from \
             or the file with --file, or say --elsewhere if the worker runs on another machine"
        ))
    })
}
