// An internet within this machine: network namespaces, joined by virtual cables. It takes no rights: who makes a user
// namespace has them over the networks in it.
//
// Nothing of it has a name that outlives us. A network is held by its processes, and by a file in a mount namespace that is
// ours alone: when the last process has ended, however that came, the kernel takes networks, cables and mounts away.

import { execFileSync } from 'node:child_process';
import { constants } from 'node:os';
import { handleSignals, run, start } from '../../../scripts/lib/process.mjs';

/** Set in a process that has namespaces of its own. */
const MARK = 'LLMESH_IN_NAMESPACES';

/** As root of namespaces that are ours, and as root of everything, where the kernel gives nobody a user namespace. */
const WAYS = [
  ['unshare', '--user', '--map-root-user', '--net', '--mount', '--'],
  ['unshare', '--net', '--mount', '--'],
];

// Debian keeps `ip` and `nft` where only root looks for programs.
const env = { PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

/** What an internet is made with, tried out. */
const TRIAL = `
  mount -t tmpfs tmpfs /run
  echo 1 >/proc/sys/net/ipv4/ip_forward
  touch /run/other
  unshare --net=/run/other true
  ip link add name here type veth peer name there netns /run/other
  nsenter --net=/run/other -- ip link set dev there up
  ip rule add from 203.0.113.0/24 to 192.0.2.0/24 unreachable
`;

/** The first way that this machine permits, or why there is none. */
function findWay() {
  let why;
  for (const [command, ...args] of WAYS) {
    try {
      const options = { env: { ...process.env, ...env }, stdio: 'pipe', timeout: 20_000 };
      execFileSync(command, [...args, '/bin/sh', '-euc', TRIAL], options);
      return { way: [command, ...args] };
    } catch (error) {
      why ??= error.stderr?.toString().trim().split('\n').at(-1) || error.message;
    }
  }
  return { why: `no network namespaces can be made here: ${why}` };
}

/**
 * Gives this program namespaces of its own, by running it once more in them: there this returns at once. Outside it does not
 * return but ends as the program inside does.
 *
 * @returns {Promise<string | undefined>} why that is impossible here, if it is
 */
export async function inNamespaces() {
  if (process.env[MARK]) return undefined;
  const { way, why } = findWay();
  if (why) return why;
  const [command, ...args] = [...way, process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const inside = start(command, args, { stdio: 'inherit', env: { ...process.env, ...env, [MARK]: '1' } });
  // What is inside ends in order, and then we do.
  handleSignals((signal) => inside.kill(signal));
  const code = await new Promise((resolve, reject) => {
    inside.once('error', reject);
    inside.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
  process.exit(code);
}

/** Runs shell commands, in the network `file` if there is one. */
const sh = (script, file) => run('/bin/sh', ['-euc', script], { enter: file && entering(file), timeout: 20_000 });
const entering = (file) => ['nsenter', `--net=${file}`, '--'];

/** The port that workers use for the mesh: each has a network of its own. */
const MESH_PORT = 30_400;

/** A machine with a network of its own. */
class Machine {
  constructor(fields) {
    Object.assign(this, fields);
    /** What goes before a command that is to run there. */
    this.enter = entering(this.file);
  }

  /** What a server on its loopback interface answers. */
  async fetch(url, body) {
    const script = `
      const [url, body] = process.argv.slice(1);
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(url, { signal: AbortSignal.timeout(5000), ...(body && { method: 'POST', headers, body }) });
      process.stdout.write(await answer.text());
    `;
    const args = ['--input-type=module', '--eval', script, url, ...(body ? [JSON.stringify(body)] : [])];
    return (await run(process.execPath, args, { enter: this.enter, timeout: 15_000 })).stdout;
  }

  /** Whether a TCP connection from there gets through. */
  async reaches(address, port) {
    const script = `
      const socket = require('node:net').connect({ host: process.argv[1], port: process.argv[2] });
      socket.setTimeout(3000, () => process.exit(1)).once('error', () => process.exit(1)).once('connect', () => process.exit(0));
    `;
    const args = ['--eval', script, address, port].map(String);
    return (await run(process.execPath, args, { enter: this.enter, timeout: 15_000, check: false })).code === 0;
  }
}

/**
 * An internet. The network that this process is in is its middle and knows the way to all others; each of them is a /24 of
 * addresses that count as public.
 */
export class Internet {
  #networks = 0;

  /** The address of this process for everybody else. */
  middle = '11.0.0.1';

  static async create() {
    if (!process.env[MARK]) throw new Error('an internet takes namespaces of its own: call inNamespaces first');
    // A file system of our own, for the files that hold networks.
    await sh(`
      mount -t tmpfs tmpfs /run
      ip link set dev lo up
      ip address add 11.0.0.1/32 dev lo
      echo 1 >/proc/sys/net/ipv4/ip_forward
    `);
    return new Internet();
  }

  async #network(name) {
    const file = `/run/${name}`;
    await sh(`touch ${file}; unshare --net=${file} true`);
    await sh('ip link set dev lo up', file);
    return file;
  }

  /** A network that is joined to the middle. */
  async #site(name) {
    this.#networks += 1;
    const net = `11.0.${this.#networks}`;
    const file = await this.#network(name);
    await sh(`
      ip link add name ${name} type veth peer name wan netns ${file}
      ip address add ${net}.1/24 dev ${name}
      ip link set dev ${name} up
    `);
    await sh(
      `
        ip address add ${net}.2/24 dev wan
        ip link set dev wan up
        ip route add default via ${net}.1
      `,
      file,
    );
    return { name, file, net: `${net}.0/24`, address: `${net}.2`, port: MESH_PORT };
  }

  /** A machine that everybody can connect to. */
  async server(name) {
    const site = await this.#site(name);
    return new Machine({ ...site, listen: `/ip4/${site.address}/tcp/${MESH_PORT}` });
  }

  /**
   * A machine that nobody can connect to: behind a router that translates its address, and is silent to strangers. Without a packet filter the machine is
   * like any other, but listens on its loopback interface alone. `hidden` says how it is.
   */
  async home(name) {
    const router = await this.#site(`${name}-router`);
    const translate = `
      nft add table ip nat
      nft add chain ip nat out '{ type nat hook postrouting priority 100; }'
      nft add rule ip nat out oifname wan masquerade
      nft add table ip filter
      nft add chain ip filter in '{ type filter hook input priority 0; }'
      nft add rule ip filter in iifname wan ct state != established,related drop
      echo 1 >/proc/sys/net/ipv4/ip_forward
    `;
    try {
      await sh(translate, router.file);
    } catch (error) {
      const hidden = `without NAT, because of: ${error.message.trim().split('\n').at(-1)}`;
      return new Machine({ ...router, name, hidden, listen: `/ip4/127.0.0.1/tcp/${MESH_PORT}` });
    }
    const file = await this.#network(name);
    await sh(
      `
        ip link add name lan type veth peer name eth0 netns ${file}
        ip address add 192.168.1.1/24 dev lan
        ip link set dev lan up
      `,
      router.file,
    );
    await sh(
      `
        ip address add 192.168.1.2/24 dev eth0
        ip link set dev eth0 up
        ip route add default via 192.168.1.1
      `,
      file,
    );
    const hidden = 'behind a router with NAT (nftables)';
    return new Machine({ ...router, name, file, hidden, translated: true, listen: `/ip4/192.168.1.2/tcp/${MESH_PORT}` });
  }

  /** From now on nothing gets from one of two machines to the other. */
  async part(one, other) {
    await sh(`
      ip rule add from ${one.net} to ${other.net} unreachable
      ip rule add from ${other.net} to ${one.net} unreachable
    `);
  }

  /** Pulls a machine's cable. */
  async unplug(machine) {
    await sh(`ip link set dev ${machine.name} down`);
  }
}
