// A runtime upgrade under running nodes, workers and clients. It needs a second Wasm blob: scripts/test --slow makes it.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { atHeads, dev, send } from '../../scripts/lib/chain.mjs';
import { fileInput, fileJob, submitJob } from '../../scripts/lib/jobs.mjs';
import { program } from '../../scripts/lib/network.mjs';
import { until } from '../../scripts/lib/process.mjs';
import { suite } from './support/suite.mjs';

const FILE = fileURLToPath(new URL('../fixtures/files/word_count.py', import.meta.url));
const NEXT = join(dirname(program('llmesh-node')), 'wbuild/llmesh-runtime/next_version.wasm');
const client = dev('Ferdie');
const wanted = process.env.LLMESH_SLOW === '1';

if (!wanted) {
  test('a runtime upgrade (only with --slow)', { skip: 'scripts/test --slow builds the next runtime' }, () => {});
} else {
  const { network, it } = suite((net) => net.startUsual());

  const settles = async (why, options) => {
    const { api, model } = network;
    const { id } = await submitJob(api, client, fileInput(model, FILE), options);
    const job = await fileJob(api, { file: FILE, id });
    assert.equal(job.outcome, 'Settled', why);
    assert.equal(job.label, 'python', why);
  };

  it('nodes, workers and clients go on through an upgrade', async () => {
    assert.ok(existsSync(NEXT), `${NEXT} is missing: build with LLMESH_NEXT_RUNTIME=1`);
    const { api } = network;
    const before = api.runtimeVersion.specVersion.toNumber();
    await settles('before');
    const restarts = network.workers.map((worker) => worker.process);

    // Jobs are under way while the code is replaced.
    const nonce = (await api.rpc.system.accountNextIndex(client.address)).toNumber();
    // What is signed for the old version and in no block yet is void after the upgrade: they are in a block first.
    const under = [];
    await Promise.all(
      [0, 1, 2].map(
        (n) =>
          new Promise((resolve, reject) => {
            const job = settles('during', { nonce: nonce + n, onIncluded: resolve });
            job.catch(reject);
            under.push(job);
          }),
      ),
    );
    const code = `0x${readFileSync(NEXT).toString('hex')}`;
    const upgrade = api.tx.sudo.sudoUncheckedWeight(api.tx.system.setCode(code), { refTime: 0, proofSize: 0 });
    const { events } = await send(api, upgrade, dev('Alice'));
    assert.ok(events.some((event) => event.section === 'system' && event.method === 'CodeUpdated'));
    await Promise.all(under);

    await until('the client to see the new version', () => api.runtimeVersion.specVersion.toNumber() > before);
    await settles('after');
    const [worker] = network.workers;
    // The command line of the same build signs for the new version too.
    const shown = await worker.cli('status');
    assert.deepEqual(shown.faults ?? [], []);
    await worker.cli('stake', 'extra', '1');
    for (const { process } of network.workers) assert.ok(restarts.includes(process), 'no worker was restarted');
    for (const each of network.workers) assert.deepEqual((await each.health()).faults, []);
    await atHeads(api, 'blocks under the new version', async (at) => {
      const upgraded = await at.query.system.lastRuntimeUpgrade();
      return upgraded.isSome && upgraded.unwrap().specVersion.toNumber() > before;
    });
  }, { timeout: 240_000 });
}
