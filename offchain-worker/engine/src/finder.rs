//! Finds the probe of a model: the tensor by which its runs are compared.
//!
//! Probabilities, labels and normalised vectors are made of other numbers by a step that forgets: it pushes what is
//! large together, or divides the scale out. A model with other weights can look right behind such a step. So the probe
//! is the tensor before the last of them.
//!
//! From each output the search walks backwards. It passes steps that only rearrange or map element by element without
//! weights of the model's size (reshapes, casts, additions of constants, means over an axis); it notes steps that
//! saturate or normalise; and it ends where the model's real work begins (a matrix product, a convolution, a recurrent
//! layer, or anything it does not know). When it passed a forgetful step, the tensor in front of the first such step of
//! the way is the probe. Steps that exporters spell out are recognised by their structure: a difference, product or
//! quotient of a tensor and of something reduced from the same tensor (softmax by Exp, ReduceSum and Div; L2 and layer
//! normalisation), and the logistic function by Exp and Div.
//!
//! With several outputs, the one with the most elements (as far as declared) among those with a forgetful step decides,
//! the first of equals; outputs without such a step are compared as they are anyway.
//!
//! A probe with fewer than [`MIN_ELEMENTS`] elements (a single logit) can not be compared by relative difference: it may
//! be close to zero. Then the input of the layer that makes it is the probe, the last hidden state.

use crate::{
    OnnxError,
    graph::{Graph, Node, Output},
};
use llmesh_primitives::tensor::MAX_NAME_BYTES;

/// A probe has at least as many elements, where the model says how many there are.
pub const MIN_ELEMENTS: u64 = 16;
/// Most steps that the search looks at, in all directions together.
const MAX_STEPS: usize = 20_000;
/// Most steps from an output backwards.
const MAX_DEPTH: usize = 200;
/// Most steps between a tensor and what is reduced from it.
const MAX_REDUCTION_DEPTH: usize = 16;

/// What to compare, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeChoice {
    /// The tensor of this name.
    Tensor { name: String, because: String },
    /// The outputs themselves.
    Outputs { because: String },
}

impl ProbeChoice {
    /// The name as a manifest carries it: empty when the outputs are compared.
    pub fn name(&self) -> &str {
        match self {
            Self::Tensor { name, .. } => name,
            Self::Outputs { .. } => "",
        }
    }

    /// The reason in words.
    pub fn because(&self) -> &str {
        match self {
            Self::Tensor { because, .. } | Self::Outputs { because } => because,
        }
    }
}

/// Finds the probe of a model, given the bytes of its ONNX file. The model is not loaded.
///
/// # Errors
/// When the bytes are not a whole ONNX model.
pub fn find_probe(model: &[u8]) -> Result<ProbeChoice, OnnxError> {
    let graph = Graph::of_model(model)?;
    let mut search = Search {
        graph: &graph,
        steps: MAX_STEPS,
    };
    let mut best: Option<(Output<'_>, Found<'_>)> = None;
    let mut blocked = None;
    for output in &graph.outputs {
        match search.search_output(*output) {
            Ok(Some(found)) => {
                if best.as_ref().is_none_or(|(b, _)| output.elements > b.elements) {
                    best = Some((*output, found));
                }
            }
            Ok(None) => {}
            Err(reason) => {
                blocked.get_or_insert((output.name, reason));
            }
        }
    }
    Ok(match (best, blocked) {
        (Some((output, found)), _) => ProbeChoice::Tensor {
            name: found.tensor.to_owned(),
            because: found.because(output.name),
        },
        (None, Some((output, reason))) => ProbeChoice::Outputs {
            because: format!("{reason} (output {output:?})"),
        },
        (None, None) => ProbeChoice::Outputs {
            because: "no output comes out of a step that saturates or normalises".into(),
        },
    })
}

/// What steps are called that exporters spell out.
const SOFTMAX: &str = "a softmax";
const NORMALISATION: &str = "a normalisation";
const LOGISTIC: &str = "a logistic function";

/// Why there is no probe behind an output although there may be a forgetful step.
type Blocked = &'static str;

struct Found<'a> {
    tensor: &'a str,
    /// What saturates or normalises between probe and output, from the output's side.
    operators: Vec<&'a str>,
    /// The operator of the layer behind the forgetful steps, when the probe is its input.
    layer: Option<&'a str>,
}

impl Found<'_> {
    fn because(&self, output: &str) -> String {
        let mut list = self.operators.iter().rev().copied().collect::<Vec<_>>();
        list.dedup();
        let steps = list.join(", ");
        match self.layer {
            None => format!("the output {output:?} is made of it by {steps}"),
            Some(layer) => format!(
                "it is what {layer} makes the output {output:?} of, followed by {steps}; in between there are fewer than \
                 {MIN_ELEMENTS} elements"
            ),
        }
    }
}

/// What a step does, seen from its output.
enum Step<'a> {
    /// Rearranges or maps single elements; go on with this input.
    Through(&'a str),
    /// Saturates or normalises; go on with this input. The second is what it is called: the operator, or a phrase for
    /// a step that is spelled out.
    Forgets(&'a str, &'a str),
    /// Combines all of these; go on if they come from one tensor.
    Several(Vec<&'a str>),
    /// The model's real work.
    Work,
}

struct Search<'g, 'a> {
    graph: &'g Graph<'a>,
    steps: usize,
}

/// Operators that only rearrange their first input, or take a part of it.
fn rearranges(operator: &str) -> bool {
    matches!(
        operator,
        "Identity"
            | "Cast"
            | "CastLike"
            | "Reshape"
            | "Flatten"
            | "Squeeze"
            | "Unsqueeze"
            | "Transpose"
            | "Expand"
            | "Tile"
            | "Slice"
            | "Split"
            | "Gather"
            | "GatherElements"
            | "GatherND"
            | "Pad"
            | "Dropout"
            | "DequantizeLinear"
            | "DepthToSpace"
            | "SpaceToDepth"
    )
}

/// Operators that map each element by itself and forget nothing.
fn maps(operator: &str) -> bool {
    matches!(
        operator,
        "Exp" | "Log" | "Neg" | "Sqrt" | "Reciprocal" | "Abs" | "Pow" | "BatchNormalization"
    )
}

/// Operators that average: bounded numbers stay bounded.
fn averages(operator: &str) -> bool {
    matches!(
        operator,
        "ReduceMean" | "ReduceSum" | "AveragePool" | "GlobalAveragePool"
    )
}

/// Operators that saturate, round, choose or normalise.
fn forgets(operator: &str) -> bool {
    matches!(
        operator,
        "Softmax"
            | "LogSoftmax"
            | "Sigmoid"
            | "HardSigmoid"
            | "Tanh"
            | "Softsign"
            | "Erf"
            | "Clip"
            | "ArgMax"
            | "ArgMin"
            | "Hardmax"
            | "TopK"
            | "ReduceMax"
            | "ReduceMin"
            | "Sign"
            | "Round"
            | "Floor"
            | "Ceil"
            | "Greater"
            | "GreaterOrEqual"
            | "Less"
            | "LessOrEqual"
            | "QuantizeLinear"
            | "DynamicQuantizeLinear"
            | "LpNormalization"
            | "LayerNormalization"
            | "SimplifiedLayerNormalization"
            | "RMSNormalization"
            | "GroupNormalization"
            | "InstanceNormalization"
            | "MeanVarianceNormalization"
    )
}

/// Operators that apply the model's weights to their first input.
fn is_layer(operator: &str) -> bool {
    matches!(
        operator,
        "MatMul"
            | "Gemm"
            | "Conv"
            | "ConvTranspose"
            | "FusedMatMul"
            | "FusedGemm"
            | "FusedConv"
            | "MatMulNBits"
    )
}

impl<'g, 'a> Search<'g, 'a> {
    fn search_output(&mut self, output: Output<'a>) -> Result<Option<Found<'a>>, Blocked> {
        let mut operators = Vec::new();
        let probe = self.walk(output.name, &mut operators, 0)?;
        if operators.is_empty() {
            return Ok(None);
        }
        let mut found = Found {
            tensor: probe,
            operators,
            layer: None,
        };
        if output.elements < MIN_ELEMENTS
            && !is_choice(&found.operators)
            && let Some((input, layer)) = self.layer_input(probe)
        {
            found.tensor = input;
            found.layer = Some(layer);
        }
        if self.graph.producer(found.tensor).is_none() {
            return Err("what its last step saturates or normalises is the model's input itself");
        }
        if found.tensor.len() > MAX_NAME_BYTES as usize {
            return Err("the name of the tensor before its last step is longer than 64 bytes");
        }
        Ok(Some(found))
    }

    /// Walks back from a tensor. `operators` gets the forgetful ones; the return value is the tensor in front of the
    /// last of them, or as far as the walk came when there is none.
    fn walk(
        &mut self,
        from: &'a str,
        operators: &mut Vec<&'a str>,
        depth: usize,
    ) -> Result<&'a str, Blocked> {
        let (mut at, mut probe) = (from, from);
        for _ in depth..MAX_DEPTH {
            let Some(node) = self.graph.producer(at) else {
                break;
            };
            match self.step(node, at)? {
                Step::Work => break,
                Step::Through(next) => at = next,
                Step::Forgets(next, name) => {
                    // The subtraction of the maximum is a part of the softmax.
                    if !(name == NORMALISATION && operators.last() == Some(&SOFTMAX)) {
                        operators.push(name);
                    }
                    at = next;
                    probe = next;
                }
                Step::Several(branches) => {
                    let mut common = None;
                    for branch in branches {
                        let mut passed = Vec::new();
                        let end = self.walk(branch, &mut passed, depth + 1 + MAX_DEPTH / 8)?;
                        if passed.is_empty() || common.as_ref().is_some_and(|(tensor, _)| *tensor != end) {
                            // They are of different kinds, or at least one can be compared as it is.
                            return Ok(probe);
                        }
                        common.get_or_insert((end, passed));
                    }
                    if let Some((end, passed)) = common {
                        operators.extend(passed);
                        probe = end;
                    }
                    break;
                }
            }
        }
        Ok(probe)
    }

    /// Looking at a node costs a step, and one more for every 16 inputs that it has.
    fn spend(&mut self, node: &Node<'a>) -> Result<(), Blocked> {
        self.spend_steps(1 + node.inputs.len() / 16)
    }

    fn spend_steps(&mut self, steps: usize) -> Result<(), Blocked> {
        self.steps = self
            .steps
            .checked_sub(steps)
            .ok_or("its graph is too tangled to find the tensor before its last step")?;
        Ok(())
    }

    fn step(&mut self, node: &Node<'a>, made: &str) -> Result<Step<'a>, Blocked> {
        self.spend(node)?;
        let operator = node.operator;
        let Some(first) = node.input(0) else {
            return Ok(Step::Work);
        };
        if forgets(operator) {
            return Ok(Step::Forgets(first, operator));
        }
        if operator == "If" {
            return self.branches(node, made);
        }
        if operator == "Concat" {
            let parts: Vec<_> = node.inputs.iter().copied().filter(|n| !n.is_empty()).collect();
            return Ok(match parts.as_slice() {
                [one] => Step::Through(one),
                _ => Step::Several(parts),
            });
        }
        if rearranges(operator) || maps(operator) || averages(operator) {
            return Ok(Step::Through(first));
        }
        let Some(second) = node.input(1) else {
            return Ok(Step::Work);
        };
        if !matches!(operator, "Add" | "Sub" | "Mul" | "Div" | "Max" | "Min") || node.inputs.len() > 2 {
            return Ok(Step::Work);
        }
        // The logistic function spelled out: 1 / (1 + exp(-x)).
        if operator == "Div" && self.graph.is_constant(first) {
            return Ok(match self.exponent_plus_one(second) {
                Some(x) => Step::Forgets(x, LOGISTIC),
                None => Step::Through(second),
            });
        }
        let bounded = matches!(operator, "Max" | "Min");
        match (self.graph.is_constant(first), self.graph.is_constant(second)) {
            (true, true) => Ok(Step::Work),
            (false, true) if bounded => Ok(Step::Forgets(first, operator)),
            (true, false) if bounded => Ok(Step::Forgets(second, operator)),
            (false, true) => Ok(Step::Through(first)),
            (true, false) => Ok(Step::Through(second)),
            (false, false) if matches!(operator, "Sub" | "Mul" | "Div") => {
                if self.is_reduced_from(second, first)? {
                    // The numerator of a softmax: what it is a power of can be compared better.
                    let exp = self.graph.producer(first).filter(|n| n.operator == "Exp");
                    Ok(match exp.and_then(|n| n.input(0)) {
                        Some(power) => Step::Forgets(power, SOFTMAX),
                        None => Step::Forgets(first, NORMALISATION),
                    })
                } else if operator == "Mul" && self.is_reduced_from(first, second)? {
                    Ok(Step::Forgets(second, NORMALISATION))
                } else {
                    Ok(Step::Work)
                }
            }
            (false, false) => Ok(Step::Work),
        }
    }

    /// `If` whose branches only rearrange one and the same tensor from outside.
    fn branches(&mut self, node: &Node<'a>, made: &str) -> Result<Step<'a>, Blocked> {
        const INSIDE: Blocked = "it comes out of a branch (If), whose inner tensors can not be shown";
        let Some(index) = node.outputs.iter().position(|name| *name == made) else {
            return Ok(Step::Work);
        };
        // What it costs to read the branches must not be had for nothing.
        let size: usize = node.attributes.iter().map(|bytes| bytes.len()).sum();
        self.spend_steps(size / 4096)?;
        let mut source = None;
        for name in ["then_branch", "else_branch"] {
            let branch = node.graph(name).ok_or(INSIDE)?;
            let outer = self.outer_source(branch, index).ok_or(INSIDE)?;
            if source.is_some_and(|s| s != outer) {
                return Err(INSIDE);
            }
            source = Some(outer);
        }
        source.map(Step::Through).ok_or(INSIDE)
    }

    fn outer_source(&mut self, branch: &'a [u8], index: usize) -> Option<&'a str> {
        let inner = Graph::nested(branch).ok()?;
        let mut at = inner.outputs.get(index)?.name;
        for _ in 0..MAX_DEPTH {
            let Some(node) = inner.producer(at) else {
                return Some(at).filter(|name| !inner.is_constant(name));
            };
            self.spend(node).ok()?;
            if !rearranges(node.operator) {
                return None;
            }
            at = node.input(0)?;
        }
        None
    }

    /// `x`, when the tensor is `1 + exp(-x)` or the like.
    fn exponent_plus_one(&self, tensor: &str) -> Option<&'a str> {
        let add = self.graph.producer(tensor).filter(|n| n.operator == "Add")?;
        let exp = [add.input(0)?, add.input(1)?]
            .into_iter()
            .filter_map(|name| self.graph.producer(name))
            .find(|n| n.operator == "Exp")?;
        let exponent = exp.input(0)?;
        match self.graph.producer(exponent) {
            Some(neg) if neg.operator == "Neg" => neg.input(0),
            _ => Some(exponent),
        }
    }

    /// Whether `tensor` is computed from a reduction (sum, mean, maximum, norm) of `source`, or of what `source` is made
    /// of element by element: then a difference or quotient of the two is a normalisation.
    fn is_reduced_from(&mut self, tensor: &'a str, source: &'a str) -> Result<bool, Blocked> {
        let origins = self.chain(source, true)?;
        let mut at = tensor;
        for _ in 0..MAX_REDUCTION_DEPTH {
            let Some(node) = self.graph.producer(at) else {
                return Ok(false);
            };
            let reduces = node.operator.starts_with("Reduce") || node.operator.starts_with("Global");
            let Some(next) = self.only_variable(node)? else {
                return Ok(false);
            };
            if reduces {
                let reduced = self.chain(next, false)?;
                return Ok(reduced.iter().any(|t| origins.contains(t)));
            }
            if !(rearranges(node.operator)
                || maps(node.operator)
                || matches!(
                    node.operator,
                    "Add" | "Mul" | "Div" | "Sub" | "Max" | "Min" | "Clip" | "Where"
                ))
            {
                return Ok(false);
            }
            at = next;
        }
        Ok(false)
    }

    /// The tensors from which this one is made element by element, itself first.
    fn chain(&mut self, tensor: &'a str, centred: bool) -> Result<Vec<&'a str>, Blocked> {
        let mut chain = vec![tensor];
        let mut at = tensor;
        for _ in 0..MAX_REDUCTION_DEPTH {
            let Some(node) = self.graph.producer(at) else {
                break;
            };
            let elementwise = rearranges(node.operator)
                || maps(node.operator)
                || matches!(node.operator, "Add" | "Mul" | "Div" | "Sub");
            let next = if !elementwise {
                None
            } else if node.operator == "Sub" {
                // x - mean(x), x - max(x): the first operand is what it is made of.
                node.input(0).filter(|n| centred || !self.graph.is_constant(n))
            } else {
                self.only_variable(node)?
            };
            let Some(next) = next else { break };
            chain.push(next);
            at = next;
        }
        Ok(chain)
    }

    /// The one input that is not constant: the first for operators that rearrange, or both when they are the same.
    fn only_variable(&mut self, node: &Node<'a>) -> Result<Option<&'a str>, Blocked> {
        self.spend(node)?;
        if rearranges(node.operator) || node.operator.starts_with("Reduce") {
            return Ok(node.input(0));
        }
        let mut variable = None;
        for name in node.inputs.iter().copied().filter(|n| !n.is_empty()) {
            if self.graph.is_constant(name) || variable == Some(name) {
                continue;
            }
            if variable.is_some() {
                return Ok(None);
            }
            variable = Some(name);
        }
        Ok(variable)
    }

    /// The input of the layer that makes the tensor, past biases and shapes.
    fn layer_input(&mut self, tensor: &'a str) -> Option<(&'a str, &'a str)> {
        let mut at = tensor;
        for _ in 0..MAX_REDUCTION_DEPTH {
            let node = self.graph.producer(at)?;
            self.spend(node).ok()?;
            if is_layer(node.operator) {
                let input = node.input(0).filter(|name| !self.graph.is_constant(name))?;
                self.graph.producer(input)?;
                let fits = input.len() <= MAX_NAME_BYTES as usize;
                return fits.then_some((input, node.operator));
            }
            if !rearranges(node.operator) && !averages(node.operator) && node.operator != "Add" {
                return None;
            }
            at = self.only_variable(node).ok()??;
        }
        None
    }
}

/// Whether the last step picks one of many: then the number of elements of the output says nothing about the probe.
fn is_choice(operators: &[&str]) -> bool {
    operators.iter().any(|operator| {
        matches!(
            *operator,
            "ArgMax" | "ArgMin" | "TopK" | "ReduceMax" | "ReduceMin"
        )
    })
}
