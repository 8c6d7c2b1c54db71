// A host behind NAT, in an internet of network namespaces: two relays, a gateway, and the host, which nobody can connect
// to. Requests reach it through a relay, and through the other one when that dies; from a machine that is as hidden, directly.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Process, start, until } from '../../scripts/lib/process.mjs';
import { Internet, inNamespaces } from './support/namespaces.mjs';

// Outside the namespaces this does not return.
const impossible = await inNamespaces();
const magika = await import('../../scripts/lib/magika.mjs');
const { Worker, cli, program, worker } = await import('../../scripts/lib/network.mjs');
const { suite } = await import('./support/suite.mjs');

const FILE = fileURLToPath(new URL('../fixtures/files/word_count.py', import.meta.url));
const GATEWAY = 'http://127.0.0.1:9955';
const HEALTH = 'http://127.0.0.1:9700';

/** A worker on a machine of the internet. */
class Resident extends Worker {
  constructor(dir, machine, chain, options) {
    super(dir, { name: machine.name, node: { url: chain }, ...options });
    this.machine = machine;
  }

  async spawn() {
    const args = [
      '--node', this.node.url, ...this.identity, 'run', '--mesh-listen', this.machine.listen,
      ...this.peers.flatMap((peer) => ['--mesh-bootstrap', peer]), '--gateway-port', new URL(GATEWAY).port,
      '--prometheus-port', new URL(HEALTH).port,
    ];
    const { enter } = this.machine;
    this.process = new Process(this.name, program('llmesh-worker'), args, { log: this.log, enter });
    this.onStart?.(this.process);
    return this;
  }

  async cli(...args) {
    return cli(this.node, [...this.identity, ...args], { enter: this.machine.enter });
  }

  async health() {
    return JSON.parse(await this.machine.fetch(`${HEALTH}/health`));
  }

  /** What the gateway of this worker answers. */
  async ask(method, params = []) {
    const { result, error } = JSON.parse(await this.machine.fetch(GATEWAY, { jsonrpc: '2.0', id: 1, method, params }));
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  /** The value of a metric; 0 while it is not there. */
  async metric(name) {
    const lines = (await this.machine.fetch(`${HEALTH}/metrics`)).split('\n');
    return Number(lines.find((line) => line.startsWith(`${name} `))?.split(' ')[1] ?? 0);
  }

  async meshAddress() {
    return `${this.machine.listen}/p2p/${(await this.health()).mesh.peer_id}`;
  }
}

let internet;
let client;
let input;
let host;
let gateway;
let relays;
let guest;
/** The relay that does not die. */
let kept;

async function startAll(net) {
  internet = await Internet.create();
  const machines = [];
  for (const name of ['relay-1', 'relay-2', 'gateway']) machines.push(await internet.server(name));
  const [, , asked] = machines;
  const home = await internet.home('host');
  net.say(`the host is ${home.hidden}`);
  // Else the host would connect to the gateway, and there would be nothing to relay.
  await internet.part(home, asked);

  await net.startValidators();
  const chain = `ws://${internet.middle}:${net.nodes[0].rpcPort}`;
  const hideout = await internet.home('guest');
  const resident = (machine, key, peers) => {
    const added = net.watch(new Resident(net.dir, machine, chain, { key, join: peers }));
    net.workers.push(added);
    return added;
  };
  // These three are strangers to the chain. Relays with a stake would pass requests on as workers do, hop by hop; without
  // one they carry connections and do not see what is in them.
  net.say('starting two relays and a gateway');
  const open = [];
  const addresses = [];
  for (const machine of machines) {
    const one = resident(machine, `Eve/${machine.name}`, [...addresses]);
    open.push(one);
    await net.alive(one.spawn());
    addresses.push(await one.process.until('to be in the mesh', () => one.meshAddress(), { interval: 500 }));
  }
  relays = open.slice(0, 2);
  [, , gateway] = open;
  host = resident(home, 'Charlie', addresses.slice(0, 2));
  // It joins later.
  guest = resident(hideout, 'Eve/guest', addresses.slice(0, 2));
  await net.alive(Promise.all([net.publishMagika(), net.becomeHost(host.account)]));
  net.say('starting the host');
  await net.alive(host.serve());

  client = join(net.dir, 'client');
  mkdirSync(client);
  input = join(net.dir, 'input.bin');
  writeFileSync(input, magika.features(readFileSync(FILE)));
}

const { network, it } = impossible
  ? { it: (name) => test(name, { skip: impossible }, () => {}) }
  : suite(startAll, { validators: ['Alice'], nodeArgs: ['--unsafe-rpc-external', '--rpc-cors', 'all'] });

const tensor = () => `bytes=INT32:1,2048:@${input}`;

/** Asks a worker's gateway, from its own machine. */
const inferAt = (asked, ...args) =>
  cli(
    host.node,
    [
      '--dev-key', 'ferdie', '--base-path', client, 'infer', magika.NAME, '--input', tensor(), '--gateway', GATEWAY,
      '--budget', '0.5', ...args,
    ],
    { enter: asked.machine.enter },
  );
const infer = (...args) => inferAt(gateway, ...args);

/** Waits until a worker's gateway knows the host. */
const knowsHost = (one) =>
  one.process.until('to know the host', async () => {
    const [model] = await one.ask('mesh_models');
    return model?.hosts === 1;
  }, { timeout: 60_000, interval: 500 });

/** Checks that the host has answered, and rightly. */
function check(done) {
  assert.equal(done.host, host.account.address);
  const [{ data }] = done.outputs;
  assert.equal(magika.topLabel(new Uint8Array(Float32Array.from(data).buffer)).label, 'python');
  assert.ok(BigInt(done.price) > 0n);
}

/** How many connections a relay has carried. */
const carried = (relay) => relay.metric('llmesh_mesh_events_total{event="relayed_circuits"}');

it('nobody can connect to the host: it notices, and gets a place at both relays', async () => {
  const { address, port } = host.machine;
  for (const { machine } of [...relays, gateway]) {
    assert.equal(await machine.reaches(address, port), false, `${machine.name} reaches the host`);
    for (const relay of relays) assert.equal(await machine.reaches(relay.machine.address, port), true);
  }
  await host.process.until('to be private', async () => (await host.health()).mesh.reachability === 'private', {
    timeout: 30_000, interval: 500,
  });
  await host.process.until('to have a place at both relays', async () => {
    const { addresses } = (await host.health()).mesh;
    const circuits = addresses.filter((one) => one.includes('/p2p-circuit'));
    return relays.every((relay) => circuits.some((one) => one.startsWith(`/ip4/${relay.machine.address}/`)));
  }, { timeout: 30_000, interval: 500 });
  await host.process.until('the chain to know both ways', async () => {
    const { endpoints } = (await host.cli('status')).stake.worker;
    return relays.every((relay) => endpoints.some((one) => one.startsWith(`/ip4/${relay.machine.address}/`)));
  }, { timeout: 60_000, interval: 1_000 });
  for (const one of [...relays, gateway]) {
    await one.process.until('to be public', async () => (await one.health()).mesh.reachability === 'public', {
      timeout: 30_000, interval: 500,
    });
  }
});

it('a paid request to the gateway is answered by the host, through a relay', async () => {
  await knowsHost(gateway);
  const receipt = join(network.dir, 'receipt.json');
  check(await infer('--receipt', receipt, '--timeout', '40'));
  const { stdout } = await worker(['--json', 'receipt', 'verify', receipt, '--input', tensor()]);
  const verified = JSON.parse(stdout);
  assert.equal(verified.valid, true);
  assert.equal(verified.host, host.account.address);

  const at = (await host.health()).mesh;
  assert.equal(at.served, 1);
  assert.ok(BigInt(at.earned) > 0n);
  // The one connection between the two goes through a relay, and no relay has seen the request as such.
  assert.equal(at.relayed, 1);
  assert.equal((await gateway.health()).mesh.relayed, 1);
  for (const relay of relays) assert.equal((await relay.health()).mesh.forwarded, 0);
  assert.ok((await carried(relays[0])) + (await carried(relays[1])) >= 1);
});

it('that relay dies: the host is reached through the other one', async () => {
  const [lost, other] = (await carried(relays[0])) > 0 ? relays : [...relays].reverse();
  kept = other;
  // As in a power cut: nobody is told.
  await internet.unplug(lost.machine);
  await lost.kill();
  const began = Date.now();
  check(await infer('--timeout', '30'));
  console.error(`# nat: reached again ${(Date.now() - began) / 1000} s after ${lost.name} died`);
  assert.ok((await carried(kept)) >= 1);
});

it('two that nobody can connect to find a direct way to each other, and need no relay any more', async (t) => {
  if (!guest.machine.translated) {
    t.skip(`both have to be behind NAT; here they are ${guest.machine.hidden}`);
    return;
  }
  await network.alive(guest.spawn());
  await knowsHost(guest);
  check(await until('an answer', () => inferAt(guest, '--timeout', '15'), { timeout: 90_000 }));
  await guest.process.until('to be connected directly', async () => {
    const punched = await Promise.all([guest, host].map((one) => one.metric('llmesh_mesh_events_total{event="hole_punched"}')));
    return punched.some((n) => n > 0) && (await guest.health()).mesh.relayed === 0;
  }, { timeout: 60_000, interval: 500 });
  const { address, port } = guest.machine;
  for (const one of [gateway, kept]) assert.equal(await one.machine.reaches(address, port), false);
  for (const relay of relays) await internet.part(guest.machine, relay.machine);
  check(await inferAt(guest, '--timeout', '15'));
});

/** Processes that are in one of these networks. */
const residents = (networks) =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && networks.includes(readlinkSync(`/proc/${pid}/ns/net`));
    } catch {
      // It has ended, or belongs to somebody else.
      return false;
    }
  });

for (const signal of ['SIGTERM', 'SIGKILL']) {
  it(`${signal} takes a whole internet away`, async () => {
    const dir = join(network.dir, signal);
    mkdirSync(dir);
    const script = join(dir, 'internet.mjs');
    const library = (path) => JSON.stringify(new URL(path, import.meta.url).href);
    writeFileSync(script, `
      import { readlinkSync } from 'node:fs';
      import { Process } from ${library('../../scripts/lib/process.mjs')};
      import { Internet, inNamespaces } from ${library('./support/namespaces.mjs')};
      await inNamespaces();
      const net = (pid) => readlinkSync('/proc/' + pid + '/ns/net');
      const internet = await Internet.create();
      const networks = [net('self')];
      for (const { name, enter } of [await internet.server('server'), await internet.home('home')]) {
        const one = new Process(name, '/bin/sleep', ['1000'], { log: ${JSON.stringify(dir)} + '/' + name + '.log', enter });
        networks.push(await one.until('to be there', () => !networks.includes(net(one.pid)) && net(one.pid)));
      }
      console.log(JSON.stringify(networks));
      setInterval(() => {}, 1000);
    `);
    // It is to make namespaces of its own.
    const env = { ...process.env, LLMESH_IN_NAMESPACES: '' };
    const outer = start(process.execPath, [script], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    const networks = JSON.parse(await new Promise((resolve) => outer.stdout.once('data', resolve)));
    assert.equal(residents(networks).length, 3);
    outer.kill(signal);
    await until('the end of all its processes', () => residents(networks).length === 0, { timeout: 10_000 });
  }, { timeout: 60_000 });
}
