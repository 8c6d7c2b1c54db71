// The model that the devnet serves: magika, which names the type of a file from its first and last bytes.
// How a file becomes the model's input is magika's own way (its config.min.json, and Magika.identify_bytes in Python).

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const NAME = 'google/magika';
export const VERSION = '3.3.0';
/** The logits: the tensor before the softmax, in which verification compares. */
export const PROBE = 'jax2tf_get_logits_/pjit_get_logits_/MagikaV2/Dense_1/AddV2:0';
/** Multiply-accumulates of one inference: embedding of 2048 tokens, convolution, classification. */
export const COMPLEXITY = 2048 * 257 * 64 + 508 * 5 * 256 * 512 + 512 * 214;
/** MESH per million multiply-accumulates that the devnet asks for. */
export const PRICE = '0.0001';

// What Python's bytes.strip() removes.
const WHITE_SPACE = new Set([0x20, 0x09, 0x0a, 0x0b, 0x0c, 0x0d]);

/** Folder with model.onnx and config.min.json, as scripts/setup leaves it. */
export function modelDir() {
  const dir = process.env.LLMESH_MAGIKA_DIR;
  if (!dir) throw new Error('LLMESH_MAGIKA_DIR is not set: run scripts/setup, then source scripts/env.sh');
  return dir;
}

export const modelFile = () => join(modelDir(), 'model.onnx');

let cached;

/** The model's sizes and labels. */
export function config() {
  cached ??= JSON.parse(readFileSync(join(modelDir(), 'config.min.json'), 'utf8'));
  return cached;
}

/** A file that holds too little for the model to say anything. */
export class TooSmall extends Error {}

/**
 * The model's input for a file's bytes.
 *
 * @param {Uint8Array} bytes the whole file
 * @returns {Int32Array} beg_size + end_size numbers: bytes as 0..255, and padding
 * @throws {TooSmall}
 */
export function features(bytes) {
  const { beg_size, end_size, block_size, padding_token, min_file_size_for_dl } = config();
  const first = bytes.subarray(0, block_size);
  let start = 0;
  while (start < first.length && WHITE_SPACE.has(first[start])) start += 1;
  if (first.length - start < min_file_size_for_dl) {
    const what = bytes.length === 0 ? 'it is empty' : `it has ${first.length - start} after leading white space`;
    throw new TooSmall(`magika needs at least ${min_file_size_for_dl} bytes: ${what}`);
  }
  const last = bytes.subarray(Math.max(0, bytes.length - block_size));
  let end = last.length;
  while (end > 0 && WHITE_SPACE.has(last[end - 1])) end -= 1;

  const numbers = new Int32Array(beg_size + end_size).fill(padding_token);
  numbers.set(first.subarray(start, start + beg_size), 0);
  const tail = last.subarray(Math.max(0, end - end_size), end);
  numbers.set(tail, beg_size + end_size - tail.length);
  return numbers;
}

/** The input of the model for a file's bytes, as `jobs.submit` takes it. */
export function inputTensors(bytes) {
  const numbers = features(bytes);
  const data = Buffer.alloc(numbers.length * 4);
  numbers.forEach((n, i) => data.writeInt32LE(n, i * 4));
  return [{ name: 'bytes', elementType: 'I32', shape: [1, numbers.length], data: `0x${data.toString('hex')}` }];
}

/**
 * Top label and score of the model's output.
 *
 * @param {Uint8Array} data little-endian float32, one for each label
 */
export function topLabel(data) {
  const labels = config().target_labels_space;
  if (data.length !== labels.length * 4) {
    throw new Error(`the output has ${data.length} bytes instead of ${labels.length * 4}`);
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let best = 0;
  for (let i = 1; i < labels.length; i += 1) {
    if (view.getFloat32(i * 4, true) > view.getFloat32(best * 4, true)) best = i;
  }
  return { label: labels[best], score: view.getFloat32(best * 4, true) };
}
