// The devnet by its one command, as a person runs it.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { worker } from '../../scripts/lib/network.mjs';
import { Process, run } from '../../scripts/lib/process.mjs';
import { complaints } from './support/schema.mjs';
import { magikaSays } from './support/reference.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SCRIPT = join(ROOT, 'scripts/devnet');
const FIXTURES = join(ROOT, 'tests/fixtures/files');
const FILES = readdirSync(FIXTURES).map((name) => join(FIXTURES, name));

const dir = mkdtempSync(join(tmpdir(), 'llmesh-devnet-test-'));
after(() => rmSync(dir, { recursive: true, force: true }));

// Folders of networks go where this test cleans up.
const options = { cwd: ROOT, env: { TMPDIR: dir } };
const devnet = (args, more = {}) => run(SCRIPT, ['--no-build', ...args], { ...options, timeout: 240_000, ...more });

/** Processes of this project whose command line names the folder. */
function processesIn(folder) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(folder);
      } catch {
        return false;
      }
    });
}

const SCHEMA = JSON.parse(readFileSync(join(ROOT, 'docs/devnet.schema.json'), 'utf8'));

/** Asserts that a settled job's fee went where it should, to the planck. */
function assertSplit(job) {
  assert.equal(job.outcome, 'Settled');
  const [fee, host, pool, treasury] = [job.fee, job.host_paid, job.pool_paid, job.treasury_paid].map(BigInt);
  assert.ok(fee > 0n);
  assert.deepEqual([host * 10n, pool * 10n, treasury * 10n], [fee * 7n, fee * 2n, fee], 'exactly 70/20/10');
}

const folderOf = (text) => text.match(/logs and databases are in (\S+)/)[1];

/** Asserts that nothing went wrong on the way out, and that nothing is left of the network. */
function assertGone(stderr) {
  assert.match(stderr, /3 of 3 jobs settled/);
  assert.doesNotMatch(stderr, /did not stop|ended with/);
  const folder = folderOf(stderr);
  assert.deepEqual(processesIn(folder), []);
  assert.throws(() => readdirSync(folder), { code: 'ENOENT' });
}

/** The jobs of the first test. */
let onChain;

test('--once --json settles a job for each file, with the label that magika itself gives', { timeout: 300_000 }, async () => {
  const { stdout, stderr } = await devnet(['--once', '--json', ...FILES]);
  const found = JSON.parse(stdout);
  assert.deepEqual(complaints(SCHEMA, found), []);

  const expected = await magikaSays(FILES);
  assert.deepEqual(expected.map((e) => e.label).sort(), ['pdf', 'png', 'python']);
  assert.deepEqual(found.jobs.map((job) => job.file), FILES);
  found.jobs.forEach((job, i) => {
    assert.equal(job.label, expected[i].label);
    assert.ok(Math.abs(job.score - expected[i].score) < 1e-5, `${job.score} is ${expected[i].score}`);
    assert.deepEqual([job.job, job.via], [i, 'chain']);
    assertSplit(job);
  });
  const blocks = found.jobs.map((job) => job.result_block - job.submitted_block);
  assert.ok(blocks.every((n) => n >= 1), blocks.join());
  // Three jobs for two hosts: two of them find an idle one.
  const [, second] = [...blocks].sort((a, b) => a - b);
  assert.ok(second <= 3, `results ${blocks} blocks after the submissions`);

  onChain = found.jobs;
  assertGone(stderr);
});

test('--via-gateway gives the same answers through a node without the model, with receipts that hold', { timeout: 300_000 }, async () => {
  const { stdout, stderr } = await devnet(['--once', '--json', '--via-gateway', ...FILES]);
  const found = JSON.parse(stdout);
  assert.deepEqual(complaints(SCHEMA, found), []);
  assert.deepEqual(found.jobs.map((job) => job.file), FILES);

  assert.ok(onChain, 'the same files by jobs on the chain');
  const answers = (jobs) => jobs.map(({ label, score }) => ({ label, score }));
  assert.deepEqual(answers(found.jobs), answers(onChain));
  for (const job of found.jobs) {
    assert.deepEqual([job.via, job.gateway_hosts_model, job.job, job.refunded], ['gateway', false, null, '0']);
    assertSplit(job);
    assert.ok(job.submitted_block <= job.result_block && job.submitted_block <= job.claim_block, JSON.stringify(job));
    // The network is gone; its receipts are not.
    const verified = JSON.parse((await worker(['--json', 'receipt', 'verify', job.receipt])).stdout);
    assert.equal(verified.valid, true);
    assert.deepEqual(
      [verified.host, verified.fee, verified.request, verified.genesis, verified.model],
      [job.host, job.fee, job.request, found.chain.genesis, found.model.content_id],
    );
  }
  const folder = stderr.match(/receipts go to (\S+)/)[1];
  assert.deepEqual(readdirSync(folder).map((name) => join(folder, name)).sort(), found.jobs.map((job) => job.receipt).sort());
  assert.equal(new Set(found.jobs.map((job) => job.request)).size, FILES.length);
  assertGone(stderr);
});

test('without --once it stays, shows its state, and ends in order on Ctrl-C', { timeout: 300_000 }, async () => {
  const log = join(dir, 'stays.log');
  const process = new Process('devnet', SCRIPT, ['--no-build', FILES[0]], { log, ...options });
  try {
    await process.until('the network to be up', () => /the network is up/.test(process.output()), { timeout: 200_000 });
    assert.match(process.output(), /1 of 1 jobs settled/);
    const folder = folderOf(process.output());
    assert.equal(processesIn(folder).length, 4);
    const { code } = await process.stop({ signal: 'SIGINT', grace: 60_000 });
    assert.equal(code, 0, process.tail());
    assert.match(process.output(), /SIGINT: stopping/);
    assert.match(process.output(), /stopped\n$/);
    assert.deepEqual(processesIn(folder), []);
  } finally {
    await process.kill();
  }
});

test('the death of a node is noticed, reported with its log, and ends everything', { timeout: 300_000 }, async () => {
  const log = join(dir, 'crash.log');
  const receipts = join(dir, 'made for receipts');
  const process = new Process('devnet', SCRIPT, ['--no-build', '--via-gateway', '--receipts', receipts, FILES[0]], { log, ...options });
  try {
    await process.until('the first final block to be awaited', () => /waiting for the first final block/.test(process.output()), {
      timeout: 120_000,
    });
    const folder = folderOf(process.output());
    const pid = processesIn(folder).find((p) => readFileSync(`/proc/${p}/cmdline`, 'utf8').includes('--bob'));
    globalThis.process.kill(Number(pid), 'SIGKILL');
    const { code } = await process.exited;
    assert.equal(code, 1);
    assert.match(process.output(), /FAILED: .*bob has ended \(signal SIGKILL\); the end of its log \S+bob\.log/);
    assert.match(process.output(), /what to do: /);
    assert.deepEqual(processesIn(folder), []);
    // The logs stay after a failure.
    assert.ok(readFileSync(join(folder, 'bob.log'), 'utf8').length > 0);
    // So does a folder that somebody has named.
    assert.ok(process.output().includes(`receipts go to ${receipts}\n`), process.tail());
    assert.deepEqual(readdirSync(receipts), []);
  } finally {
    await process.kill();
  }
});

test('files that can not be asked about are refused before anything starts', async () => {
  const attempt = async (file, expected, ...more) => {
    const { code, stdout, stderr } = await devnet(['--once', '--json', ...more, FILES[0], file], { check: false });
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.match(stderr, expected);
    assert.match(stderr, /what to do: /);
    assert.doesNotMatch(stderr, /starting/);
  };
  const small = join(dir, 'small');
  writeFileSync(small, '1234567');
  const blank = join(dir, 'blank');
  writeFileSync(blank, ' '.repeat(5000));
  await attempt(join(dir, 'missing'), /there is no file \S+missing/);
  await attempt(join(dir, 'missing'), /there is no file \S+missing/, '--via-gateway');
  await attempt(dir, /is not a file/);
  await attempt(small, /has only 7 bytes/);
  await attempt(blank, /blank: magika needs at least 8 bytes/);
  await attempt(blank, /blank: magika needs at least 8 bytes/, '--via-gateway');
});

test('the command explains itself', async () => {
  const { stdout } = await devnet(['--help']);
  for (const option of ['--via-gateway', '--receipts', '--cheat', '--once', '--json', '--keep', '--no-build', 'FILE']) {
    assert.ok(stdout.includes(option), option);
  }
  const refused = async (args, expected) => {
    const { code, stderr } = await devnet(args, { check: false });
    assert.equal(code, 1);
    assert.match(stderr, expected);
    assert.match(stderr, /what to do: /);
    assert.doesNotMatch(stderr, /starting/);
  };
  await refused(['--wat'], /unknown option: --wat/);
  await refused(['--cheat', '--via-gateway'], /--cheat and --via-gateway do not go together/);
  await refused(['--receipts', dir], /--receipts goes with --via-gateway only/);
  await refused(['--via-gateway', '--receipts', '--once'], /--receipts needs the name of a folder/);
  await refused(['--via-gateway', '--receipts', FILES[0]], /--receipts: \S+ is not a folder/);
});
