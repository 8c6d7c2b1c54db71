// The model that the devnet serves: magika, which names the type of a file from its first and last bytes.
// How a file becomes the model's input is magika's (config.min.json and its paper, https://arxiv.org/abs/2409.13768).

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const NAME = 'google/magika';
export const VERSION = '3.3.0';
/** The tensor before the last softmax, see docs/architecture.md. */
export const OUTPUT = 'target_label';

const WHITESPACE = new Set([0x20, 0x09, 0x0a, 0x0d, 0x0b, 0x0c]);

/** Folder with model.onnx and config.min.json, as scripts/setup leaves it. */
export function modelDir() {
  const dir = process.env.LLMESH_MAGIKA_DIR;
  if (!dir) throw new Error('LLMESH_MAGIKA_DIR is not set: run scripts/setup, then source scripts/env.sh');
  return dir;
}

export function config() {
  return JSON.parse(readFileSync(join(modelDir(), 'config.min.json'), 'utf8'));
}

/**
 * The model's input for a file's bytes.
 *
 * @param {Uint8Array} bytes the whole file
 * @returns {Int32Array} beg_size + end_size numbers: bytes as 0..255, and padding
 */
export function features(bytes, { beg_size, end_size, block_size, padding_token, min_file_size_for_dl } = config()) {
  if (bytes.length < min_file_size_for_dl) {
    throw new Error(`magika needs files of at least ${min_file_size_for_dl} bytes, this one has ${bytes.length}`);
  }
  const first = bytes.subarray(0, block_size);
  let start = 0;
  while (start < first.length && WHITESPACE.has(first[start])) start += 1;
  const last = bytes.subarray(Math.max(0, bytes.length - block_size));
  let end = last.length;
  while (end > 0 && WHITESPACE.has(last[end - 1])) end -= 1;

  const out = new Int32Array(beg_size + end_size).fill(padding_token);
  out.set(first.subarray(start, start + beg_size), 0);
  const tail = last.subarray(Math.max(0, end - end_size), end);
  out.set(tail, beg_size + end_size - tail.length);
  return out;
}

/** The input as the jobs pallet takes it. */
export function inputTensors(bytes) {
  const numbers = features(bytes);
  const data = new Uint8Array(numbers.length * 4);
  const view = new DataView(data.buffer);
  numbers.forEach((n, i) => view.setInt32(i * 4, n, true));
  return [{ name: 'bytes', elementType: 'I32', shape: [1, numbers.length], data: `0x${Buffer.from(data).toString('hex')}` }];
}

/** Top label and score of the model's output bytes (little-endian float32). */
export function topLabel(data) {
  const labels = config().target_labels_space;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let best = 0;
  for (let i = 1; i < labels.length; i += 1) {
    if (view.getFloat32(i * 4, true) > view.getFloat32(best * 4, true)) best = i;
  }
  return { label: labels[best], score: view.getFloat32(best * 4, true) };
}
