"""Measures by how much a model's probe differs between levels of x86-64 CPUs, which ONNX Runtime has no switch for.

Usage: $LLMESH_PYTHON cpu_levels.py [--qemu qemu-x86_64-static] [--samples 8] MODEL PROBE

MODEL is a folder name under $LLMESH_CACHE/models (magika, silero-vad, minilm), PROBE a tensor's name. The model runs natively and
then under QEMU's user emulation (Debian: qemu-user-static), which shows the program another CPU: Haswell has AVX2 and FMA
but no AVX-512, Nehalem-v1 neither. Emulated arithmetic is exact, so what differs is the choice of kernels. It takes
minutes: emulation is slow.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile

LEVELS = ("Haswell", "Nehalem-v1")


def delimited(field, data):
    out, n = bytearray([field << 3 | 2]), len(data)
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out) + bytes([n]) + data


def run(model, probe, samples, output):
    import numpy
    import onnxruntime

    with open(os.path.join(os.environ["LLMESH_CACHE"], "models", model, "model.onnx"), "rb") as file:
        # A second graph message with one more output is merged into the first.
        content = file.read() + delimited(7, delimited(12, delimited(1, probe.encode())))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.use_deterministic_compute = True
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    random = numpy.random.default_rng(5)
    make = {
        "bytes": lambda: random.integers(0, 257, (1, 2048)).astype("int32"),
        "input": lambda: (random.normal(size=(1, 576)) * 0.1).astype("float32"),
        "state": lambda: numpy.zeros((2, 1, 128), "float32"),
        "sr": lambda: numpy.array(16000, "int64"),
        "input_ids": lambda: random.integers(1000, 29000, (1, 32)).astype("int64"),
        "attention_mask": lambda: numpy.ones((1, 32), "int64"),
        "token_type_ids": lambda: numpy.zeros((1, 32), "int64"),
    }
    found = []
    for _ in range(samples):
        inputs = {tensor.name: make[tensor.name]() for tensor in session.get_inputs()}
        found.append(session.run([probe], inputs)[0].ravel())
    numpy.save(output, numpy.array(found))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--qemu", default="qemu-x86_64-static")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--output", help=argparse.SUPPRESS)
    parser.add_argument("model")
    parser.add_argument("probe")
    arguments = parser.parse_args()
    if arguments.output:
        run(arguments.model, arguments.probe, arguments.samples, arguments.output)
        return

    import numpy

    # QEMU starts the interpreter itself, not the venv's link to it.
    python = os.path.realpath(sys.executable)
    packages = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}
    with tempfile.TemporaryDirectory() as folder:
        results = {}
        for level in ("native", *LEVELS):
            output = os.path.join(folder, level + ".npy")
            command = [] if level == "native" else [arguments.qemu, "-cpu", level]
            command += [python, os.path.abspath(__file__), "--samples", str(arguments.samples), "--output", output]
            subprocess.run([*command, arguments.model, arguments.probe], env=packages, check=True)
            results[level] = numpy.load(output).astype("float64")
        native = results["native"]
        for level in LEVELS:
            apart = numpy.linalg.norm(results[level] - native, axis=1) / numpy.linalg.norm(native, axis=1)
            print(f"{arguments.model}: {level}: median {numpy.median(apart):.1e}, largest {apart.max():.1e}")


if __name__ == "__main__":
    main()
