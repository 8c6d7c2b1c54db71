// The scripts' care for child processes: none outlives its parent, however that ends. Needs no chain.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Process, freePort, reservePort, run, until } from '../../scripts/lib/process.mjs';

const dir = mkdtempSync(join(tmpdir(), 'llmesh-process-'));
after(() => rmSync(dir, { recursive: true, force: true }));

const log = (name) => join(dir, `${name}.log`);
const isAlive = (pid) => existsSync(`/proc/${pid}`);

/** Another process that runs `code` with what process.mjs exports, and then stays. */
function other(code) {
  const library = new URL('../../scripts/lib/process.mjs', import.meta.url);
  const whole = `import * as lib from ${JSON.stringify(library.href)};\n${code}\nsetInterval(() => {}, 1000);`;
  return spawn(process.execPath, ['--input-type=module', '--eval', whole], { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** What it says first: a number. */
const said = async (process) => Number(await new Promise((resolve) => process.stdout.once('data', resolve)));

/** A parent that starts a child and says its number. */
const parent = () =>
  other(`
    const child = new lib.Process('child', '/bin/sleep', ['1000'], { log: ${JSON.stringify(log('orphan'))} });
    console.log(child.pid);
  `);

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGKILL']) {
  test(`a parent that gets ${signal} takes its child with it`, { timeout: 20_000 }, async (t) => {
    if (signal === 'SIGKILL' && !existsSync('/usr/bin/setpriv')) return t.skip('setpriv is not installed');
    const process = parent();
    const child = await said(process);
    // Its wrapper, which asks to die with the parent, has done so and become the command.
    await until('the child to run', () => readFileSync(`/proc/${child}/cmdline`, 'utf8').startsWith('/bin/sleep'), { timeout: 10_000 });
    process.kill(signal);
    return until('the end of the child', () => !isAlive(child), { timeout: 10_000 });
  });
}

test('a process that ends unasked is reported with the end of its log', async () => {
  const process = new Process('talker', '/bin/sh', ['-c', 'echo first; echo last words; exit 3'], { log: log('talker') });
  await assert.rejects(process.until('never', () => false), /talker has ended \(exit code 3\)[\s\S]*\| last words$/);
  assert.equal(process.isRunning, false);
});

test('a program that does not exist is named', () => {
  assert.throws(() => new Process('nothing', '/no/such/program', [], { log: log('nothing') }), /\/no\/such\/program does not exist/);
});

test('stop asks first and insists after the grace period, also with a process that was stopped', { timeout: 20_000 }, async () => {
  const stubborn = new Process('stubborn', '/bin/sh', ['-c', 'trap "" TERM; echo ready; while :; do sleep 1; done'], { log: log('stubborn') });
  await stubborn.until('to be ready', () => stubborn.output().includes('ready'));
  assert.equal((await stubborn.stop({ grace: 300 })).signal, 'SIGKILL');
  assert.equal(stubborn.overdue, true);
  const frozen = new Process('frozen', '/bin/sleep', ['1000'], { log: log('frozen') });
  frozen.send('SIGSTOP');
  assert.equal((await frozen.stop()).signal, 'SIGTERM');
  assert.equal(frozen.overdue, undefined);
});

test('run returns both outputs, and throws with standard error', async () => {
  assert.equal((await run('/bin/sh', ['-c', 'echo out; echo err >&2'])).stdout, 'out\n');
  await assert.rejects(run('/bin/sh', ['-c', 'echo why >&2; exit 4']), /exit code 4\):\nwhy$/);
  await assert.rejects(run('/bin/sleep', ['1000'], { timeout: 200, check: false }), /no end after 0\.2 s/);
  assert.equal((await run('/bin/sh', ['-c', 'exit 5'], { check: false })).code, 5);
});

test('free ports differ and are not those of outgoing connections', async () => {
  const ports = await Promise.all(Array.from({ length: 50 }, freePort));
  assert.equal(new Set(ports).size, 50);
  assert.ok(ports.every((port) => port >= 10_000 && port < 32_768));
});

test('a port belongs to one process, until that ends', { timeout: 20_000 }, async () => {
  const process = other('console.log(await lib.freePort());');
  const port = await said(process);
  assert.equal(await reservePort(port), false);
  process.kill('SIGKILL');
  await until('the port to be free', () => reservePort(port), { timeout: 10_000 });
  assert.equal(await reservePort(port), false);
});

test('until reports what it last saw', async () => {
  const probe = () => {
    throw new Error('not there');
  };
  await assert.rejects(until('the thing', probe, { timeout: 300, interval: 50 }), /gave up after 0\.3 s waiting for the thing: not there/);
});
