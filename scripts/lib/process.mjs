// Child processes of a devnet or a test: free ports, log files, waiting for a condition, and an end for every one.

import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { constants } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';

/** Sockets that stand for the ports that were handed out. */
const reserved = new Map();

/** First and last port that can be handed out: below those that the system gives to outgoing connections. */
function portRange() {
  let first = 32_768;
  try {
    first = Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/)[0]);
  } catch {
    // Not Linux, or no /proc: the usual value.
  }
  return first > 12_000 ? [10_000, first - 1] : [20_000, 29_999];
}

const isFree = (port) =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });

/**
 * Reserves a port for as long as this process lives; false when it is reserved already, here or by another process.
 *
 * A UDP socket of the same number stands for it: the system gives it to one process alone, and takes it back however that
 * ends. What is given such a port here listens on TCP.
 */
export const reservePort = (port) =>
  new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => socket.close(() => resolve(false)));
    socket.bind({ port, address: '127.0.0.1', exclusive: true }, () => {
      socket.unref();
      reserved.set(port, socket);
      resolve(true);
    });
  });

/**
 * A port on loopback that nobody listens on at present, that no outgoing connection takes meanwhile, and that no other
 * network on this machine is given: between now and its use, or while who uses it is stopped, it is free.
 */
export async function freePort() {
  const [first, last] = portRange();
  for (let tries = 0; tries < 1000; tries += 1) {
    const port = first + Math.floor(Math.random() * (last - first + 1));
    if (!(await reservePort(port))) continue;
    if (await isFree(port)) return port;
    reserved.get(port).close();
    reserved.delete(port);
  }
  throw new Error(`no free port between ${first} and ${last}`);
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
const folders = new Set();

function signalGroup(child, signal) {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}

/** Ends every child that still runs, at once. Returns how many there were. */
export function killAll() {
  const left = running.size;
  for (const child of running) signalGroup(child, 'SIGKILL');
  return left;
}

// Whatever ends this process, it leaves nothing behind.
process.on('exit', () => {
  killAll();
  for (const dir of folders) rmSync(dir, { recursive: true, force: true });
});

let onSignal = (signal) => process.exit(128 + constants.signals[signal]);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => onSignal(signal));

/** Replaces what happens on SIGINT, SIGTERM and SIGHUP: by default the process exits, and its children with it. */
export function handleSignals(handler) {
  onSignal = handler;
}

/** Has a folder removed when this process ends, if it is still there. Returns what calls that off. */
export function removeAtExit(dir) {
  folders.add(dir);
  return () => folders.delete(dir);
}

// Children die with us even if we are killed outright.
const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path));

/**
 * Starts a child in a process group of its own, so that a Ctrl-C in the terminal reaches us alone.
 *
 * @param {{ enter?: string[] }} options those of `spawn`; `enter`: what goes before the command, to run it elsewhere
 */
export function start(command, args, { enter = [], ...options } = {}) {
  if (!existsSync(command) && command.includes('/')) throw new Error(`${command} does not exist`);
  const [file, ...argv] = [...(setpriv ? [setpriv, '--pdeathsig', 'KILL', '--'] : []), ...enter, command, ...args];
  const child = spawn(file, argv, { ...options, detached: true });
  running.add(child);
  const forget = () => running.delete(child);
  child.once('error', forget);
  child.once('exit', forget);
  return child;
}

/** A child process that writes to a log file. */
export class Process {
  /**
   * @param {string} name for messages
   * @param {string} command
   * @param {string[]} args
   * @param {{ log: string, env?: object, cwd?: string, enter?: string[] }} options `log` is the file that takes its output
   */
  constructor(name, command, args, { log, env = {}, cwd, enter }) {
    this.name = name;
    this.log = log;
    this.args = args;
    /** Whether its end is wanted. */
    this.dismissed = false;
    const fd = openSync(log, 'a');
    try {
      this.child = start(command, args, { stdio: ['ignore', fd, fd], env: { ...process.env, ...env }, cwd, enter });
    } finally {
      closeSync(fd);
    }
    this.isRunning = true;
    this.exited = new Promise((resolve) => {
      const done = (code, signal) => {
        this.isRunning = false;
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

  get pid() {
    return this.child.pid;
  }

  /** Why it ended, with the end of its log. */
  obituary() {
    const why = this.error?.message ?? (this.signal ? `signal ${this.signal}` : `exit code ${this.code}`);
    return new Error(`${this.name} has ended (${why}); the end of its log ${this.log}:\n${this.tail()}`);
  }

  /** Throws, with the end of the log, if the process has ended. */
  assertRunning() {
    if (!this.isRunning) throw this.obituary();
  }

  /** The whole log. */
  output() {
    return readFileSync(this.log, 'utf8');
  }

  /** The last lines of the log, indented. */
  tail(lines = 25) {
    return this.output()
      .trimEnd()
      .split('\n')
      .slice(-lines)
      .map((line) => `  | ${line}`)
      .join('\n');
  }

  /** Waits for a condition while the process runs. */
  async until(what, probe, options = {}) {
    return until(`${this.name}: ${what}`, probe, { ...options, alive: () => this.assertRunning() });
  }

  /** Sends a signal to the process and its children. */
  send(signal) {
    if (this.isRunning) signalGroup(this.child, signal);
  }

  /** Asks the process to end; insists after `grace` milliseconds. Returns how it ended. */
  async stop({ grace = 15_000, signal = 'SIGTERM' } = {}) {
    this.dismissed = true;
    if (this.isRunning) {
      this.child.kill(signal);
      // One that was stopped by SIGSTOP would not hear it.
      this.send('SIGCONT');
      const timer = setTimeout(() => {
        this.overdue = true;
        this.send('SIGKILL');
      }, grace);
      await this.exited;
      clearTimeout(timer);
    }
    return this.exited;
  }

  /** Ends the process without a chance to clean up, as a power cut would. */
  async kill() {
    this.dismissed = true;
    this.send('SIGKILL');
    return this.exited;
  }
}

/**
 * Runs a command to its end.
 *
 * @param {{ env?: object, cwd?: string, enter?: string[], timeout?: number, check?: boolean }} options `check`: throw when
 *   the command fails
 * @returns {Promise<{ code: number | null, signal: string | null, stdout: string, stderr: string }>}
 */
export async function run(command, args, { env = {}, cwd, enter, timeout = 120_000, check = true } = {}) {
  const child = start(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env }, cwd, enter });
  const out = [];
  const err = [];
  child.stdout.on('data', (chunk) => out.push(chunk));
  child.stderr.on('data', (chunk) => err.push(chunk));
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    signalGroup(child, 'SIGKILL');
  }, timeout);
  try {
    const { code, signal } = await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
    const result = { code, signal, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
    const why = late ? `no end after ${timeout / 1000} s` : signal ? `signal ${signal}` : `exit code ${code}`;
    if (late || (check && code !== 0)) {
      const text = result.stderr.trim() || result.stdout.trim();
      throw Object.assign(new Error(`${[command, ...args].join(' ')} failed (${why}):\n${text}`), result);
    }
    return result;
  } finally {
    clearTimeout(timer);
  }
}
