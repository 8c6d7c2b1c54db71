// A network of real nodes and workers on loopback.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { base58Encode, ed25519PairFromSeed } from '@polkadot/util-crypto';
import { connect, dev, devFinality, mesh, send } from './chain.mjs';
import { Process, freePort, removeAtExit, run } from './process.mjs';
import * as magika from './magika.mjs';

/** Path of one of the project's programs. */
export function program(name) {
  const dir = process.env.CARGO_TARGET_DIR;
  if (!dir) throw new Error('CARGO_TARGET_DIR is not set: source scripts/env.sh');
  return join(dir, process.env.LLMESH_PROFILE ?? 'debug', name);
}

/** Calls a method of a node by JSON-RPC over HTTP. */
export async function rpc(url, method, params = []) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    signal: AbortSignal.timeout(5_000),
  });
  const { result, error } = await response.json();
  if (error) throw new Error(`${method}: ${error.message}${error.data ? ` (${error.data})` : ''}`);
  return result;
}

/** The libp2p name of an ed25519 key: an identity multihash of the key in its protobuf wrapping. */
const peerId = (publicKey) => base58Encode(Buffer.concat([Buffer.from('002408011220', 'hex'), publicKey]));

/** One node. Its ports, network key and folder stay the same when it is stopped and started again. */
export class Node {
  static async create(dir, { name, chain = 'local', args = [] }) {
    const base = join(dir, name);
    mkdirSync(base, { recursive: true });
    const ports = { p2p: await freePort(), rpcPort: await freePort(), prometheus: await freePort() };
    return new Node({ name, chain, args, base, ...ports, log: join(dir, `${name}.log`), bootnodes: [] });
  }

  constructor(fields) {
    Object.assign(this, fields);
    this.url = `ws://127.0.0.1:${this.rpcPort}`;
    this.http = `http://127.0.0.1:${this.rpcPort}`;
    // Known before the node runs, so that all nodes of a network can start at the same time.
    this.networkKey = createHash('sha256').update(`${this.base} ${this.p2p}`).digest();
    /** The multiaddr by which other nodes find this one. */
    this.address = `/ip4/127.0.0.1/tcp/${this.p2p}/p2p/${peerId(ed25519PairFromSeed(this.networkKey).publicKey)}`;
  }

  /** Starts the node and waits for its RPC. */
  async start() {
    const args = [
      ...(this.chain ? ['--chain', this.chain] : []), '--base-path', this.base, '--node-key', this.networkKey.toString('hex'),
      '--listen-addr', `/ip4/127.0.0.1/tcp/${this.p2p}`, '--rpc-port', this.rpcPort, '--prometheus-port', this.prometheus,
      '--no-mdns', '--no-telemetry', ...this.args,
    ];
    if (this.bootnodes.length) args.push('--bootnodes', ...this.bootnodes);
    this.process = new Process(this.name, program('llmesh-node'), args.map(String), { log: this.log });
    this.onStart?.(this.process);
    await this.process.until('JSON-RPC', () => rpc(this.http, 'system_health'), { timeout: 90_000 });
    return this;
  }

  /** Number of the last final block. */
  async finalized() {
    const hash = await rpc(this.http, 'chain_getFinalizedHead');
    return Number((await rpc(this.http, 'chain_getHeader', [hash])).number);
  }

  async stop() {
    // An embedded worker has its own grace period.
    return this.process?.stop({ grace: 60_000 });
  }

  async kill() {
    return this.process?.kill();
  }
}

/** Runs `llmesh-worker` to its end; returns code and output. */
export const worker = (args, options = {}) => run(program('llmesh-worker'), args.map(String), options);

/** Runs `llmesh-worker --json` and returns its document. */
export async function cli(node, args, options = {}) {
  const { stdout } = await worker(['--node', node.url ?? node, '--json', ...args], options);
  return JSON.parse(stdout);
}

/** One compute worker: an account, a folder, a process. */
export class Worker {
  /**
   * `capacity`: jobs that it offers to hold at a time; `threads`: jobs that it computes at a time; `mesh`: whether it
   * takes part in the mesh, with a gateway for applications; `join`: addresses of peers to join by.
   */
  constructor(
    dir,
    { name, key, node, capacity = 4, threads = 1, args = [], env = {}, mesh: inMesh = false, join: peers = [], cheat },
  ) {
    Object.assign(this, { name, key, node, capacity, threads, args, env, inMesh, peers, cheat });
    this.base = join(dir, name);
    this.log = join(dir, `${name}.log`);
    this.account = dev(key);
    mkdirSync(this.base, { recursive: true });
  }

  /** The options that say who and where this worker is. */
  get identity() {
    if (!this.key.includes('/')) return ['--dev-key', this.key.toLowerCase(), '--base-path', this.base];
    const file = join(this.base, 'suri');
    if (!existsSync(file)) writeFileSync(file, `//${this.key}\n`, { mode: 0o600 });
    return ['--suri-file', file, '--base-path', this.base];
  }

  /** Offers a model, by default magika, and imports its file. */
  async offer({ model = `${magika.NAME}@${magika.VERSION}`, file = magika.modelFile() } = {}) {
    return this.cli('offer', model, '--capacity', this.capacity, '--file', file);
  }

  /** Offers magika and starts to serve. */
  async serve() {
    await this.offer();
    return this.start();
  }

  /** Runs a sub-command with this worker's key and folder; returns its JSON document. */
  async cli(...args) {
    return cli(this.node, [...this.identity, ...args]);
  }

  /** Starts the process, without waiting. */
  async spawn() {
    this.port ??= await freePort();
    if (this.cheat) return this.#spawnCheat();
    const args = [
      '--node', this.node.url, ...this.identity, 'run', '--capacity', this.threads, '--prometheus-port', this.port, ...this.args,
    ];
    if (this.inMesh) {
      this.meshPort ??= await freePort();
      this.gatewayPort ??= await freePort();
      args.push('--mesh-listen', `/ip4/127.0.0.1/tcp/${this.meshPort}`, '--mesh-local', '--gateway-port', this.gatewayPort);
      for (const peer of this.peers) args.push('--mesh-bootstrap', peer);
    }
    this.process = new Process(this.name, program('llmesh-worker'), args.map(String), { log: this.log, env: this.env });
    this.onStart?.(this.process);
    return this;
  }

  /** Starts the process of a worker that cheats: `cheat` says how. */
  async #spawnCheat() {
    this.meshPort ??= await freePort();
    const args = [
      '--how', this.cheat, '--node', this.node.url, '--suri', `//${this.key}`, '--base-path', this.base,
      '--mesh-listen', `/ip4/127.0.0.1/tcp/${this.meshPort}`, '--prometheus-port', this.port, '--capacity', this.threads,
      ...this.peers.flatMap((peer) => ['--mesh-bootstrap', peer]),
    ];
    this.process = new Process(this.name, program('cheating-worker'), args.map(String), { log: this.log, env: this.env });
    this.onStart?.(this.process);
    return this;
  }

  /** Starts to serve; returns when the worker says that it is ready. */
  async start() {
    await this.spawn();
    return this.ready();
  }

  /** Waits until the worker says that it is ready for jobs. */
  async ready({ timeout = 60_000 } = {}) {
    const isReady = async () => {
      const { state, faults } = await this.health();
      if (['ready', 'idle', 'serving'].includes(state)) return true;
      throw new Error(`it is ${[state, ...faults.map((f) => f.reason)].join(': ')}`);
    };
    await this.process.until('to be ready', isReady, { timeout });
    return this;
  }

  /** Where applications call. */
  get gateway() {
    return `http://127.0.0.1:${this.gatewayPort}`;
  }

  /** The multiaddr by which peers of the mesh find this worker. */
  async meshAddress() {
    const { mesh: status } = await this.health();
    return `/ip4/127.0.0.1/tcp/${this.meshPort}/p2p/${status.peer_id}`;
  }

  /** What the worker says of itself. */
  async health() {
    const response = await fetch(`http://127.0.0.1:${this.port}/health`, { signal: AbortSignal.timeout(5_000) });
    return response.json();
  }

  async stop() {
    // Its own grace period, and its last transactions.
    return this.process?.stop({ grace: 60_000 });
  }

  async kill() {
    return this.process?.kill();
  }
}

/** The worker record of an account that takes part in no mesh. */
export const workerRecord = ({ region = 'local', capability = ['CpuFloat'] } = {}) => ({
  peerId: '',
  encryptionKey: new Uint8Array(32),
  region,
  endpoints: [],
  capability,
});

/**
 * The file of a chain specification with its genesis state worked out.
 *
 * To work it out the node has to compile the runtime, as it has to once more to run: doing it here, once for all nodes and
 * for all later starts, halves the time that they take to start.
 */
async function rawSpec(plain, dir) {
  const cache = process.env.LLMESH_CACHE ? join(process.env.LLMESH_CACHE, 'chain-specs') : dir;
  const raw = join(cache, `${createHash('sha256').update(plain).digest('hex').slice(0, 32)}.json`);
  if (existsSync(raw)) {
    // Still in use: no other network may take it for old.
    const now = new Date();
    utimesSync(raw, now, now);
    return raw;
  }
  mkdirSync(cache, { recursive: true });
  // What earlier runtimes left. Other networks do the same at the same time.
  for (const name of cache === dir ? [] : readdirSync(cache)) {
    const file = join(cache, name);
    const made = statSync(file, { throwIfNoEntry: false })?.mtimeMs;
    if (made < Date.now() - 86_400_000) rmSync(file, { force: true });
  }
  const from = join(dir, 'chain.json');
  const to = join(cache, `.${process.pid}.json`);
  writeFileSync(from, plain);
  await run(program('llmesh-node'), ['export-chain-spec', '--chain', from, '--raw', '--output', to]);
  renameSync(to, raw);
  return raw;
}

/** Validators, workers and a client, started in order and stopped in the reverse order. */
export class Network {
  #crash;

  /**
   * @param {object} options
   * - `dir`: folder for logs and databases; without it a temporary one is made, and removed by `stop`
   * - `say`: takes a line of progress
   * - `validators`: names of development accounts
   * - `genesis`: changes the genesis configuration (the `patch` of the chain specification) before the start
   * - `nodeArgs`: more options for the validators' nodes
   */
  constructor({ dir, say = () => {}, validators = ['Alice', 'Bob'], genesis, nodeArgs = [] } = {}) {
    if (dir) {
      mkdirSync(dir, { recursive: true });
      this.dir = dir;
    } else {
      this.dir = mkdtempSync(join(tmpdir(), 'llmesh-'));
      this.keepFolder = removeAtExit(this.dir);
    }
    Object.assign(this, { say, validators, genesis, nodeArgs, nodes: [], workers: [] });
    /** Rejects when a process ends that was not asked to. */
    this.crashed = new Promise((_, reject) => {
      this.#crash = reject;
    });
    this.crashed.catch(() => {});
  }

  /** Waits for `work`, but not longer than all processes live. */
  async alive(work) {
    return Promise.race([work, this.crashed]);
  }

  /** Has this network notice the unexpected end of a node or worker. */
  watch(member) {
    member.onStart = (process) => {
      if (this.closing) {
        process.kill();
        throw new Error('the network is being stopped');
      }
      process.exited.then(() => {
        if (!process.dismissed) this.#crash(process.obituary());
      });
    };
    return member;
  }

  /** The specification of the chain that the nodes start with, as a file. */
  async #chain() {
    const { stdout } = await run(program('llmesh-node'), ['export-chain-spec', '--chain', 'local']);
    const spec = JSON.parse(stdout);
    const { patch } = spec.genesis.runtimeGenesis;
    if (this.validators.join() !== 'Alice,Bob') {
      patch.session.keys = this.validators.map((name) => {
        const { address } = dev(name);
        return [address, address, { babe: address, grandpa: devFinality(name).address }];
      });
      const [[, bond]] = patch.meshStaking.operators;
      patch.meshStaking.operators = this.validators.map((name) => [dev(name).address, bond, true]);
    }
    this.genesis?.(patch);
    return rawSpec(JSON.stringify(spec), this.dir);
  }

  /** A node of this network; the caller starts it. */
  async addNode({ name, args = [] }) {
    this.chain ??= await this.#chain();
    const node = this.watch(await Node.create(this.dir, { name, chain: this.chain, args }));
    this.nodes.push(node);
    for (const one of this.nodes) one.bootnodes = this.nodes.filter((n) => n !== one).map((n) => n.address);
    return node;
  }

  /** Starts the validators and waits until they finalise. */
  async startValidators() {
    this.say(`starting ${this.validators.length} validators: ${this.validators.join(', ')}`);
    for (const name of this.validators) {
      await this.addNode({ name: name.toLowerCase(), args: [`--${name.toLowerCase()}`, '--validator', ...this.nodeArgs] });
    }
    await this.alive(Promise.all(this.nodes.map((node) => node.start())));
    this.say('waiting for the first final block');
    const isFinal = async () => (await this.nodes[0].finalized()) >= 1;
    await this.alive(this.nodes[0].process.until('a final block', isFinal, { timeout: 90_000 }));
    this.api = await connect(this.nodes[0].url);
    return this;
  }

  /** Bonds and registers an account as a host, by polkadot.js. */
  async becomeHost(account, { bond = mesh(10_000) } = {}) {
    const { tx } = this.api;
    await send(
      this.api,
      tx.utility.batchAll([tx.meshStaking.bond(bond), tx.meshStaking.registerWorker(workerRecord())]),
      account,
    );
  }

  /**
   * Publishes a model in the name of //Eve, by the worker's command line; returns the version as JSON.
   *
   * The tolerance is given, because to measure it takes a while.
   *
   * @param {object} model `file`, `name`, and what else is not the default
   */
  async publish({ file, name, version = '1.0.0', price, complexity, probe = '', tolerance = '0.0005' }) {
    this.say(`publishing ${name} ${version}`);
    const author = new Worker(this.dir, { name: 'author', key: 'Eve', node: this.nodes[0] });
    const published = await author.cli(
      'model', 'publish', file, '--name', name, '--version', version, '--licence', 'Apache-2.0',
      '--base-price', price, '--complexity', complexity, '--probe', probe, '--tolerance', tolerance,
    );
    return published.model;
  }

  /** Publishes magika; its number is then `this.model`. */
  async publishMagika() {
    const { NAME, VERSION, PRICE, COMPLEXITY, PROBE } = magika;
    const { id } = await this.publish({
      file: magika.modelFile(), name: NAME, version: VERSION, price: PRICE, complexity: COMPLEXITY, probe: PROBE,
    });
    this.model = id;
    return id;
  }

  /** A worker of this network, without its process; its account is a host then. */
  async addWorker({ name, key, node = this.nodes[0], ...options }) {
    const added = this.watch(new Worker(this.dir, { name, key, node, ...options }));
    this.workers.push(added);
    await this.becomeHost(added.account);
    return added;
  }

  /**
   * A worker that is in the mesh for its gateway alone, without stake or offer; it is `this.gateway` then. Returns when it
   * knows a way to every host of magika.
   */
  async addGateway({ name = 'gateway', key = 'Eve//gateway', node = this.nodes[0] } = {}) {
    const hosts = this.workers.length;
    const gateway = new Worker(this.dir, { name, key, node, mesh: true, join: [await this.workers[0].meshAddress()] });
    this.gateway = this.watch(gateway);
    this.workers.push(gateway);
    await gateway.spawn();
    const knowsHosts = async () => {
      const { ready, problem } = await rpc(gateway.gateway, 'mesh_status');
      if (!ready) throw new Error(problem ?? 'it is not ready');
      const routes = await rpc(gateway.gateway, 'mesh_routes', { model: magika.NAME });
      return routes.filter((route) => route.paths.length).length === hosts;
    };
    await gateway.process.until(`to know the ways to ${hosts} hosts`, knowsHosts, { timeout: 90_000 });
    return gateway;
  }

  /** Validators, magika and two workers: the usual devnet. */
  async startUsual({ mesh: inMesh = true, args = [] } = {}) {
    await this.startValidators();
    this.say('bonding and registering two workers: Charlie, Dave');
    await this.alive(
      Promise.all([
        this.publishMagika(),
        this.addWorker({ name: 'worker-1', key: 'Charlie', node: this.nodes[0], mesh: inMesh, args }),
        this.addWorker({ name: 'worker-2', key: 'Dave', node: this.nodes[1], mesh: inMesh, args }),
      ]),
    );
    this.say('starting the workers');
    await this.serveAll({ join: inMesh });
    return this;
  }

  /** Has all workers offer magika, at the same time, and starts them; with `join` the others find the mesh by the first. */
  async serveAll({ join: joining = true } = {}) {
    const [first, ...others] = this.workers;
    await this.alive(Promise.all(this.workers.map((one) => one.offer())));
    await this.alive(first.start());
    if (joining) {
      const address = await this.alive(first.process.until('to be in the mesh', () => first.meshAddress()));
      for (const other of others) other.peers = [address];
    }
    await this.alive(Promise.all(others.map((one) => one.start())));
  }

  /** The processes that run, or ended without being asked to. */
  get processes() {
    return [...this.nodes, ...this.workers].map((member) => member.process).filter(Boolean);
  }

  /** The ends of all logs, for a report of a failure. */
  logs(lines = 15) {
    return this.processes.map((p) => `${p.log}:\n${p.tail(lines)}`).join('\n');
  }

  /**
   * Stops everything in order: client, workers (which finish or hand back what they hold), nodes. Removes the folder if
   * it is a temporary one and `keep` is not set.
   *
   * @returns {Promise<string[]>} what did not stop as it should have
   */
  async stop({ keep = false } = {}) {
    this.closing = true;
    const complaints = [];
    const ordered = async (members) => {
      await Promise.all(
        members.map(async (member) => {
          if (!member.process?.isRunning) return;
          const { code, signal } = await member.stop();
          if (member.process.overdue) complaints.push(`${member.name} did not stop in time and was killed`);
          else if (code !== 0) {
            const how = signal ?? `exit code ${code}`;
            complaints.push(`${member.name} ended with ${how} when asked to stop; the end of its log:\n${member.process.tail()}`);
          }
        }),
      );
    };
    await this.api?.disconnect();
    await ordered(this.workers);
    await ordered(this.nodes);
    if (this.keepFolder) {
      this.keepFolder();
      if (!keep) rmSync(this.dir, { recursive: true, force: true });
    }
    return complaints;
  }
}

