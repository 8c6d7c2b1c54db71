// The worker by its command line, as an operator and a client use it.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dev } from '../../scripts/lib/chain.mjs';
import * as magika from '../../scripts/lib/magika.mjs';
import { Node, Worker, cli, worker } from '../../scripts/lib/network.mjs';
import { freePort } from '../../scripts/lib/process.mjs';
import { magikaSays } from './support/reference.mjs';
import { suite } from './support/suite.mjs';

const FIXTURES = fileURLToPath(new URL('../fixtures/files', import.meta.url));
const MODEL = `${magika.NAME}@${magika.VERSION}`;

const { network, it } = suite((net) => net.startUsual());

/** Runs the worker as //Ferdie with a folder of its own. */
const asClient = (args, options) =>
  worker(['--node', network.nodes[0].url, '--dev-key', 'ferdie', '--base-path', join(network.dir, 'client'), ...args], options);

/** Asserts that a command fails with this exit code and message, which says what to do. */
async function fails(running, code, ...expected) {
  const result = await running;
  assert.equal(result.code, code, result.stderr);
  for (const text of expected) assert.match(result.stderr, text);
  assert.match(result.stderr, /^error: /m);
  return result;
}
const failing = (args, options = {}) => asClient(args, { check: false, ...options });

/** The model's input for a file, as raw bytes in a file. */
function inputFile(name) {
  const file = join(network.dir, `${name}.input`);
  const [{ data }] = magika.inputTensors(readFileSync(join(FIXTURES, name)));
  writeFileSync(file, Buffer.from(data.slice(2), 'hex'));
  return file;
}

it('status says that a worker is in order', async () => {
  for (const member of network.workers) {
    const status = await member.cli('status');
    assert.equal(status.account, member.account.address);
    assert.deepEqual(status.faults, []);
    assert.ok(['ready', 'idle'].includes(status.state), status.state);
    assert.deepEqual(status.offers.map((offer) => [offer.model, offer.in_store]), [[MODEL, true]]);
    assert.equal(status.stake.host, true);
  }
  const text = await worker(['--node', network.nodes[0].url, ...network.workers[0].identity, 'status']);
  assert.match(text.stdout, /everything is in order/);
});

it('status of an account that did nothing yet says what to do', async () => {
  const { stdout } = await asClient(['status']);
  assert.match(stdout, /no bond[\s\S]*what to do: llmesh-worker stake bond/);
});

it('model list and show', async () => {
  const { models } = await cli(network.nodes[0], ['model', 'list']);
  assert.deepEqual(models.map((m) => `${m.name}@${m.version}`), [MODEL]);
  const shown = await cli(network.nodes[0], ['model', 'show', magika.NAME]);
  assert.equal(shown.id, network.model);
  assert.equal(shown.complexity, magika.COMPLEXITY);
  assert.equal(shown.probe, magika.PROBE);
  const hosts = shown.offers.map((offer) => offer.host).sort();
  assert.deepEqual(hosts, network.workers.map((w) => w.account.address).sort());
});

it('a job by the command line: submit, watch, show', async () => {
  const [reference] = await magikaSays([join(FIXTURES, 'word_count.py')]);
  const input = `bytes=INT32:1,2048:@${inputFile('word_count.py')}`;
  const submitted = JSON.parse((await asClient(['--json', 'job', 'submit', MODEL, '--input', input])).stdout);
  assert.ok(Number.isInteger(submitted.job));
  const watched = JSON.parse((await asClient(['--json', 'job', 'watch', submitted.job])).stdout);
  assert.equal(watched.outcome, 'settled');
  assert.equal(watched.owner, dev('Ferdie').address);
  const shown = await cli(network.nodes[1], ['job', 'show', submitted.job]);
  assert.deepEqual(shown, watched);
  const [{ outputs }] = shown.results;
  assert.equal(outputs.length, 1);
  const scores = outputs[0].data;
  const labels = magika.config().target_labels_space;
  assert.equal(scores.length, labels.length);
  const top = scores.indexOf(Math.max(...scores));
  assert.equal(labels[top], reference.label);
  assert.ok(Math.abs(scores[top] - reference.score) < 1e-5);

  const text = await asClient(['job', 'submit', magika.NAME, '--input', input, '--watch']);
  assert.match(text.stdout, /job \d+ submitted in block \d+[\s\S]*settled[\s\S]*delivered in block \d+/);
});

it('a job that can not be is refused with a reason, before it costs anything', async () => {
  const submit = (...args) => failing(['job', 'submit', ...args]);
  const good = `bytes=INT32:1,2048:@${inputFile('page.pdf')}`;
  await fails(submit(MODEL, '--input', good.replace('bytes', 'bites')), 2, /no tensor of this name/, /bytes/);
  await fails(submit(MODEL, '--input', good.replace('INT32', 'UINT32')), 2, /element type differs/);
  await fails(submit(MODEL, '--input', good.replace('1,2048', '2048')), 2, /shape differs/);
  await fails(submit(MODEL, '--input', 'bytes=INT32:1,2:[1,2,3]'), 2);
  await fails(submit(MODEL, '--input', `bytes=INT32:1,2048:@${join(network.dir, 'nothing')}`), 2, /nothing/);
  await fails(submit('google/nothing', '--input', good), 1, /no model google\/nothing/, /model list/);
  await fails(submit(MODEL, '--input', good, '--max-fee', '1planck'), 1, /Jobs\.FeeBelowPrice/);
  await fails(failing(['job', 'show', '4000000']), 1, /no job 4000000/);
  await fails(failing(['job', 'cancel', '4000000']), 1, /Jobs\.UnknownJob/);
});

it('stake: show, and what can not be done', async () => {
  const { stake } = await network.workers[0].cli('stake', 'show');
  assert.equal(stake.own, '10000000000000000');
  await fails(failing(['stake', 'bond', '999.999999999999']), 1, /MeshStaking\.BelowMinBond/, /below the minimum/);
  await fails(failing(['stake', 'bond', '0']), 1, /MeshStaking\.ZeroAmount/);
  await fails(failing(['stake', 'bond', '100000000']), 1, /MeshStaking\.InsufficientBalance/);
  await fails(failing(['stake', 'withdraw']), 1, /MeshStaking\.NotOperator/);
  await fails(failing(['offer', MODEL, '--elsewhere']), 1, /ModelRegistry\.NotHost/);
  await fails(failing(['stake', 'bond', 'much']), 2);
});

it('an unreachable node, a wrong address and a wrong chain are told apart', async () => {
  const port = await freePort();
  const at = (url, ...args) => worker(['--node', url, '--dev-key', 'ferdie', ...args], { check: false });
  await fails(at(`ws://127.0.0.1:${port}`, 'model', 'list'), 1, /can not reach the node at/, /--node/);
  await fails(at(`http://127.0.0.1:${port}`, 'model', 'list'), 2, /expected an address like ws:/);
  const other = `0x${'12'.repeat(32)}`;
  await fails(at(network.nodes[0].url, '--genesis', other, 'stake', 'bond', '1000'), 1, /wrong chain/, /another --base-path|right chain/);
  const silent = await at(`ws://127.0.0.1:${port}`, '--json', 'model', 'list');
  assert.match(JSON.parse(silent.stdout).error, /can not reach the node/);
});

it('a model file that is broken or another one is refused', async () => {
  const whole = readFileSync(magika.modelFile());
  const write = (name, content) => {
    const file = join(network.dir, name);
    writeFileSync(file, content);
    return file;
  };
  const publishing = (file) =>
    failing(['model', 'publish', file, '--name', 'test/broken', '--version', '1.0.0', '--base-price', '1', '--complexity', 1, '--licence', 'MIT']);
  const truncated = write('truncated.onnx', whole.subarray(0, whole.length / 2));
  const text = write('text.onnx', 'this is no model\n'.repeat(100));
  const empty = write('empty.onnx', '');
  for (const command of [(file) => failing(['model', 'import', file]), publishing]) {
    await fails(command(truncated), 1, /truncated/);
    await fails(command(text), 1, /not an ONNX model/);
    await fails(command(empty), 1, /not an ONNX model/);
    await fails(command(join(network.dir, 'missing.onnx')), 1, /missing\.onnx/);
  }
  // Whole, but with another content id than the published one.
  const changed = Buffer.from(whole);
  changed[changed.length >> 1] ^= 1;
  await fails(failing(['model', 'import', write('changed.onnx', changed), '--model', MODEL]), 1, /changed\.onnx does not hash to the content id 0x\w+ .*import the right one/);
  await fails(failing(['offer', MODEL, '--file', write('changed.onnx', changed)]), 1, /changed\.onnx does not hash to the content id 0x\w+ .*import the right one/);
});

it('a missing ONNX Runtime is named, with what to do', async () => {
  const env = { ORT_DYLIB_PATH: join(network.dir, 'no/libonnxruntime.so') };
  const publishing = ['model', 'publish', magika.modelFile(), '--name', 'test/m', '--version', '1.0.0', '--base-price', '1', '--complexity', 1, '--licence', 'MIT'];
  await fails(failing(publishing, { env }), 1, /ONNX Runtime/, /no\/libonnxruntime\.so/);

  const [first] = network.workers;
  const added = network.watch(new Worker(network.dir, { name: 'no-runtime', key: first.key, node: first.node, env }));
  await added.spawn();
  try {
    await added.process.until('to be at fault', async () => {
      const { state, faults } = await added.health();
      return state === 'at-fault' && faults.some((f) => f.code === 'onnxruntime-missing' && f.advice.includes('scripts/setup'));
    });
    const response = await fetch(`http://127.0.0.1:${added.port}/health`);
    assert.equal(response.status, 503);
  } finally {
    await added.stop();
  }
});

it('a port or a folder that is in use is named', async () => {
  const [first] = network.workers;
  const attempt = (base, port) =>
    worker(['--node', first.node.url, '--dev-key', 'eve', '--base-path', base, 'run', '--prometheus-port', port], { check: false, timeout: 60_000 });
  await fails(attempt(join(network.dir, 'eve'), first.port), 1, new RegExp(`127\\.0\\.0\\.1:${first.port}`), /--prometheus-port/);
  await fails(attempt(first.base, await freePort()), 1, /another worker uses/, /--base-path/);

  // A node with one of Alice's ports.
  const [alice] = network.nodes;
  for (const [port, option] of [['p2p', '--port'], ['rpcPort', '--rpc-port'], ['prometheus', '--prometheus-port']]) {
    const node = await Node.create(network.dir, { name: `same-${port}`, chain: network.chain });
    node[port] = alice[port];
    await assert.rejects(node.start(), (error) => {
      assert.match(error.message, /has ended \(exit code 1\)/);
      assert.match(error.message, new RegExp(`can not listen on 127\\.0\\.0\\.1:${alice[port]}: .*${option}`));
      return true;
    });
  }
});

it('metrics say what health says', async () => {
  const [first] = network.workers;
  const text = await (await fetch(`http://127.0.0.1:${first.port}/metrics`)).text();
  assert.match(text, /^llmesh_worker_\w+/m);
  const { delivered } = await first.health();
  assert.ok(Number.isInteger(delivered));
});

it('every command has help', async () => {
  const commands = [[], ['run'], ['model'], ['model', 'publish'], ['model', 'list'], ['model', 'import'], ['offer'], ['job'], ['job', 'submit'], ['job', 'watch'], ['audits'], ['audits', 'list'], ['audits', 'challenge'], ['stake'], ['stake', 'bond'], ['register'], ['status']];
  for (const command of commands) {
    const { stdout } = await worker([...command, '--help']);
    assert.match(stdout, /Usage: llmesh-worker/);
  }
});
