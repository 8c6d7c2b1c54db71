//! `infer`

use super::{
    CliError,
    args::{InferArgs, PriorityArg},
    channel,
    context::Context,
    model,
    output::{mesh, planck, print, print_json},
};
use crate::{
    net::{
        self, Directory,
        requester::{ByTerms, Courier, Inference, Inferred, Parts, RequestError, Requester, Step, What},
    },
    tensors,
};
use base64::Engine as _;
use bytes::Bytes;
use codec::Encode;
use jsonrpsee::{
    core::client::{ClientT, Error as RpcError},
    http_client::{HttpClient, HttpClientBuilder},
    rpc_params,
    types::ErrorCode,
};
use llmesh_chain::{ChainModel, H256, NodeClient, Wait};
use llmesh_gateway::StatusInfo;
use llmesh_payments::{PayerBook, PayerPolicy};
use llmesh_primitives::{Priority, Tensors};
use llmesh_proofs::json as json_form;
use llmesh_protocol::{MAX_SEALED_BYTES, MeshTensor, MeshTensors, RouteHeader};
use serde_json::{Value as Json, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, task::JoinSet};

/// Blocks that a channel lives that was opened for this command.
const LIFETIME: u32 = 300_000;
/// Steps that wait to be shown.
const STEPS: usize = 64;
/// Longest wait for the gateway to say how it is.
const GATEWAY_WAIT: Duration = Duration::from_secs(10);
/// A sealed message in base64 with what is around it.
const MAX_MESSAGE: u32 = (MAX_SEALED_BYTES / 3 * 4 + 64 * 1024) as u32;

/// Gives sealed requests to a gateway.
struct GatewayCourier {
    client: HttpClient,
}

#[async_trait::async_trait]
impl Courier for GatewayCourier {
    async fn carry(
        &self,
        header: RouteHeader,
        sealed: Bytes,
        deadline: tokio::time::Instant,
        _: Option<mpsc::Sender<Bytes>>,
    ) -> Result<Bytes, String> {
        let base64 = base64::engine::general_purpose::STANDARD;
        let params = rpc_params![
            format!("0x{}", hex::encode(header.encode())),
            base64.encode(&sealed)
        ];
        let asked = self.client.request::<String, _>("mesh_forward", params);
        let answer = tokio::time::timeout_at(deadline, asked)
            .await
            .map_err(|_| "the gateway did not answer in time".to_owned())?
            .map_err(|error| format!("the gateway: {error}"))?;
        base64
            .decode(answer)
            .map(Bytes::from)
            .map_err(|error| format!("the gateway's answer is no base64: {error}"))
    }
}

/// Whoever named a gateway that is not there shall hear so at once, not after all tries at the hosts.
async fn check_gateway(http: &HttpClient, url: &str, genesis: H256) -> Result<(), CliError> {
    let asked = http.request::<StatusInfo, _>("mesh_status", rpc_params![]);
    let answer = tokio::time::timeout(GATEWAY_WAIT, asked).await;
    let why = match answer {
        Ok(Ok(status)) => return check_status(&status, url, genesis),
        // It is there. It may carry a request all the same.
        Ok(Err(RpcError::Call(error))) if error.code() != ErrorCode::MethodNotFound.code() => {
            tracing::warn!("the gateway is not ready: {}", error.message());
            return Ok(());
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it does not answer".into(),
    };
    Err(CliError::Failed(format!(
        "no gateway at {url}: {why}; name one with --gateway, or start a worker with --gateway-port"
    )))
}

fn check_status(status: &StatusInfo, url: &str, genesis: H256) -> Result<(), CliError> {
    if status.genesis != genesis {
        return Err(CliError::Usage(format!(
            "the gateway at {url} is of another chain ({:?}) than --node ({genesis:?})",
            status.genesis
        )));
    }
    if let Some(problem) = &status.problem {
        tracing::warn!("the gateway is not ready: {problem}");
    }
    Ok(())
}

pub(super) async fn run(context: &Context, args: InferArgs) -> Result<(), CliError> {
    let account = context.signer()?;
    let inputs = read_inputs(&args.input)?;
    let found = context.resolve(&args.model).await?;
    if let Err(error) = inputs.check_inputs(&found.manifest.signature) {
        let wanted: Vec<String> = found
            .manifest
            .signature
            .inputs
            .iter()
            .map(tensors::show_spec)
            .collect();
        return Err(CliError::Usage(format!(
            "the inputs do not fit {}: {error}; it takes {}",
            model::label(&found),
            wanted.join(", ")
        )));
    }
    let client: Arc<dyn NodeClient> = Arc::new(context.client.clone());
    let genesis = client.genesis_hash().await?;
    let http = HttpClientBuilder::default()
        .request_timeout(args.timeout.saturating_add(Duration::from_secs(5)))
        .max_request_size(MAX_MESSAGE)
        .max_response_size(MAX_MESSAGE)
        .build(&args.gateway)
        .map_err(|e| CliError::Usage(format!("--gateway {}: {e}", args.gateway)))?;
    check_gateway(&http, &args.gateway, genesis).await?;
    let directory = Directory::new();
    directory.refresh(&*client).await?;
    let books = net::books_folder(&context.base_path);
    std::fs::create_dir_all(&books).map_err(|e| CliError::Failed(format!("{}: {e}", books.display())))?;
    let book = PayerBook::open(&books.join("payer.redb"), genesis, PayerPolicy::default())
        .map_err(|e| {
            CliError::Failed(format!(
                "{e}; if a worker runs with this --base-path, ask its own gateway (mesh_infer, or /v2), or use another \
                 --base-path"
            ))
        })?;
    let requester = Arc::new(Requester::new(Parts {
        payer: account.account32(),
        signer: channel::payer(context)?,
        genesis,
        book: Arc::new(book),
        client,
        directory: directory.clone(),
        ranking: Arc::new(ByTerms::new(directory)),
        courier: Arc::new(GatewayCourier { client: http }),
    }));
    let inference = Inference {
        version: found.id,
        inputs,
        max_price: args.max_price,
        priority: match args.priority {
            PriorityArg::Normal => Priority::Normal,
            PriorityArg::High => Priority::High,
            PriorityArg::Urgent => Priority::Urgent,
        },
        min_reputation: args.min_reputation,
        deadline: args.timeout,
    };
    let first = ask(context, &requester, &inference, &args, &found).await?;
    if args.repeat > 1 {
        return repeat(context, requester, inference, &args).await;
    }
    if let Some(file) = &args.receipt {
        std::fs::write(file, json_form::print(&first.receipt))
            .map_err(|e| CliError::Failed(format!("--receipt {}: {e}", file.display())))?;
    }
    show(context, &found, first)
}

/// Asks once; opens a channel when there is none.
async fn ask(
    context: &Context,
    requester: &Requester,
    inference: &Inference,
    args: &InferArgs,
    found: &ChainModel,
) -> Result<Inferred, CliError> {
    let quiet = context.json;
    let (steps, mut shown) = mpsc::channel::<Step>(STEPS);
    let printer = tokio::spawn(async move {
        while let Some(step) = shown.recv().await {
            match step.what {
                What::Failed(reason) => tracing::warn!(host = %step.host, "{reason}"),
                What::Sent => tracing::info!(host = %step.host, attempt = step.attempt, "asked"),
                What::Progress(progress) => {
                    tracing::info!(host = %step.host, ?progress, "the host is at work")
                }
            }
        }
    });
    let mut result = requester.infer(inference, Some(steps.clone())).await;
    if matches!(result, Err(RequestError::NoFunds)) {
        let hosts = channel::live_hosts(context, found.id).await?;
        if !quiet {
            print(format_args!(
                "opening a channel with {} for each of {} hosts",
                mesh(args.budget),
                hosts.len()
            ));
        }
        // Hosts look at final blocks only.
        let (_, included, id) =
            channel::open(context, &hosts, args.budget, LIFETIME, Wait::Finalized).await?;
        tracing::info!(channel = id, block = included.block.number, "opened");
        requester.forget_lanes().await;
        result = requester.infer(inference, Some(steps)).await;
    } else {
        drop(steps);
    }
    let _ = printer.await;
    result.map_err(failed)
}

fn failed(error: RequestError) -> CliError {
    CliError::Failed(error.to_string())
}

fn read_inputs(texts: &[String]) -> Result<MeshTensors, CliError> {
    let mut inputs = Vec::with_capacity(texts.len());
    for text in texts {
        let tensor = tensors::parse(text, |path| std::fs::read(path)).map_err(CliError::Usage)?;
        inputs.push(MeshTensor::from(tensor));
    }
    MeshTensors::new(inputs).map_err(|e| CliError::Usage(format!("the inputs: {e}")))
}

fn show(context: &Context, found: &ChainModel, done: Inferred) -> Result<(), CliError> {
    let outputs = Tensors::try_from(done.outputs)
        .map_err(|e| CliError::Failed(format!("the outputs can not be shown: {e}")))?;
    if context.json {
        let outputs: Vec<Json> = outputs.iter().map(tensors::to_json).collect();
        let receipt: Json = serde_json::from_str(&json_form::print(&done.receipt)).unwrap_or_default();
        print_json(&json!({
            "model": model::label(found),
            "host": done.receipt.host.to_string(),
            "price": planck(done.price),
            "request": format!("{:?}", done.request),
            "attempts": done.attempts,
            "outputs": outputs,
            "receipt": receipt,
        }));
        return Ok(());
    }
    let mut text = format!("{} for {}\n", done.receipt.host, mesh(done.price));
    for tensor in &outputs {
        let values = tensors::elements(tensor);
        let head: Vec<String> = values.iter().take(8).map(ToString::to_string).collect();
        let more = if values.len() > 8 { ", ..." } else { "" };
        text += &format!(
            "{} {} {:?} [{}{more}]\n",
            tensor.name_str(),
            tensor.element_type.name(),
            tensor.shape.as_slice(),
            head.join(", ")
        );
    }
    print(text.trim_end());
    Ok(())
}

/// Asks the rest of `--repeat` and shows how long it took.
async fn repeat(
    context: &Context,
    requester: Arc<Requester>,
    inference: Inference,
    args: &InferArgs,
) -> Result<(), CliError> {
    let began = Instant::now();
    let mut running = JoinSet::new();
    let mut left = args.repeat - 1;
    let mut latencies = Vec::with_capacity(left as usize);
    let (mut failures, mut paid) = (0u32, 0u128);
    let mut last_failure = None;
    loop {
        while left > 0 && running.len() < usize::from(args.concurrency) {
            left -= 1;
            let (requester, inference) = (requester.clone(), inference.clone());
            running.spawn(async move {
                let began = Instant::now();
                (requester.infer(&inference, None).await, began.elapsed())
            });
        }
        let Some(ended) = running.join_next().await else {
            break;
        };
        match ended {
            Ok((Ok(done), took)) => {
                latencies.push(took);
                paid = paid.saturating_add(done.price);
            }
            Ok((Err(error), _)) => {
                failures += 1;
                last_failure = Some(error.to_string());
            }
            Err(error) => {
                failures += 1;
                last_failure = Some(error.to_string());
            }
        }
    }
    latencies.sort();
    let at = |percent: usize| {
        let i = latencies.len().saturating_sub(1) * percent / 100;
        latencies.get(i).map_or(0.0, |d| d.as_secs_f64() * 1e3)
    };
    let seconds = began.elapsed().as_secs_f64();
    let document = json!({
        "requests": latencies.len() + failures as usize,
        "answered": latencies.len(),
        "failed": failures,
        "last_failure": last_failure,
        "paid": planck(paid),
        "seconds": seconds,
        "latency_ms": {"p50": at(50), "p95": at(95), "p99": at(99)},
    });
    print_json(&document);
    if failures > 0 {
        return Err(CliError::Failed(format!("{failures} requests were not answered")));
    }
    if !context.json {
        print(format_args!("{} requests in {seconds:.1} s", latencies.len()));
    }
    Ok(())
}
