// The JavaScript client makes the same model input of a file as magika's own Python package. Needs no chain.

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { features, TooSmall, topLabel, config } from '../../scripts/lib/magika.mjs';
import { magikaSays } from './support/reference.mjs';

const dir = mkdtempSync(join(tmpdir(), 'llmesh-magika-'));
after(() => rmSync(dir, { recursive: true, force: true }));

/** Bytes that do not repeat soon, the same in every run, without white space at either end. */
function noise(length, seed = 1) {
  const bytes = Buffer.alloc(length);
  let state = seed;
  for (let i = 0; i < length; i += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[i] = state >>> 16;
  }
  bytes[0] |= 0x80;
  bytes[length - 1] |= 0x80;
  return bytes;
}

const spaces = (n) => Buffer.alloc(n, ' \t\n\r\v\f');

/** Contents around every size at which the rules change, with and without white space at the ends. */
function contents() {
  const all = [Buffer.from('12345678'), Buffer.from(' 12345678 \n'), Buffer.from('\u00a0 no-break spaces stay \u00a0')];
  for (const length of [8, 9, 1023, 1024, 1025, 2047, 2048, 2049, 4095, 4096, 4097, 5000, 8191, 8192, 8193, 20_000]) {
    const body = noise(length, length);
    all.push(body, Buffer.concat([spaces(7), body]), Buffer.concat([body, spaces(9)]));
    all.push(Buffer.concat([spaces(1500), body, spaces(1500)]), Buffer.concat([body, spaces(4096)]));
    all.push(Buffer.concat([spaces(4088), body]), Buffer.concat([noise(9), spaces(5000), body]));
  }
  return all;
}

/** Contents of which magika itself says nothing by its model. */
const tooSmall = () => [
  Buffer.alloc(0),
  Buffer.from('1234567'),
  Buffer.from('       x'),
  Buffer.from('  1234567'),
  spaces(100),
  spaces(5000),
  Buffer.concat([spaces(4089), noise(5000)]),
];

function write(all, prefix) {
  return all.map((content, i) => {
    const file = join(dir, `${prefix}-${i}`);
    writeFileSync(file, content);
    return file;
  });
}

test('features are those of the Python package', async () => {
  const files = write(contents(), 'content');
  const expected = await magikaSays(files, { features: true });
  files.forEach((file, i) => {
    assert.ok(expected[i].features, `the reference takes ${file}`);
    assert.deepEqual(Array.from(features(readFileSync(file))), expected[i].features, file);
  });
});

test('features of this repository\'s own files are those of the Python package', async () => {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const files = ['scripts', 'scripts/lib', 'tests/e2e', 'tests/python', 'tests/fixtures/files', 'docs', '.'].flatMap((folder) =>
    readdirSync(join(root, folder), { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(root, folder, entry.name)),
  );
  const expected = await magikaSays(files, { features: true });
  let compared = 0;
  files.forEach((file, i) => {
    if (!expected[i].features) return;
    assert.deepEqual(Array.from(features(readFileSync(file))), expected[i].features, file);
    compared += 1;
  });
  assert.ok(compared > 20, `${compared} files were compared`);
});

test('what the Python package does not ask the model about is refused', async () => {
  const files = write(tooSmall(), 'small');
  for (const entry of await magikaSays(files, { features: true })) assert.equal(entry.features, null, entry.file);
  for (const file of files) assert.throws(() => features(readFileSync(file)), TooSmall, file);
});

test('the top label is the first of the highest', () => {
  const labels = config().target_labels_space;
  const scores = new Float32Array(labels.length);
  scores[7] = 0.25;
  scores[9] = 0.5;
  scores[11] = 0.5;
  // A view into a larger buffer, as network clients hand out.
  const padded = Buffer.concat([Buffer.alloc(4), Buffer.from(scores.buffer)]);
  assert.deepEqual(topLabel(padded.subarray(4)), { label: labels[9], score: 0.5 });
  assert.throws(() => topLabel(new Uint8Array(8)), /8 bytes instead of/);
});
