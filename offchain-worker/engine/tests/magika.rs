//! The engine against bare ONNX Runtime in Python, on a real model and real bytes.

mod common;

use common::{Bench, tensors, variable};
use llmesh_engine::{DynamicDims, EngineConfig, Executor, ModelRef, RunRequest};
use llmesh_primitives::{Dim, ElementType, Tensor};
use std::{path::PathBuf, process::Command, sync::Arc};

/// As magika does it: 1024 bytes from the start and 1024 from the end, white space stripped, padded with 256.
fn features(file: &[u8]) -> Vec<i32> {
    const HALF: usize = 1024;
    const PADDING: i32 = 256;
    let strip = |b: &u8| matches!(b, 9..=13 | 32);
    let head = &file[..file.len().min(4096)];
    let head = &head[head.iter().position(|b| !strip(b)).unwrap_or(head.len())..];
    let tail = &file[file.len().saturating_sub(4096)..];
    let tail = &tail[..tail.iter().rposition(|b| !strip(b)).map_or(0, |i| i + 1)];
    let mut numbers: Vec<i32> = head.iter().take(HALF).map(|b| i32::from(*b)).collect();
    numbers.resize(HALF, PADDING);
    let tail = &tail[tail.len().saturating_sub(HALF)..];
    numbers.extend(std::iter::repeat_n(PADDING, HALF - tail.len()));
    numbers.extend(tail.iter().map(|b| i32::from(*b)));
    numbers
}

fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let python = include_bytes!("reference.py").to_vec();
    let rust = include_bytes!("magika.rs").to_vec();
    let mut pdf = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n".to_vec();
    pdf.extend(b"xref\n0 3\ntrailer\n<< /Root 1 0 R >>\nstartxref\n9\n%%EOF\n");
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x06\0\0\0".to_vec();
    png.extend((0..2000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8));
    png.extend(b"\0\0\0\0IEND\xaeB`\x82");
    let json = br#"{"name": "llmesh", "private": true, "dependencies": {"a": "^1.0.0"}}"#.to_vec();
    vec![
        ("python", python),
        ("rust", rust),
        ("pdf", pdf),
        ("png", png),
        ("json", json),
    ]
}

fn argmax(scores: &[f64]) -> usize {
    (0..scores.len())
        .max_by(|a, b| scores[*a].total_cmp(&scores[*b]))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_and_scores_are_those_of_bare_onnxruntime() {
    let file = variable("LLMESH_MAGIKA_DIR").join("model.onnx");
    let bench = Bench::with(EngineConfig {
        threads: 2,
        ..EngineConfig::default()
    });
    let content_id = bench.engine.store().import(&file, None).unwrap().content_id;
    let (signature, open) = bench.engine.inspect(content_id, &DynamicDims::default()).unwrap();
    assert_eq!(signature.inputs[0].name.as_slice(), b"bytes");
    assert_eq!(
        signature.inputs[0].shape.as_slice(),
        [Dim::UpTo(1), Dim::Fixed(2048)]
    );
    assert_eq!(signature.outputs[0].element_type, ElementType::F32);
    assert!(!open.is_empty());

    let samples = samples();
    let mut paths = Vec::<PathBuf>::new();
    let mut runs = Vec::new();
    let model = ModelRef {
        content_id,
        signature: Arc::new(signature),
        probe: String::new(),
    };
    for (name, bytes) in &samples {
        let data: Vec<u8> = features(bytes).iter().flat_map(|n| n.to_le_bytes()).collect();
        let path = bench.folder.path().join(name);
        std::fs::write(&path, &data).unwrap();
        paths.push(path);
        let input = Tensor::new("bytes", ElementType::I32, &[1, 2048], data).unwrap();
        let request = RunRequest::new(model.clone(), tensors([input]));
        runs.push(bench.engine.execute(request));
    }
    let mut ours = Vec::new();
    for run in runs {
        let execution = run.await.unwrap();
        let output = &execution.outputs[0];
        assert_eq!(output.name_str(), "target_label");
        let scores: Vec<f64> = output
            .data
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f64::from(f32::from_le_bytes(*b)))
            .collect();
        ours.push(scores);
    }

    // Asked for at run time: a target folder can be shared by several checkouts.
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it for tests");
    let script = PathBuf::from(folder).join("tests/reference.py");
    let output = Command::new(variable("LLMESH_PYTHON"))
        .arg(script)
        .arg(&file)
        .args(&paths)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let theirs: Vec<Vec<f64>> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(ours.len(), theirs.len());
    let mut labels = Vec::new();
    for (((name, _), ours), theirs) in samples.iter().zip(&ours).zip(&theirs) {
        assert_eq!(argmax(ours), argmax(theirs), "{name}");
        for (a, b) in ours.iter().zip(theirs) {
            assert!((a - b).abs() <= 1e-5, "{name}: {a} and {b}");
        }
        labels.push(argmax(ours));
    }
    labels.dedup();
    assert!(
        labels.len() >= 3,
        "the samples should be of different kinds: {labels:?}"
    );
}
