//! The probe finder on real models and on what exporters write.

mod common;

use common::{Length, Message, model, node, value, variable};
use llmesh_engine::{OnnxError, ProbeChoice, find_probe};
use proptest::prelude::*;

/// The name of the probe, empty for the outputs, and the reason.
fn find(bytes: &[u8]) -> (String, String) {
    let choice = find_probe(bytes).unwrap();
    (choice.name().to_owned(), choice.because().to_owned())
}

/// A graph out of nodes written as `operator: inputs -> outputs`, with inputs `x` and `z` and an output of 100 numbers.
/// Names that begin with `c` are constants.
fn graph(lines: &[&str], outputs: &[(&str, u64)]) -> Vec<u8> {
    let mut nodes = Vec::new();
    let mut constants = Vec::<&str>::new();
    for line in lines {
        let (operator, rest) = line.split_once(": ").unwrap();
        let (inputs, made) = rest.split_once(" -> ").unwrap();
        let inputs: Vec<&str> = inputs.split(' ').filter(|i| !i.is_empty()).collect();
        for name in inputs.iter().filter(|i| i.starts_with('c')) {
            if !constants.contains(name) {
                constants.push(name);
                nodes.push(node("Constant", &[], &[name]));
            }
        }
        nodes.push(node(operator, &inputs, &made.split(' ').collect::<Vec<_>>()));
    }
    let inputs = ["x", "z"].map(|name| value(name, 1, &[Length::Open("batch"), Length::Is(100)]));
    let outputs: Vec<Message> = outputs
        .iter()
        .map(|(name, n)| value(name, 1, &[Length::Open("batch"), Length::Is(*n)]))
        .collect();
    model(&nodes, &inputs, &outputs)
}

fn probe_of(lines: &[&str]) -> String {
    find(&graph(lines, &[("y", 100)])).0
}

const LAYER: &str = "MatMul: x cw -> h";

#[test]
fn saturating_steps_are_found_behind_steps_that_rearrange() {
    for operator in [
        "Softmax",
        "LogSoftmax",
        "Sigmoid",
        "HardSigmoid",
        "Tanh",
        "ArgMax",
        "Clip",
    ] {
        assert_eq!(
            probe_of(&[LAYER, &format!("{operator}: h -> y")]),
            "h",
            "{operator}"
        );
        let step = format!("{operator}: h -> a");
        let lines = [
            LAYER,
            &step,
            "Cast: a -> b",
            "Reshape: b cshape -> d",
            "Identity: d -> y",
        ];
        assert_eq!(probe_of(&lines), "h", "{operator}");
    }
    assert_eq!(probe_of(&[LAYER, "Softmax: h -> a", "Log: a -> y"]), "h");
    assert_eq!(probe_of(&[LAYER, "Sigmoid: h -> a", "Sub: cone a -> y"]), "h");
    assert_eq!(probe_of(&[LAYER, "Min: h csix -> y"]), "h");
}

#[test]
fn the_first_of_several_saturating_steps_counts() {
    assert_eq!(probe_of(&[LAYER, "Softmax: h -> a", "ArgMax: a -> y"]), "h");
    assert_eq!(
        probe_of(&[LAYER, "Add: h cb -> l", "Sigmoid: l -> a", "Round: a -> y"]),
        "l"
    );
}

#[test]
fn a_layer_ends_the_search() {
    assert_eq!(probe_of(&[LAYER, "Sigmoid: h -> a", "MatMul: a cv -> y"]), "");
    assert_eq!(probe_of(&[LAYER, "Softmax: h -> a", "Mul: a z -> y"]), "");
    assert_eq!(probe_of(&[LAYER, "Relu: h -> y"]), "");
    // With attention or gates inside, as long as the end is plain.
    assert_eq!(
        probe_of(&[LAYER, "Sigmoid: h -> g", "Mul: h g -> a", "Gemm: a cv -> y"]),
        ""
    );
}

#[test]
fn softmax_is_recognised_as_exporters_spell_it_out() {
    let plain = [LAYER, "Exp: h -> e", "ReduceSum: e caxes -> s", "Div: e s -> y"];
    assert_eq!(probe_of(&plain), "h");
    let stable = [
        LAYER,
        "ReduceMax: h -> m",
        "Max: cmin m -> m2",
        "Reshape: m2 cshape -> m3",
        "Expand: m3 cshape -> m4",
        "Sub: h m4 -> s",
        "Exp: s -> e",
        "ReduceSum: e caxes -> t",
        "Reshape: t cshape -> t2",
        "Expand: t2 cshape -> t3",
        "Div: e t3 -> y",
    ];
    assert_eq!(probe_of(&stable), "h");
    let log = [
        LAYER,
        "ReduceMax: h -> m",
        "Sub: h m -> s",
        "Exp: s -> e",
        "ReduceSum: e caxes -> t",
        "Log: t -> l",
        "Sub: s l -> y",
    ];
    assert_eq!(probe_of(&log), "h");
    assert_eq!(
        probe_of(&[LAYER, "ReduceLogSumExp: h -> l", "Sub: h l -> y"]),
        "h"
    );
}

#[test]
fn the_logistic_function_is_recognised() {
    let lines = [
        LAYER,
        "Neg: h -> n",
        "Exp: n -> e",
        "Add: e cone -> d",
        "Div: cone d -> y",
    ];
    assert_eq!(probe_of(&lines), "h");
}

#[test]
fn normalisations_are_recognised() {
    let exported = [
        LAYER,
        "ReduceL2: h -> n",
        "Clip: n cmin -> n2",
        "Shape: h -> shape",
        "Expand: n2 shape -> n3",
        "Div: h n3 -> y",
    ];
    assert_eq!(probe_of(&exported), "h");
    let by_square = [
        LAYER,
        "Mul: h h -> q",
        "ReduceSum: q caxes -> s",
        "Sqrt: s -> n",
        "Add: n ceps -> n2",
        "Div: h n2 -> y",
    ];
    assert_eq!(probe_of(&by_square), "h");
    let root_mean_square = [
        LAYER,
        "Pow: h ctwo -> q",
        "ReduceMean: q -> s",
        "Add: s ceps -> s2",
        "Sqrt: s2 -> n",
        "Reciprocal: n -> r",
        "Mul: h r -> a",
        "Mul: a cgain -> y",
    ];
    assert_eq!(probe_of(&root_mean_square), "h");
    let layer_norm = [
        LAYER,
        "ReduceMean: h -> m",
        "Sub: h m -> d",
        "Pow: d ctwo -> q",
        "ReduceMean: q -> v",
        "Add: v ceps -> v2",
        "Sqrt: v2 -> n",
        "Div: d n -> a",
        "Mul: a cgain -> b",
        "Add: b cbias -> y",
    ];
    assert_eq!(probe_of(&layer_norm), "h");
    // The mean taken from a second copy of the difference, as some exporters write it.
    let twice = [
        LAYER,
        "ReduceMean: h -> m",
        "Sub: h m -> d",
        "Sub: h m -> d2",
        "Mul: d2 d2 -> q",
        "ReduceMean: q -> v",
        "Sqrt: v -> n",
        "Div: d n -> y",
    ];
    assert_eq!(probe_of(&twice), "h");
    assert_eq!(probe_of(&[LAYER, "LayerNormalization: h cg cb -> y"]), "h");
    assert_eq!(probe_of(&[LAYER, "LpNormalization: h -> y"]), "h");
}

#[test]
fn what_only_looks_like_a_normalisation_is_none() {
    // A quotient by something of another origin, and a gate that a layer computes from a mean.
    assert_eq!(probe_of(&[LAYER, "ReduceSum: z -> s", "Div: h s -> y"]), "");
    let gate = [
        "ReduceMean: h -> m",
        "MatMul: m cv -> g",
        "Sigmoid: g -> g2",
        "Mul: h g2 -> y",
    ];
    assert_eq!(probe_of(&[&[LAYER][..], &gate].concat()), "");
}

#[test]
fn a_part_of_two_classes_is_seen_through() {
    let lines = [LAYER, "Sigmoid: h -> p", "Sub: cone p -> q", "Concat: q p -> y"];
    assert_eq!(probe_of(&lines), "h");
    let different = [
        LAYER,
        "MatMul: x cv -> g",
        "Sigmoid: h -> p",
        "Sigmoid: g -> q",
        "Concat: q p -> y",
    ];
    assert_eq!(probe_of(&different), "");
}

#[test]
fn with_several_outputs_the_largest_saturated_one_decides() {
    let lines = [LAYER, "MatMul: x cv -> g", "Sigmoid: h -> p", "Softmax: g -> q"];
    assert_eq!(
        find(&graph(&lines, &[("p", 100), ("q", 100)])).0,
        "h",
        "the first of equals"
    );
    assert_eq!(find(&graph(&lines, &[("p", 100), ("q", 101)])).0, "g");
    assert_eq!(
        find(&graph(&lines, &[("h", 1000), ("q", 101)])).0,
        "g",
        "h is compared as it is"
    );
}

#[test]
fn a_few_elements_are_too_few() {
    let lines = [
        LAYER,
        "Relu: h -> r",
        "MatMul: r cv -> l",
        "Add: l cb -> l2",
        "Sigmoid: l2 -> y",
    ];
    assert_eq!(find(&graph(&lines, &[("y", 16)])).0, "l2");
    let (name, because) = find(&graph(&lines, &[("y", 15)]));
    assert_eq!(name, "r");
    assert!(
        because.contains("MatMul") && because.contains("Sigmoid") && because.contains("16"),
        "{because}"
    );
    // A label is one number, but not its scores.
    let label = [LAYER, "Relu: h -> r", "MatMul: r cv -> l", "ArgMax: l -> y"];
    assert_eq!(find(&graph(&label, &[("y", 1)])).0, "l");
}

#[test]
fn what_can_not_be_a_probe_is_said() {
    let (name, because) = find(&graph(&["Softmax: x -> y"], &[("y", 100)]));
    assert!(name.is_empty() && because.contains("input"), "{because}");
    let long = "n".repeat(65);
    let lines = [format!("MatMul: x cw -> {long}"), format!("Softmax: {long} -> y")];
    let (name, because) = find(&graph(&[&lines[0], &lines[1]], &[("y", 100)]));
    assert!(name.is_empty() && because.contains("64 bytes"), "{because}");
    let (name, because) = find(&graph(&[LAYER, "Relu: h -> y"], &[("y", 100)]));
    assert!(name.is_empty() && because.contains("no output"), "{because}");
}

fn branch(name: &str, body: Message) -> Message {
    Message::default().text(1, name).message(6, body).number(20, 5)
}

#[test]
fn a_branch_is_passed_only_when_it_rearranges() {
    let of = |operator, output| {
        Message::default()
            .message(1, node(operator, &["p"], &[output]))
            .text(2, "branch")
            .message(12, value(output, 1, &[]))
    };
    let build = |then, otherwise| {
        let choose = node("If", &["flag"], &["y"])
            .message(5, branch("then_branch", of(then, "t")))
            .message(5, branch("else_branch", of(otherwise, "e")));
        model(
            &[
                node("Constant", &[], &["cw"]),
                node("MatMul", &["x", "cw"], &["h"]),
                node("Sigmoid", &["h"], &["p"]),
                choose,
            ],
            &[value("x", 1, &[Length::Is(100)]), value("flag", 9, &[])],
            &[value("y", 1, &[Length::Is(100)])],
        )
    };
    assert_eq!(find(&build("Squeeze", "Identity")).0, "h");
    let (name, because) = find(&build("Squeeze", "Relu"));
    assert!(name.is_empty() && because.contains("If"), "{because}");
}

#[test]
fn a_knot_ends_the_search() {
    // Nodes that feed themselves, and halves that double at each step.
    assert_eq!(
        probe_of(&["Softmax: a -> b", "Identity: b -> a", "Identity: a -> y"]),
        "a"
    );
    let mut lines = vec![LAYER.to_owned(), "Sigmoid: h -> a0".to_owned()];
    lines.extend((0..60).map(|n| format!("Concat: a{n} a{n} -> a{}", n + 1)));
    lines.push("Identity: a60 -> y".to_owned());
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (name, because) = find(&graph(&lines, &[("y", 100)]));
    assert!(name.is_empty(), "{because}");
    // Wide nodes cost what it takes to look at them.
    let wide = format!("Concat:{} -> y", " a".repeat(500_000));
    let (name, because) = find(&graph(&[LAYER, "Sigmoid: h -> a", &wide], &[("y", 100)]));
    assert!(name.is_empty() && because.contains("tangled"), "{because}");
}

#[test]
fn what_is_no_model_is_refused() {
    for bytes in [&b""[..], b"\x00", b"\x89PNG\r\n\x1a\n", b"{\"a\": 1}"] {
        assert!(find_probe(bytes).is_err(), "{bytes:?}");
    }
    let whole = graph(&[LAYER, "Softmax: h -> y"], &[("y", 100)]);
    // The graph is one field: cut inside it there is nothing to find.
    let refused =
        (0..whole.len() - 8).filter(|n| matches!(find_probe(&whole[..*n]), Err(OnnxError::Truncated)));
    assert!(refused.count() > whole.len() / 2);
}

#[test]
fn the_logits_of_magika_are_found() {
    let bytes = std::fs::read(variable("LLMESH_MAGIKA_DIR").join("model.onnx")).unwrap();
    let (name, because) = find(&bytes);
    assert_eq!(
        name,
        "jax2tf_get_logits_/pjit_get_logits_/MagikaV2/Dense_1/AddV2:0"
    );
    assert!(
        because.contains("\"target_label\"") && because.contains("a softmax"),
        "{because}"
    );
}

fn optional_model(name: &str) -> Vec<u8> {
    let file = variable("LLMESH_CACHE")
        .join("models")
        .join(name)
        .join("model.onnx");
    std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}: run scripts/setup --models", file.display()))
}

#[test]
#[ignore = "needs the models of scripts/setup --models"]
fn the_last_hidden_state_of_silero_vad_is_found() {
    let (name, because) = find(&optional_model("silero-vad"));
    assert_eq!(name, "/model/decoder/decoder/1/Relu_output_0", "{because}");
}

#[test]
#[ignore = "needs the models of scripts/setup --models"]
fn the_vector_before_its_normalisation_is_found() {
    let (name, because) = find(&optional_model("minilm"));
    assert_eq!(name, "pooling/Div", "{because}");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = find_probe(&bytes);
    }

    #[test]
    fn damaged_models_never_panic(at: usize, byte: u8, cut: usize) {
        let mut bytes = graph(
            &[LAYER, "ReduceMax: h -> m", "Sub: h m -> s", "Exp: s -> e", "ReduceSum: e caxes -> t", "Div: e t -> y"],
            &[("y", 100)],
        );
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = find_probe(&bytes);
        bytes.truncate(cut % bytes.len());
        let _ = find_probe(&bytes);
    }

    /// Any wiring of any operators: the search ends, and what it names is made in the graph.
    #[test]
    fn random_graphs_never_hang(
        wires in proptest::collection::vec((0usize..16, 0usize..8, 0usize..8, 0usize..8), 1..40),
    ) {
        const OPERATORS: [&str; 16] = [
            "Add", "Sub", "Mul", "Div", "Exp", "Log", "ReduceSum", "ReduceMax", "Concat", "Softmax", "Sqrt", "MatMul",
            "Reshape", "If", "Neg", "Identity",
        ];
        let lines: Vec<String> = wires
            .iter()
            .map(|(operator, a, b, made)| format!("{}: t{a} t{b} -> t{made}", OPERATORS[*operator]))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        if let ProbeChoice::Tensor { name, .. } = find_probe(&graph(&lines, &[("t0", 100)])).unwrap() {
            let made = wires.iter().any(|(_, _, _, made)| name == format!("t{made}"));
            prop_assert!(made, "{} is made by nothing", name);
        }
    }
}
