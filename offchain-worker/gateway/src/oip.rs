//! The Open Inference Protocol face: version 2 of KServe's REST protocol, with the binary tensor extension.

use crate::{
    GatewayError, ModelInfo, Reason, TensorInfo,
    calls::{Caller, Calls, InferCall, no_name},
    elements,
    http::{JSON_LENGTH, Request, Response, read_body, reply, with_type, wrong_method},
    metrics::{self, Face},
    oip_body::{self, Encoded, InferBody},
    rpc::LONG_TEXT,
};
use hyper::{HeaderMap, Method, StatusCode, header::HeaderValue};
use llmesh_primitives::ElementType;
use serde_json::json;
use std::sync::Arc;

/// What a path under `/v2` means.
#[derive(Debug, PartialEq, Eq)]
enum Path {
    Server,
    Live,
    Ready,
    Models,
    Model(ModelPath),
}

#[derive(Debug, PartialEq, Eq)]
struct ModelPath {
    /// `namespace/name`.
    name: String,
    version: Option<String>,
    action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Metadata,
    Ready,
    Infer,
}

/// Answers a request whose path is not JSON-RPC's.
pub(crate) async fn serve(
    calls: &Arc<Calls>,
    request: Request,
    caller: Caller,
) -> Result<Response, GatewayError> {
    let path = parse(request.uri().path())?;
    let infer = matches!(&path, Path::Model(p) if p.action == Action::Infer);
    let wanted = if infer { Method::POST } else { Method::GET };
    if *request.method() != wanted {
        // `/v2/models/magika/infer` reads as the metadata of `magika/infer`, which nobody means by a POST.
        return Err(match &path {
            Path::Model(p) if wanted == Method::GET && p.name.ends_with("/infer") => {
                no_name(p.name.trim_end_matches("/infer"))
            }
            _ => wrong_method(),
        });
    }
    match path {
        Path::Server => Ok(reply(
            StatusCode::OK,
            &json!({
                "name": "llmesh-gateway",
                "version": env!("CARGO_PKG_VERSION"),
                "extensions": ["binary_tensor_data"],
            }),
        )),
        Path::Live => Ok(reply(StatusCode::OK, &json!({ "live": true }))),
        Path::Ready => {
            let ready = calls.ready();
            Ok(reply(status_of(ready), &json!({ "ready": ready })))
        }
        Path::Models => {
            let models = calls
                .simple(Face::Http, metrics::Method::Models, &caller, |g| g.models())
                .await?;
            let names: Vec<&str> = models.iter().map(|m| m.name.as_str()).collect();
            Ok(reply(StatusCode::OK, &json!({ "models": names })))
        }
        Path::Model(ModelPath {
            name,
            version,
            action,
        }) => match action {
            Action::Infer => infer_model(calls, request, &caller, name, version).await,
            Action::Metadata => {
                let model = calls
                    .model(Face::Http, &caller, &name, version.as_deref())
                    .await?;
                Ok(reply(StatusCode::OK, &metadata(&model)))
            }
            Action::Ready => {
                let model = calls
                    .model(Face::Http, &caller, &name, version.as_deref())
                    .await?;
                let ready = calls.ready() && model.hosts > 0;
                Ok(reply(
                    status_of(ready),
                    &json!({ "name": model.name, "ready": ready }),
                ))
            }
        },
    }
}

fn status_of(ready: bool) -> StatusCode {
    if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// Reads a path. A model's name has a slash in it, which may or may not be percent-encoded.
fn parse(path: &str) -> Result<Path, GatewayError> {
    let unknown = || {
        GatewayError::new(
            Reason::NotFound,
            "there is nothing at this path; the Open Inference Protocol begins at /v2, JSON-RPC is at /",
        )
    };
    let decoded =
        percent_decode(path).ok_or_else(|| GatewayError::invalid("the path is not percent-encoded UTF-8"))?;
    let mut parts: Vec<&str> = decoded.split('/').collect();
    // A slash at the end means nothing.
    if parts.len() > 2 && parts.last() == Some(&"") {
        parts.pop();
    }
    match parts.as_slice() {
        ["", "v2"] => Ok(Path::Server),
        ["", "v2", "health", "live"] => Ok(Path::Live),
        ["", "v2", "health", "ready"] => Ok(Path::Ready),
        ["", "v2", "models"] => Ok(Path::Models),
        ["", "v2", "models", name] => Err(no_name(name)),
        ["", "v2", "models", namespace, name, rest @ ..] => {
            let (version, action) = match rest {
                [] => (None, Action::Metadata),
                ["ready"] => (None, Action::Ready),
                ["infer"] => (None, Action::Infer),
                ["versions", version] => (Some(*version), Action::Metadata),
                ["versions", version, "ready"] => (Some(*version), Action::Ready),
                ["versions", version, "infer"] => (Some(*version), Action::Infer),
                _ => return Err(unknown()),
            };
            Ok(Path::Model(ModelPath {
                name: format!("{namespace}/{name}"),
                version: version.map(String::from),
                action,
            }))
        }
        _ => Err(unknown()),
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            let mut byte = [0];
            hex::decode_to_slice(digits, &mut byte).ok()?;
            bytes.extend(byte);
            rest = tail;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// A model as the protocol describes it; what the mesh adds is under `parameters`.
fn metadata(model: &ModelInfo) -> serde_json::Value {
    let side = |tensors: &[TensorInfo]| -> Vec<_> {
        tensors
            .iter()
            .map(|t| json!({ "name": t.name, "datatype": t.datatype, "shape": t.shape }))
            .collect()
    };
    let versions: Vec<String> = model.versions.iter().map(ToString::to_string).collect();
    json!({
        "name": model.name,
        "versions": versions,
        "platform": "onnx_onnxv1",
        "inputs": side(&model.inputs),
        "outputs": side(&model.outputs),
        "parameters": {
            "version": model.version.to_string(),
            "content_id": model.content_id,
            "hosts": model.hosts,
            "lowest_price": model.price.map(|p| p.lowest.to_string()),
            "highest_price": model.price.map(|p| p.highest.to_string()),
        },
    })
}

async fn infer_model(
    calls: &Arc<Calls>,
    request: Request,
    caller: &Caller,
    name: String,
    version: Option<String>,
) -> Result<Response, GatewayError> {
    if calls.stopping.is_cancelled() {
        return Err(GatewayError::new(Reason::Stopping, "the node stops"));
    }
    // Who may not spend need not send.
    calls.may_spend(caller)?;
    let json_length = json_length(request.headers())?;
    // Held until the answer is there: first for the body, then for what became of it.
    let (bytes, mut share) = read_body(calls, request.into_body()).await?;
    let InferBody {
        id,
        inputs,
        outputs,
        parameters,
    } = on_thread(bytes.len(), move || oip_body::decode(&bytes, json_length)).await?;
    share.shrink(inputs.iter().fold(0, |n, t| t.data.len().saturating_add(n)));
    let call = InferCall {
        model: name,
        version,
        inputs,
        outputs: outputs
            .as_ref()
            .map(|wishes| wishes.iter().map(|w| w.name.clone()).collect()),
        max_price: parameters.max_price,
        priority: parameters.priority,
        min_reputation: parameters.min_reputation,
        deadline: parameters.deadline,
    };
    let wishes = oip_body::Wishes {
        outputs,
        binary: parameters.binary,
    };
    let (model, response) = calls
        .infer(Face::Http, caller, call, None, |model| {
            check_outputs(model, &wishes)
        })
        .await?;
    let size = response.outputs.total_bytes();
    let Encoded { bytes, json_length } = on_thread(size, move || {
        oip_body::encode(&model, id.as_deref(), &response, &wishes)
    })
    .await?;
    let Some(length) = json_length else {
        return Ok(with_type(StatusCode::OK, "application/json", bytes));
    };
    let mut reply = with_type(StatusCode::OK, "application/octet-stream", bytes);
    reply.headers_mut().insert(JSON_LENGTH, HeaderValue::from(length));
    Ok(reply)
}

/// Refuses, before anything is paid, what could not be written afterwards.
fn check_outputs(model: &ModelInfo, wishes: &oip_body::Wishes) -> Result<(), GatewayError> {
    for output in &model.outputs {
        let json = ElementType::from_name(&output.datatype).is_some_and(elements::has_json_form);
        if wishes.binary_for(&output.name) == Some(false) && !json {
            return Err(GatewayError::tensors(format!(
                "the output `{}` has type {}, which has no JSON form: ask for it with binary_data",
                output.name, output.datatype
            )));
        }
    }
    Ok(())
}

fn json_length(headers: &HeaderMap) -> Result<Option<usize>, GatewayError> {
    let mut values = headers.get_all(JSON_LENGTH).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .ok()
            .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .map(Some)
            .ok_or_else(|| GatewayError::invalid("Inference-Header-Content-Length is not a number of bytes")),
        _ => Err(GatewayError::invalid(
            "there is more than one Inference-Header-Content-Length",
        )),
    }
}

/// Does `work` here, or on a thread where it may take long when there is much of it.
async fn on_thread<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, GatewayError> + Send + 'static,
) -> Result<T, GatewayError> {
    if bytes <= LONG_TEXT {
        return work();
    }
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(GatewayError::new(
            Reason::Internal,
            "the request could not be worked on",
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, version: Option<&str>, action: Action) -> Path {
        Path::Model(ModelPath {
            name: name.into(),
            version: version.map(String::from),
            action,
        })
    }

    #[test]
    fn paths_are_read_with_and_without_encoding() {
        for (path, meaning) in [
            ("/v2", Path::Server),
            ("/v2/", Path::Server),
            ("/v2/health/live", Path::Live),
            ("/v2/health/ready", Path::Ready),
            ("/v2/models", Path::Models),
            (
                "/v2/models/google/magika",
                model("google/magika", None, Action::Metadata),
            ),
            (
                "/v2/models/google%2Fmagika",
                model("google/magika", None, Action::Metadata),
            ),
            (
                "/v2/models/google%2fmagika/",
                model("google/magika", None, Action::Metadata),
            ),
            (
                "/v2/models/google%2Fmagika/ready",
                model("google/magika", None, Action::Ready),
            ),
            (
                "/v2/models/google/magika/infer",
                model("google/magika", None, Action::Infer),
            ),
            (
                "/v2/models/google/magika/versions/1.0.0",
                model("google/magika", Some("1.0.0"), Action::Metadata),
            ),
            (
                "/v2/models/google%2Fmagika/versions/1.0.0/infer",
                model("google/magika", Some("1.0.0"), Action::Infer),
            ),
            (
                "/v2/models/google/magika/versions/1.0.0/ready",
                model("google/magika", Some("1.0.0"), Action::Ready),
            ),
            // Names that look like actions.
            ("/v2/models/a/infer/infer", model("a/infer", None, Action::Infer)),
            ("/v2/models/a/ready", model("a/ready", None, Action::Metadata)),
        ] {
            assert_eq!(parse(path).unwrap(), meaning, "{path}");
        }
    }

    #[test]
    fn other_paths_are_refused() {
        for (path, reason) in [
            ("/v1", Reason::NotFound),
            ("/v2x", Reason::NotFound),
            ("/v2/health", Reason::NotFound),
            ("/v2/models/magika", Reason::UnknownModel),
            ("/v2/models/a/b/c", Reason::NotFound),
            ("/v2/models/a/b/versions", Reason::NotFound),
            ("/v2/models/a/b/versions/1.0.0/infer/x", Reason::NotFound),
            ("/v2/models/%ff/x", Reason::InvalidRequest),
            ("/v2/models/%2", Reason::InvalidRequest),
            ("/v2/models/%zz/x", Reason::InvalidRequest),
        ] {
            assert_eq!(parse(path).unwrap_err().reason, reason, "{path}");
        }
    }
}
