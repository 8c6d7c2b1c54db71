// One process for everything: `llmesh-node --dev --worker`.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, dev, submit } from '../../scripts/lib/chain.mjs';
import { fileInput, fileJob, submission, submitJob } from '../../scripts/lib/jobs.mjs';
import * as magika from '../../scripts/lib/magika.mjs';
import { Node, cli } from '../../scripts/lib/network.mjs';
import { freePort, until } from '../../scripts/lib/process.mjs';
import { slowInput, slowModel } from './support/onnx.mjs';
import { suite } from './support/suite.mjs';

const FILE = fileURLToPath(new URL('../fixtures/files/page.pdf', import.meta.url));

let node;
let port;
let gateway;
let folder;
/** Options of the command line that name the client. */
let client;
/** The number of the model. */
let model;

const { network, it } = suite(async (net) => {
  port = await freePort();
  gateway = await freePort();
  folder = join(net.dir, 'worker');
  client = ['--dev-key', 'ferdie', '--base-path', join(net.dir, 'client')];
  const args = [
    '--dev', '--worker', '--worker-base-path', folder, '--worker-prometheus-port', port, '--worker-gateway-port', gateway,
    '--worker-capacity', 1,
  ];
  node = net.watch(await Node.create(net.dir, { name: 'dev', chain: null, args }));
  net.nodes.push(node);
  await node.start();
  net.api = await connect(node.url);
});

const health = async () => (await fetch(`http://127.0.0.1:${port}/health`)).json();

it('the embedded worker bonds and registers by itself, and serves what it is told to offer', async () => {
  const { api } = network;
  await node.process.until('the account to be set up', async () => {
    const { faults } = await health();
    return faults.length === 1 && faults[0].code === 'no-offer';
  });
  const { PRICE, COMPLEXITY, PROBE, NAME, VERSION } = magika;
  ({ model } = await cli(node, [
    '--dev-key', 'eve', '--base-path', join(network.dir, 'author'), 'model', 'publish', magika.modelFile(), '--name', NAME,
    '--version', VERSION, '--base-price', PRICE, '--complexity', COMPLEXITY, '--probe', PROBE, '--licence', 'Apache-2.0',
  ]));
  await cli(node, ['--dev-key', 'charlie', '--base-path', folder, 'offer', NAME, '--file', magika.modelFile()]);
  await node.process.until('the worker to be ready', async () => ['ready', 'idle'].includes((await health()).state));

  const { id } = await submitJob(api, dev('Ferdie'), fileInput(model.id, FILE));
  const job = await fileJob(api, { file: FILE, id });
  assert.equal(job.outcome, 'Settled');
  assert.equal(job.label, 'pdf');
  assert.equal(job.host, dev('Charlie').address);
  assert.ok(job.result_block - job.submitted_block <= 3);
});

it('its gateway answers too, for a voucher of a channel', async () => {
  const input = join(network.dir, 'input.bin');
  writeFileSync(input, magika.features(readFileSync(FILE)));
  const asked = await cli(node, [
    ...client, 'infer', magika.NAME, '--input', `bytes=INT32:1,2048:@${input}`, '--gateway', `http://127.0.0.1:${gateway}`,
  ]);
  assert.equal(asked.host, dev('Charlie').address);
  assert.equal(asked.outputs[0].data.length, magika.config().target_labels_space.length);
  const { mesh } = await health();
  assert.match(mesh.peer_id, /^12D3KooW/);
});

it('asked to stop, it delivers or hands back what it was drawn for, while the node is still there', async () => {
  const { api } = network;
  const { file, complexity } = slowModel({ steps: 100 });
  const slowFile = join(network.dir, 'slow.onnx');
  writeFileSync(slowFile, file);
  const slow = await network.publish({ file: slowFile, name: 'test/slow', price: '0.0001', complexity });
  await cli(node, ['--dev-key', 'charlie', '--base-path', folder, 'offer', 'test/slow', '--file', slowFile, '--capacity', 4]);
  const calls = await Promise.all([0, 1, 2, 3].map((i) => submission(api, { model: slow.id, inputs: slowInput(i) })));
  const { included } = await submit(api, api.tx.utility.batchAll(calls), dev('Ferdie'));
  const ids = (await included).events
    .filter(({ section, method }) => section === 'jobs' && method === 'Submitted')
    .map(({ data }) => data.job.toNumber());
  assert.equal(ids.length, 4);
  await node.process.until('the worker to compute with more in its queue', async () => {
    const { computing, waiting } = await health();
    return computing > 0 && waiting > 0;
  });
  const { code, signal } = await node.stop();
  assert.equal(code, 0, `ended with ${signal ?? code}`);
  assert.doesNotMatch(readFileSync(node.log, 'utf8'), /This is a bug/);

  node.args = ['--dev'];
  await node.start();
  const states = await until('the node to be back', async () => {
    const jobs = await Promise.all(ids.map((id) => api.query.jobs.jobs(id)));
    return jobs.map((job) => job.unwrap().assignments[0].state.type);
  });
  assert.ok(states.every((state) => ['Delivered', 'Declined'].includes(state)), states.join());
  assert.ok(states.includes('Declined'), states.join());
});
