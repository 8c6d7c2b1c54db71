// Child processes of a devnet or a test: free ports, log files, waiting for a condition, and an end for every one.

import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

/** A port that nobody listens on at present, on loopback. */
export async function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/**
 * Polls `probe` until it returns something truthy, and returns that.
 *
 * @param {string} what what is waited for, for the error
 * @param {() => any} probe may throw: that counts as "not yet", and the last error is reported
 * @param {{ timeout?: number, interval?: number, alive?: () => void }} options milliseconds; `alive` throws to give up early
 */
export async function until(what, probe, { timeout = 60_000, interval = 200, alive } = {}) {
  const end = Date.now() + timeout;
  let last;
  for (;;) {
    alive?.();
    try {
      const found = await probe();
      if (found) return found;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) {
      throw new Error(`gave up after ${timeout / 1000} s waiting for ${what}${last ? `: ${last.message}` : ''}`);
    }
    await pause(interval);
  }
}

const running = new Set();

// A parent that dies must not leave its network behind.
process.on('exit', () => {
  for (const p of running) p.child.kill('SIGKILL');
});

/** A child process that writes to a log file. */
export class Process {
  /**
   * @param {string} name for messages
   * @param {string} command
   * @param {string[]} args
   * @param {{ log: string, env?: object, cwd?: string }} options `log` is the file that takes its output
   */
  constructor(name, command, args, { log, env = {}, cwd }) {
    this.name = name;
    this.log = log;
    this.args = args;
    const fd = openSync(log, 'a');
    this.child = spawn(command, args, { stdio: ['ignore', fd, fd], env: { ...process.env, ...env }, cwd });
    closeSync(fd);
    running.add(this);
    this.exited = new Promise((resolve) => {
      const done = (code, signal) => {
        running.delete(this);
        this.code = code;
        this.signal = signal;
        resolve({ code, signal });
      };
      this.child.once('error', (error) => {
        this.error = error;
        done(-1, null);
      });
      this.child.once('exit', done);
    });
  }

  get isRunning() {
    return running.has(this);
  }

  /** Throws, with the end of the log, if the process has ended. */
  assertRunning() {
    if (this.isRunning) return;
    const why = this.error ? this.error.message : `exit code ${this.code}, signal ${this.signal}`;
    throw new Error(`${this.name} ended (${why}); the end of its log ${this.log}:\n${this.tail()}`);
  }

  /** The last lines of the log. */
  tail(lines = 25) {
    return readFileSync(this.log, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  }

  /** Waits for a condition while the process runs. */
  async until(what, probe, options = {}) {
    return until(`${this.name}: ${what}`, probe, { ...options, alive: () => this.assertRunning() });
  }

  /** Asks the process to end; insists after `grace` milliseconds. */
  async stop({ grace = 15_000, signal = 'SIGTERM' } = {}) {
    if (!this.isRunning) return;
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), grace);
    await this.exited;
    clearTimeout(timer);
  }

  /** Ends the process without a chance to clean up, as a power cut would. */
  async kill() {
    await this.stop({ signal: 'SIGKILL' });
  }
}

/** Runs a command to its end and returns its standard output; throws with standard error when it fails. */
export async function run(command, args, { env = {}, timeout = 120_000 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    const out = [];
    const err = [];
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout);
    child.stdout.on('data', (d) => out.push(d));
    child.stderr.on('data', (d) => err.push(d));
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      const stdout = Buffer.concat(out).toString();
      const stderr = Buffer.concat(err).toString();
      if (code === 0) return resolve(stdout);
      const error = new Error(`${command} ${args.join(' ')} failed (exit code ${code}):\n${stderr || stdout}`);
      reject(Object.assign(error, { code, stdout, stderr }));
    });
  });
}
