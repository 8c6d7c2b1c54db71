// Requests over the mesh: by the command line (sealed in its own process), by JSON-RPC and by HTTP; paid by channels,
// with receipts; models from peers; hosts that die.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as magika from '../../scripts/lib/magika.mjs';
import { Worker, cli, rpc, worker } from '../../scripts/lib/network.mjs';
import { freePort, until } from '../../scripts/lib/process.mjs';
import { suite } from './support/suite.mjs';

const FILE = fileURLToPath(new URL('../fixtures/files/word_count.py', import.meta.url));
const BUDGET = '0.5';
const MODEL = magika.NAME;

let client;
let input;

const { network, it } = suite(async (net) => {
  // Small claims, so that a test sees them.
  await net.startUsual({ args: ['--claim-above', '0.01'] });
  client = join(net.dir, 'client');
  mkdirSync(client);
  input = join(net.dir, 'input.bin');
  writeFileSync(input, magika.features(readFileSync(FILE)));
  // Each worker writes its place in the mesh to the chain, and reads there where the others are.
  for (const one of net.workers) {
    const knowsAll = async () => {
      const [model] = await rpc(one.gateway, 'mesh_models');
      return (await one.health()).mesh.peers >= 1 && model?.hosts === net.workers.length;
    };
    await one.process.until('to know all hosts of the mesh', knowsAll, { timeout: 90_000 });
  }
});

const tensor = () => `bytes=INT32:1,2048:@${input}`;
const asFerdie = (...args) => ['--dev-key', 'ferdie', '--base-path', client, ...args];
const infer = (node, gateway, ...args) =>
  cli(node, asFerdie('infer', MODEL, '--input', tensor(), '--gateway', gateway, '--budget', BUDGET, ...args));

/** The label for what a host answered: numbers, one for each label. */
const labelOf = ([{ data }]) => magika.topLabel(new Uint8Array(Float32Array.from(data).buffer)).label;

async function http(url, options = {}) {
  const response = await fetch(url, { signal: AbortSignal.timeout(60_000), ...options });
  return { status: response.status, body: await response.json().catch(() => undefined) };
}

it('the command line asks any node: a channel is opened, the answer is right, the receipt holds', async () => {
  const [first] = network.workers;
  const receipt = join(network.dir, 'receipt.json');
  const began = Date.now();
  const done = await infer(network.nodes[0], first.gateway, '--receipt', receipt, '--log', 'info');
  console.error(`# with a channel opened first: ${(Date.now() - began) / 1000} s`);
  assert.equal(labelOf(done.outputs), 'python');
  assert.ok(network.workers.some((w) => w.account.address === done.host));
  assert.ok(BigInt(done.price) > 0n);

  const { stdout } = await worker(['--json', 'receipt', 'verify', receipt, '--input', tensor()]);
  const verified = JSON.parse(stdout);
  assert.equal(verified.valid, true);
  assert.equal(verified.host, done.host);
  assert.equal(verified.input_checked, true);

  const forged = readFileSync(receipt, 'utf8').replace(/"fee": "(\d+)"/, (_, fee) => `"fee": "${BigInt(fee) - 1n}"`);
  assert.notEqual(forged, readFileSync(receipt, 'utf8'));
  writeFileSync(receipt, forged);
  await assert.rejects(worker(['receipt', 'verify', receipt]), /does not hold/);
});

it('the second request needs no transaction, through the other node', async () => {
  const [, second] = network.workers;
  const before = await network.api.rpc.system.accountNextIndex((await network.api.query.settlement.channels(0)).unwrap().payer);
  const done = await infer(network.nodes[1], second.gateway);
  assert.equal(labelOf(done.outputs), 'python');
  const after = await network.api.rpc.system.accountNextIndex((await network.api.query.settlement.channels(0)).unwrap().payer);
  assert.equal(after.toNumber(), before.toNumber());
});

it('a gateway that is not there is named at once', async () => {
  const nowhere = `http://127.0.0.1:${await freePort()}`;
  await assert.rejects(infer(network.nodes[0], nowhere), (error) => {
    assert.match(error.stderr, /no gateway at http:\/\/127\.0\.0\.1:\d+: [\s\S]*--gateway/);
    return true;
  });
  // A node is no gateway.
  await assert.rejects(infer(network.nodes[0], network.nodes[0].http), /no gateway at http/);
});

it('JSON-RPC names models, prices, routes and the state of the node', async () => {
  const [first] = network.workers;
  const models = await rpc(first.gateway, 'mesh_models');
  assert.deepEqual(models.map((m) => [m.name, m.hosts]), [[MODEL, 2]]);
  const quote = await rpc(first.gateway, 'mesh_quote', { model: MODEL });
  assert.equal(quote.hosts.length, 2);
  assert.ok(quote.hosts.every((h) => BigInt(h.price) > 0n));
  const routes = await rpc(first.gateway, 'mesh_routes', { model: MODEL });
  assert.ok(routes.every((r) => /^0x[0-9a-f]{64}$/.test(r.key)));
  const status = await rpc(first.gateway, 'mesh_status');
  assert.equal(status.ready, true, status.problem);
  assert.equal(status.genesis, network.api.genesisHash.toHex());
});

it('HTTP in the Open Inference Protocol: metadata, readiness, and an answer that the node pays for', async () => {
  const [first] = network.workers;
  const name = encodeURIComponent(MODEL);
  assert.equal((await http(`${first.gateway}/v2/health/ready`)).status, 200);
  const metadata = await http(`${first.gateway}/v2/models/${name}`);
  assert.equal(metadata.body.inputs[0].datatype, 'INT32');
  const values = [...new Int32Array(new Uint8Array(readFileSync(input)).buffer)];
  const request = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ inputs: [{ name: 'bytes', datatype: 'INT32', shape: [1, 2048], data: values }] }),
  };
  const poor = await http(`${first.gateway}/v2/models/${name}/infer`, request);
  assert.equal(poor.status, 402, JSON.stringify(poor.body));
  assert.match(poor.body.error, /channel open/);

  await first.cli('channel', 'open', '--host', network.workers[1].account.address, '--budget', BUDGET);
  const rich = await until('the node to see its channel', async () => {
    const { status, body } = await http(`${first.gateway}/v2/models/${name}/infer`, request);
    return status === 200 && body;
  }, { timeout: 60_000 });
  assert.equal(labelOf(rich.outputs), 'python');
  const unknown = await http(`${first.gateway}/v2/models/${encodeURIComponent('no/model')}`);
  assert.equal(unknown.status, 404);
});

it('hosts claim, and the money is split', async () => {
  const { api } = network;
  const paid = await until('a claim', async () => {
    const channel = await api.query.settlement.channels(0);
    return channel.isSome && channel.unwrap().lanes.some((lane) => !lane.paid.isZero()) && channel.unwrap();
  }, { timeout: 90_000 });
  for (const lane of paid.lanes) {
    assert.ok(lane.paid.lte(lane.claimed));
    assert.ok(lane.claimed.lte(lane.funded));
  }
});

it('a worker that lacks the model fetches it from its peers', async () => {
  const [first] = network.workers;
  const third = await network.addWorker({ name: 'worker-3', key: 'Eve', node: network.nodes[0], mesh: true });
  const offered = await third.cli('offer', `${magika.NAME}@${magika.VERSION}`, '--from', await first.meshAddress(), '--mesh-local');
  assert.ok(offered.block > 0);
  const sha = (file) => createHash('sha256').update(readFileSync(file)).digest('hex');
  const models = join(third.base, 'models');
  const files = readdirSync(models).filter((name) => name.endsWith('.onnx'));
  assert.equal(files.length, 1);
  assert.equal(sha(join(models, files[0])), sha(magika.modelFile()));
  assert.ok(existsSync(join(models, files[0])));
});

it('a host is killed in mid-request: the client gets its answer, and pays once', async () => {
  const [first, second] = network.workers;
  const list = async () =>
    (await cli(network.nodes[0], asFerdie('channel', 'list'))).channels.flatMap((c) => c.lanes);
  assert.ok((await list()).length >= 2);
  // Stopped in its tracks: it takes the request and is silent; then it dies.
  second.process.send('SIGSTOP');
  try {
    const done = await infer(network.nodes[0], first.gateway, '--timeout', '40');
    assert.equal(labelOf(done.outputs), 'python');
    assert.equal(done.host, first.account.address);
  } finally {
    second.process.send('SIGCONT');
  }
});
