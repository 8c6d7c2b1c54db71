// Proof of Compute among honest workers: jobs and paid requests are audited, everything matches, nobody loses anything.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Verdicts, quickRounds } from '../../scripts/lib/audits.mjs';
import { dev, send } from '../../scripts/lib/chain.mjs';
import { fileInput, jobEnd, submitJob } from '../../scripts/lib/jobs.mjs';
import * as magika from '../../scripts/lib/magika.mjs';
import { cli, rpc, worker } from '../../scripts/lib/network.mjs';
import { until } from '../../scripts/lib/process.mjs';
import { suite } from './support/suite.mjs';

const FILE = fileURLToPath(new URL('../fixtures/files/word_count.py', import.meta.url));
const BUDGET = '0.5';

const verdicts = new Verdicts();
const events = [];
let receipt;
let infer;

const { network, it } = suite(
  async (net) => {
    await net.startUsual({ args: ['--claim-above', '0.01'] });
    const third = await net.addWorker({
      name: 'worker-3', key: 'Eve', node: net.nodes[0], mesh: true, join: [await net.workers[0].meshAddress()],
    });
    await third.serve();
    const { api } = net;
    await Promise.all(net.workers.map(({ account }) => send(api, api.tx.meshStaking.verify(), account)));
    const take = verdicts.take.bind(verdicts);
    verdicts.take = (event) => {
      if (event.section === 'attestation') events.push(event);
      return take(event);
    };
    await verdicts.follow(api);
    for (const one of net.workers) {
      const knowsAll = async () => {
        const [model] = await rpc(one.gateway, 'mesh_models');
        return model?.hosts === net.workers.length;
      };
      await one.process.until('to know all hosts of the mesh', knowsAll, { timeout: 90_000 });
    }
  },
  { genesis: quickRounds },
);

const named = ({ data }) => Object.fromEntries(data.names.map((name, i) => [name, data[i]]));
const seen = (method) => events.filter((event) => event.method === method).map(named);
const stakes = () =>
  Promise.all(
    network.workers.map(async ({ account }) => (await network.api.call.stakingApi.operator(account.address)).unwrap().own.toBigInt()),
  );

it('results of jobs and paid requests become batches, with what is behind them', async () => {
  const { api, model } = network;
  const client = dev('Ferdie');
  // As many as the three take together.
  const nonce = (await api.rpc.system.accountNextIndex(client.address)).toNumber();
  const submitted = await Promise.all(
    [0, 1, 2, 3].map((n) => submitJob(api, client, { ...fileInput(model, FILE), redundancy: 3 }, { nonce: nonce + n })),
  );
  for (const { id } of submitted) assert.equal((await jobEnd(api, id)).state.asFinished.type, 'Settled');
  const folder = join(network.dir, 'client');
  mkdirSync(folder);
  const input = join(network.dir, 'input.bin');
  writeFileSync(input, magika.features(readFileSync(FILE)));
  receipt = join(network.dir, 'receipt.json');
  infer = (...args) =>
    cli(network.nodes[0], [
      '--dev-key', 'ferdie', '--base-path', folder, 'infer', magika.NAME, '--input', `bytes=INT32:1,2048:@${input}`,
      '--gateway', network.workers[0].gateway, '--budget', BUDGET, ...args,
    ]);
  await infer('--receipt', receipt);
  await infer('--repeat', '8');
  await until('a batch of jobs of each host, and one of a claim', () => {
    const batches = seen('BatchCreated').map(({ record }) => record);
    const jobs = new Set(batches.filter(({ origin }) => origin.isJobs).map(({ host }) => host.toString()));
    return jobs.size === 3 && batches.some(({ origin }) => origin.isLane);
  }, { timeout: 120_000 });
});

it('a receipt that nobody has looked at is challenged, once', async () => {
  const accuser = join(network.dir, 'accuser');
  mkdirSync(accuser);
  await infer('--receipt', receipt);
  const challenge = (key) => cli(network.nodes[0], ['--dev-key', key, '--base-path', accuser, 'audits', 'challenge', receipt]);
  await challenge('alice');
  await assert.rejects(challenge('bob'), /attestation/i);
});

it('they are drawn two rounds later, opened, verified blindly, and found good', async () => {
  await until('audits of jobs and of claims to be over', () => {
    const causes = new Set(
      seen('AuditStarted')
        .filter(({ audit }) => verdicts.audits.has(audit.toNumber()))
        .map(({ subject }) => subject.type),
    );
    return causes.has('Job') && causes.has('Leaf');
  }, { timeout: 400_000 });
  for (const [audit, verdict] of verdicts.audits) assert.equal(verdict, 'Match', `audit ${audit}`);
  assert.equal(verdicts.convicted.size, 0);
  assert.equal(verdicts.slashed.size, 0);
  for (const stake of await stakes()) assert.equal(stake, 10_000n * 10n ** 12n);

  // A draw is of the second round after the work.
  const made = new Map(seen('BatchCreated').map(({ batch, record }) => [batch.toNumber(), record.round.toNumber()]));
  let now = 0;
  for (const event of events) {
    const fields = named(event);
    if (event.method === 'RoundStarted') now = fields.round.toNumber();
    if (event.method === 'BatchDrawn') assert.equal(now, made.get(fields.batch.toNumber()) + 2);
  }
  // Verifiers are paid, the executor never verifies itself.
  assert.ok(seen('VerifierPaid').length > 0);
  const hosts = new Map(seen('AuditStarted').map(({ audit, host }) => [audit.toNumber(), host.toString()]));
  for (const { audit, members } of seen('Opened')) {
    assert.ok(!members.map(String).includes(hosts.get(audit.toNumber())));
  }
}, { timeout: 420_000 });

it('an operator sees what was audited and counts the votes again without a node', async () => {
  const [first] = network.workers;
  const { audits } = await first.cli('audits', 'list');
  assert.ok(audits.length > 0);
  const over = audits.find(({ state }) => state === 'finished');
  const shown = await first.cli('audits', 'show', over.audit);
  assert.equal(shown.verdict, 'match');
  const file = join(network.dir, 'audit.json');
  writeFileSync(file, JSON.stringify(shown));
  const { stdout } = await worker(['--json', 'audits', 'check', file]);
  assert.deepEqual(JSON.parse(stdout).valid, true);
  writeFileSync(file, JSON.stringify({ ...shown, tolerance_ppb: 0, record: shown.record.replace(/^0x../, '0xff') }));
  const { verdict } = JSON.parse((await worker(['--json', 'audits', 'check', file])).stdout);
  assert.equal(verdict, 'match', 'the host is part of the record, not of the votes');
  await assert.rejects(worker(['audits', 'check', FILE]), /not JSON/);
  const metrics = await (await fetch(`http://127.0.0.1:${first.port}/metrics`)).text();
  assert.match(metrics, /llmesh_audit_steps_total\{step="verified"\} [1-9]/);
});

it('a false accusation costs its deposit, and the host nothing', async () => {
  const settled = await until('the challenged receipt to be audited', () => seen('DepositSettled')[0], { timeout: 300_000 });
  const [challenged] = seen('AuditStarted').filter(({ subject }) => subject.isChallenge);
  assert.ok(settled.audit.eq(challenged.audit));
  assert.equal(verdicts.audits.get(challenged.audit.toNumber()), 'Match');
  const [{ deposit }] = seen('ChallengeQueued');
  assert.ok(deposit.gtn(0));
  assert.equal(settled.by.toString(), dev('Alice').address);
  assert.ok(settled.returned.isZero());
  assert.ok(settled.toHost.gtn(0));
  assert.ok(settled.toHost.add(settled.toVerifiers).eq(deposit));
  for (const stake of await stakes()) assert.equal(stake, 10_000n * 10n ** 12n);
}, { timeout: 320_000 });
