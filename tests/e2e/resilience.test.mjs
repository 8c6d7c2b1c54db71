// What goes wrong in the field: workers and nodes that die, stop, stall, run out of disk, and bursts of jobs.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atHeads, dev, submit } from '../../scripts/lib/chain.mjs';
import { deliveredPart, fileInput, fileJob, jobEnd, outcomeName, submission, submitJob } from '../../scripts/lib/jobs.mjs';
import { modelFile } from '../../scripts/lib/magika.mjs';
import { Worker } from '../../scripts/lib/network.mjs';
import { until } from '../../scripts/lib/process.mjs';
import { slowInput, slowModel } from './support/onnx.mjs';
import { suite } from './support/suite.mjs';

const FILE = fileURLToPath(new URL('../fixtures/files/word_count.py', import.meta.url));
const client = dev('Ferdie');

let slow;
let slowFile;

const { network, it } = suite(async (net) => {
  await net.startUsual();
  const { file, complexity } = slowModel({ steps: 100 });
  slowFile = join(net.dir, 'slow.onnx');
  writeFileSync(slowFile, file);
  slow = await net.publish({ file: slowFile, name: 'test/slow', price: '0.0001', complexity });
  await Promise.all(net.workers.map((w) => w.offer({ model: 'test/slow@1.0.0', file: slowFile })));
});

/** Another worker with the key of `first`, in a folder of its own with the models that this key offers. */
async function secondWorker(first, name) {
  const added = network.watch(new Worker(network.dir, { name, key: first.key, node: network.nodes[1] }));
  for (const file of [modelFile(), slowFile]) await added.cli('model', 'import', file);
  return added.start();
}

const workerOf = (host) => network.workers.find((w) => w.account.address === host);
const states = (job) => job.assignments.map((part) => part.state.type);

/** The host that was drawn first. */
const drawnFor = (id) =>
  atHeads(network.api, `a host for job ${id}`, async (at) => {
    const { assignments } = (await at.query.jobs.jobs(id)).unwrap();
    return assignments.length > 0 && workerOf(assignments[0].host.toString());
  });

/** Stops all workers in their tracks while `work` goes on; lets them go again in the end. */
async function frozen(work) {
  for (const { process } of network.workers) process.send('SIGSTOP');
  try {
    return await work();
  } finally {
    for (const { process } of network.workers) process.send('SIGCONT');
  }
}

const reputation = async (worker) =>
  (await network.api.call.jobsApi.hostStatus(worker.account.address)).reputation.toNumber();

/**
 * Submits many jobs in one extrinsic, so in one block; returns their numbers. Nobody else submits any: whatever block they
 * end up in, these are their numbers, and hosts compute while the block becomes final.
 */
async function burst(jobs) {
  const { api } = network;
  const calls = await Promise.all(jobs.map((job) => submission(api, job)));
  const { included } = await submit(api, api.tx.utility.batchAll(calls), client);
  const { events } = await included;
  return events
    .filter((event) => event.section === 'jobs' && event.method === 'Submitted')
    .map((event) => event.data.job.toNumber());
}

it('a worker is killed mid-job: the other finishes, and the first serves again after a restart', async () => {
  const { api, model } = network;
  let drawn;
  const id = await frozen(async () => {
    const submitted = await submitJob(api, client, fileInput(model, FILE));
    drawn = await drawnFor(submitted.id);
    await drawn.kill();
    return submitted.id;
  });
  const before = await reputation(drawn);
  const job = await fileJob(api, { file: FILE, id });
  assert.equal(job.outcome, 'Settled');
  assert.equal(job.label, 'python');
  assert.notEqual(job.host, drawn.account.address);
  assert.deepEqual(states(await jobEnd(api, id)), ['TimedOut', 'Delivered']);
  assert.ok((await reputation(drawn)) < before, 'a missed deadline costs reputation');

  await drawn.start();
  assert.deepEqual((await drawn.health()).faults, []);
});

it('a worker that delivers before the deadline loses nothing by having stalled', async () => {
  const { api, model } = network;
  let drawn;
  const id = await frozen(async () => {
    const submitted = await submitJob(api, client, fileInput(model, FILE));
    drawn = await drawnFor(submitted.id);
    return submitted.id;
  });
  const job = await fileJob(api, { file: FILE, id });
  assert.equal(job.outcome, 'Settled');
  assert.equal(job.host, drawn.account.address);
});

it('the node of the drawn worker is restarted mid-job: the job settles and the worker is back', async () => {
  const { api, model } = network;
  let drawn;
  const id = await frozen(async () => {
    const submitted = await submitJob(api, client, fileInput(model, FILE));
    drawn = await drawnFor(submitted.id);
    await drawn.node.stop();
    return submitted.id;
  });
  await drawn.process.until('the loss of its node to be noticed', async () => {
    const { state, faults } = await drawn.health();
    return state === 'at-fault' && faults.some((f) => f.code === 'node-unreachable');
  });
  await drawn.node.start();
  await drawn.ready();
  const job = await fileJob(api, { file: FILE, id });
  assert.equal(job.outcome, 'Settled');
  assert.equal(job.label, 'python');
});

it('a node that is killed comes back with its chain', async () => {
  const [, bob] = network.nodes;
  const before = await bob.finalized();
  await bob.kill();
  await bob.start();
  await bob.process.until('finality to go on', async () => (await bob.finalized()) > before + 2, { timeout: 90_000 });
  await workerOf(dev('Dave').address).ready();
}, { timeout: 240_000 });

it('a worker that is stopped finishes or hands back what it holds, at no cost to its reputation', async () => {
  const { api } = network;
  const [first, second] = network.workers;
  const before = await reputation(first);
  const ids = await burst(Array.from({ length: 6 }, (_, i) => ({ model: slow.id, inputs: slowInput(i) })));
  assert.equal(ids.length, 6);
  await until('the first worker to compute with more in its queue', async () => {
    const { computing, waiting } = await first.health();
    return computing > 0 && waiting > 0;
  });
  const { code, signal } = await first.stop();
  assert.equal(code, 0, `ended with ${signal ?? code}`);
  assert.equal(first.process.overdue, undefined, 'in time');

  const ends = await Promise.all(ids.map((id) => jobEnd(api, id, { finalized: true })));
  const parts = ends.flatMap(states);
  assert.deepEqual(ends.map((job) => outcomeName(job.state.asFinished)), ids.map(() => 'Settled'));
  assert.ok(!parts.includes('TimedOut'), parts.join());
  assert.ok(parts.includes('Declined'), 'something was handed back');
  ends.forEach((job) => {
    for (const part of job.assignments) {
      if (part.state.isDeclined) {
        assert.equal(part.state.asDeclined.type, 'HostUnavailable');
        assert.equal(part.host.toString(), first.account.address);
      }
    }
    assert.ok([first, second].some((w) => w.account.address === deliveredPart(job).host.toString()));
  });
  assert.equal(await reputation(first), before);
  await first.start();
}, { timeout: 240_000 });

it('twenty jobs in one block all settle, each paid once', async () => {
  const { api, model } = network;
  const ids = await burst(Array.from({ length: 20 }, () => fileInput(model, FILE)));
  assert.equal(new Set(ids).size, 20);
  const ends = await Promise.all(ids.map((id) => jobEnd(api, id, { finalized: true })));
  assert.equal(new Set(ends.map((job) => job.submittedAt.toNumber())).size, 1, 'one block');
  for (const job of ends) {
    assert.equal(outcomeName(job.state.asFinished), 'Settled');
    const { fee, escrowed, refunded, hostPaid, poolPaid, treasuryPaid } = job.account;
    assert.equal(hostPaid.add(poolPaid).add(treasuryPaid).toString(), fee.toString());
    assert.equal(fee.add(refunded).toString(), escrowed.toString());
    assert.equal(job.assignments.filter((part) => part.state.isDelivered).length, 1);
  }
  const hosts = new Set(ends.map((job) => deliveredPart(job).host.toString()));
  assert.equal(hosts.size, 2, 'both workers took part');
}, { timeout: 240_000 });

it('two workers with one key: no job is lost, and one of them says so and stops computing', async () => {
  const { api, model } = network;
  const [first] = network.workers;
  const twin = await secondWorker(first, 'twin');
  try {
    let fault;
    for (let tries = 0; tries < 6 && !fault; tries += 1) {
      // Both hosts compute each job, so the shared key is always drawn.
      const { id } = await submitJob(api, client, { ...fileInput(model, FILE), redundancy: 2 });
      const job = await jobEnd(api, id, { finalized: true });
      assert.equal(outcomeName(job.state.asFinished), 'Settled');
      const faults = [...(await twin.health()).faults, ...(await first.health()).faults];
      fault = faults.find((f) => f.code === 'other-worker');
    }
    assert.ok(fault, 'one of the two noticed');
    assert.match(fault.advice, /key of its own/);
  } finally {
    await twin.stop();
  }
  await first.stop();
  await first.start();
}, { timeout: 240_000 });

it('a full disk is reported, loses no job, and is over when there is space again', async (t) => {
  const { api, model } = network;
  const [first, second] = network.workers;
  const base = join(network.dir, 'small-disk');
  mkdirSync(base);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', base], { stdio: 'ignore' });
  } catch {
    t.skip('this needs the right to mount a small file system');
    return;
  }
  let small;
  try {
    await first.stop();
    small = await secondWorker(first, 'small-disk');
    const filler = join(base, 'filler');
    try {
      writeFileSync(filler, Buffer.alloc(64 << 20));
    } catch (error) {
      assert.equal(error.code, 'ENOSPC');
    }
    assert.ok(existsSync(filler));
    // Both hosts are drawn. The one that can not write hands the job back at once.
    const { id } = await submitJob(api, client, { ...fileInput(model, FILE), redundancy: 2 });
    await small.process.until('to report the full disk', async () => {
      const { state, faults } = await small.health();
      return state === 'at-fault' && faults.some((f) => f.code === 'disk-full');
    });
    await atHeads(api, 'both parts to be over', async (at) => {
      const { assignments } = (await at.query.jobs.jobs(id)).unwrap();
      const part = (host) => assignments.find((p) => p.host.toString() === host.account.address)?.state.type;
      assert.notEqual(part(first), 'TimedOut');
      return part(first) === 'Declined' && part(second) === 'Delivered';
    });
    rmSync(filler);
    await small.ready();
    const next = await submitJob(api, client, { ...fileInput(model, FILE), redundancy: 2 });
    assert.equal(outcomeName((await jobEnd(api, next.id)).state.asFinished), 'Settled');
  } finally {
    await small?.stop();
    execFileSync('umount', ['-l', base]);
  }
  await first.start();
}, { timeout: 240_000 });
