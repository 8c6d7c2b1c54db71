"""Runs a model on raw input bytes with bare ONNX Runtime and prints the output as JSON.

Usage: reference.py MODEL FILE...   Each FILE holds one input of magika's model, 2048 little-endian int32.
"""

import json
import sys

import numpy
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
results = []
for path in sys.argv[2:]:
    data = numpy.fromfile(path, dtype="<i4").reshape(1, -1)
    results.append([float(x) for x in session.run(None, {name: data})[0][0]])
json.dump(results, sys.stdout)
