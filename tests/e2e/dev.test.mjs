// One process for everything: `llmesh-node --dev --worker`.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, dev } from '../../scripts/lib/chain.mjs';
import { fileInput, fileJob, submitJob } from '../../scripts/lib/jobs.mjs';
import * as magika from '../../scripts/lib/magika.mjs';
import { Node, cli } from '../../scripts/lib/network.mjs';
import { freePort } from '../../scripts/lib/process.mjs';
import { suite } from './support/suite.mjs';

const FILE = fileURLToPath(new URL('../fixtures/files/page.pdf', import.meta.url));

let node;
let port;
let folder;

const { network, it } = suite(async (net) => {
  port = await freePort();
  folder = join(net.dir, 'worker');
  const args = ['--dev', '--worker', '--worker-base-path', folder, '--worker-prometheus-port', port];
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
  const { model } = await cli(node, [
    '--dev-key', 'eve', '--base-path', join(network.dir, 'author'), 'model', 'publish', magika.modelFile(), '--name', NAME,
    '--version', VERSION, '--base-price', PRICE, '--complexity', COMPLEXITY, '--probe', PROBE, '--licence', 'Apache-2.0',
  ]);
  await cli(node, ['--dev-key', 'charlie', '--base-path', folder, 'offer', NAME, '--file', magika.modelFile()]);
  await node.process.until('the worker to be ready', async () => ['ready', 'idle'].includes((await health()).state));

  const { id } = await submitJob(api, dev('Ferdie'), fileInput(model.id, FILE));
  const job = await fileJob(api, { file: FILE, id });
  assert.equal(job.outcome, 'Settled');
  assert.equal(job.label, 'pdf');
  assert.equal(job.host, dev('Charlie').address);
  assert.ok(job.result_block - job.submitted_block <= 3);
});

it('it stops in order', async () => {
  const { code, signal } = await node.stop();
  assert.equal(code, 0, `ended with ${signal ?? code}`);
  assert.doesNotMatch(readFileSync(node.log, 'utf8'), /panicked/);
});
