// A network of real nodes and workers on loopback.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, dev, mesh, send } from './chain.mjs';
import { Process, freePort, run } from './process.mjs';
import * as magika from './magika.mjs';

const target = () => {
  const dir = process.env.CARGO_TARGET_DIR;
  if (!dir) throw new Error('CARGO_TARGET_DIR is not set: source scripts/env.sh');
  return dir;
};
const profile = () => process.env.LLMESH_PROFILE ?? 'debug';

/** Path of one of the project's programs. */
export const program = (name) => join(target(), profile(), name);

async function rpc(url, method, params = []) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    signal: AbortSignal.timeout(5_000),
  });
  const { result, error } = await response.json();
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}

/** One node. Its ports and base path stay the same when it is stopped and started again. */
export class Node {
  static async create(dir, { name, chain = 'local', args = [] }) {
    const base = join(dir, name);
    mkdirSync(base, { recursive: true });
    const [p2p, rpcPort, prometheus] = [await freePort(), await freePort(), await freePort()];
    return new Node({ name, chain, args, base, p2p, rpcPort, prometheus, log: join(dir, `${name}.log`) });
  }

  constructor(fields) {
    Object.assign(this, fields);
    this.url = `ws://127.0.0.1:${this.rpcPort}`;
    this.http = `http://127.0.0.1:${this.rpcPort}`;
  }

  /** Starts the node and waits for its RPC. */
  async start({ bootnodes = [] } = {}) {
    if (bootnodes.length) this.bootnodes = bootnodes;
    const args = [
      '--chain', this.chain, '--base-path', this.base, '--port', this.p2p, '--rpc-port', this.rpcPort,
      '--prometheus-port', this.prometheus, '--no-mdns', '--no-telemetry', '--no-hardware-benchmarks',
      '--unsafe-force-node-key-generation', '--listen-addr', `/ip4/127.0.0.1/tcp/${this.p2p}`, ...this.args,
    ];
    for (const bootnode of this.bootnodes ?? []) args.push('--bootnodes', bootnode);
    this.process = new Process(this.name, program('llmesh-node'), args.map(String), { log: this.log });
    await this.process.until('JSON-RPC', () => rpc(this.http, 'system_health'), { timeout: 90_000 });
    return this;
  }

  /** The multiaddr by which other nodes find this one. */
  async address() {
    return `/ip4/127.0.0.1/tcp/${this.p2p}/p2p/${await rpc(this.http, 'system_localPeerId')}`;
  }

  async stop() {
    await this.process?.stop();
  }
}

/** One compute worker: an account, a folder, a process. */
export class Worker {
  constructor(dir, { name, key, node, capacity = 4, args = [] }) {
    Object.assign(this, { name, key, node, capacity, args });
    this.base = join(dir, name);
    this.log = join(dir, `${name}.log`);
    this.account = dev(key);
    mkdirSync(this.base, { recursive: true });
  }

  /** Runs a sub-command with this worker's key and folder; returns its JSON document. */
  async cli(...args) {
    return cli(this.node.url, ['--dev-key', this.key.toLowerCase(), '--base-path', this.base, ...args]);
  }

  /** Starts to serve; returns when the worker says that it is ready. */
  async start() {
    this.port = await freePort();
    this.process = new Process(
      this.name,
      program('llmesh-worker'),
      [
        '--node', this.node.url, '--dev-key', this.key.toLowerCase(), '--base-path', this.base,
        'run', '--capacity', String(this.capacity), '--prometheus-port', String(this.port), ...this.args,
      ],
      { log: this.log },
    );
    await this.process.until('to be ready', async () => ['ready', 'idle', 'serving'].includes((await this.health()).state), {
      timeout: 60_000,
    });
    return this;
  }

  /** What the worker says of itself. */
  async health() {
    const response = await fetch(`http://127.0.0.1:${this.port}/health`, { signal: AbortSignal.timeout(5_000) });
    return response.json();
  }

  async stop() {
    await this.process?.stop({ grace: 30_000 });
  }
}

/** Runs `llmesh-worker --json` and returns its document. */
export async function cli(url, args) {
  const out = await run(program('llmesh-worker'), ['--node', url, '--json', ...args]);
  return JSON.parse(out);
}

/** Validators, workers and a client, started in order and stopped in the reverse order. */
export class Network {
  constructor({ dir, say = () => {} } = {}) {
    this.temporary = !dir;
    this.dir = dir ?? mkdtempSync(join(tmpdir(), 'llmesh-'));
    mkdirSync(this.dir, { recursive: true });
    this.say = say;
    this.nodes = [];
    this.workers = [];
  }

  /** Starts Alice and Bob as validators and waits until they author. */
  async startValidators() {
    this.say('starting two validators');
    const alice = await Node.create(this.dir, { name: 'alice', args: ['--alice', '--validator'] });
    this.nodes.push(alice);
    await alice.start();
    const bob = await Node.create(this.dir, { name: 'bob', args: ['--bob', '--validator'] });
    this.nodes.push(bob);
    await bob.start({ bootnodes: [await alice.address()] });
    this.api = await connect(alice.url);
    await alice.process.until(
      'blocks and finality',
      async () => (await this.api.rpc.chain.getHeader(await this.api.rpc.chain.getFinalizedHead())).number.toNumber() >= 1,
      { timeout: 90_000 },
    );
    return this;
  }

  /** Bonds and registers an account as a host, by polkadot.js. */
  async becomeHost(account, bond = mesh(10_000)) {
    const { api } = this;
    await send(api, api.tx.meshStaking.bond(bond), account);
    await send(
      api,
      api.tx.meshStaking.registerWorker({
        peerId: '',
        encryptionKey: new Uint8Array(32),
        region: 'local',
        endpoints: [],
        capability: ['CpuFloat'],
      }),
      account,
    );
  }

  /** Publishes magika in the name of //Eve; returns the number of the version. */
  async publishMagika() {
    this.say(`publishing ${magika.NAME} ${magika.VERSION}`);
    const author = new Worker(this.dir, { name: 'author', key: 'Eve', node: this.nodes[0] });
    const published = await author.cli(
      'model', 'publish', join(magika.modelDir(), 'model.onnx'),
      '--name', magika.NAME, '--version', magika.VERSION, '--licence', 'Apache-2.0',
      '--base-price', '0.001', '--complexity', '12000000', '--tolerance', '0.0005',
    );
    this.model = published.id;
    return published.id;
  }

  /** Makes an account a host of magika and starts its worker. */
  async addWorker({ name, key, node = this.nodes[0], capacity = 4, start = true, args = [] }) {
    this.say(`starting worker ${name} (//${key})`);
    const worker = new Worker(this.dir, { name, key, node, capacity, args });
    await this.becomeHost(worker.account);
    await worker.cli('offer', `${magika.NAME}@${magika.VERSION}`, '--capacity', String(capacity), '--file', join(magika.modelDir(), 'model.onnx'));
    this.workers.push(worker);
    if (start) await worker.start();
    return worker;
  }

  /** Validators, magika and two workers: the usual devnet. */
  async startUsual() {
    await this.startValidators();
    await this.publishMagika();
    await this.addWorker({ name: 'worker-1', key: 'Charlie' });
    await this.addWorker({ name: 'worker-2', key: 'Dave', node: this.nodes[1] });
    return this;
  }

  /** Stops everything in order, and removes the folder if this network made it and `keep` is not set. */
  async stop({ keep = false } = {}) {
    await this.api?.disconnect();
    await Promise.all(this.workers.map((w) => w.stop()));
    await Promise.all(this.nodes.map((n) => n.stop()));
    if (this.temporary && !keep) rmSync(this.dir, { recursive: true, force: true });
  }
}
