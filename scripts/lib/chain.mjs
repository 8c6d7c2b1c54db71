// The chain by stock polkadot.js: no custom types, no custom signed extensions.

import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { compactStripLength, hexToU8a, u8aToHex } from '@polkadot/util';

/** One MESH in planck. */
export const MESH = 10n ** 12n;

/** `amount` MESH in planck. */
export const mesh = (amount) => BigInt(amount) * MESH;

/** An amount in planck for people. */
export function inMesh(planck) {
  const text = planck.toString().padStart(13, '0');
  const fraction = text.slice(-12).replace(/0+$/, '');
  return `${text.slice(0, -12)}${fraction ? `.${fraction}` : ''} MESH`;
}

const keyring = new Keyring({ type: 'sr25519', ss58Format: 42 });

/** The development account `//Name`. */
export const dev = (name) => keyring.addFromUri(`//${name}`, { name });

/** The key with which the development validator `//Name` votes for finality. */
export const devFinality = (name) => new Keyring({ type: 'ed25519', ss58Format: 42 }).addFromUri(`//${name}`);

/**
 * After a runtime upgrade polkadot.js asks in the old way, which gets metadata 14: without runtime APIs, so that `api.call` is
 * empty from then on. Here it gets what it has asked for in the beginning, 16.
 */
class Provider extends WsProvider {
  async send(method, params, ...rest) {
    if (method !== 'state_getMetadata') return super.send(method, params, ...rest);
    const answer = await super.send('state_call', ['Metadata_metadata_at_version', '0x10000000', ...params]);
    // Some(bytes)
    const [, metadata] = compactStripLength(hexToU8a(answer).subarray(1));
    return u8aToHex(metadata);
  }
}

/**
 * polkadot.js, reading each block by the types of the runtime that made it.
 *
 * It has one registry of types for the present and uses it for blocks of the present version too. When the runtime is
 * replaced it fills that registry anew, with other type numbers, and still goes by it for the old blocks that it knows by
 * hash, and in queries that are under way: they can not be decoded any more. Here every version has a registry of its
 * own, which nothing changes.
 */
class Api extends ApiPromise {
  #versions = new Map();

  async getBlockRegistry(blockHash) {
    const { provider } = this._rpcCore;
    const hash = u8aToHex(blockHash);
    const header = await provider.send('chain_getHeader', [hash]);
    if (!header) throw new Error(`unable to retrieve header ${hash}`);
    // Code that a block brings makes the blocks after it. The genesis block has no parent.
    const parentHash = Number(header.number) === 0 ? hash : header.parentHash;
    const version = this.registry.createType('RuntimeVersionPartial', await provider.send('state_getRuntimeVersion', [parentHash]));
    const key = `${version.specName} ${version.specVersion}`;
    if (!this.#versions.has(key)) {
      const made = this._createBlockRegistry(blockHash, this.registry.createType('HeaderPartial', { ...header, parentHash }), version);
      this.#versions.set(key, made);
      made.catch(() => this.#versions.delete(key));
    }
    return this.#versions.get(key);
  }
}

/** Connects; fails when the node does not answer in time. */
export async function connect(url, { timeout = 30_000 } = {}) {
  const provider = new Provider(url, 500);
  const api = new Api({ provider, noInitWarn: true });
  // A node that is stopped on purpose is no news: polkadot.js connects again by itself.
  api.on('error', () => {});
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer from ${url} in ${timeout / 1000} s`)), timeout);
  });
  try {
    await Promise.race([api.isReady, late]);
  } catch (error) {
    await api.disconnect();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  return api;
}

/** The chain refused an included extrinsic. `name` is the error, such as `jobs.FeeBelowPrice`; `message` also says what it means. */
export class DispatchError extends Error {
  constructor(name, docs) {
    super(docs ? `${name}: ${docs}` : name);
    this.name = name;
  }
}

/** The chain's error by its name and documentation. */
export function dispatchError(api, error) {
  if (error.isModule) {
    const { section, name, docs } = api.registry.findMetaError(error.asModule);
    return new DispatchError(`${section}.${name}`, docs.join(' ').trim());
  }
  if (error.isToken) return new DispatchError(`token.${error.asToken.type}`, '');
  if (error.isArithmetic) return new DispatchError(`arithmetic.${error.asArithmetic.type}`, '');
  return new DispatchError(error.type, '');
}

/** The data of the first event of that kind, by name; undefined when there is none. */
export const findEvent = (events, section, method) =>
  events.find((event) => event.section === section && event.method === method)?.data;

/** The pool gave an extrinsic up before a block took it: nothing was done, and it can be sent again. */
export class PoolError extends Error {}

/** The node's refusals for a nonce that another pending extrinsic has, or that is used up. */
const NONCE_TROUBLE = /\b1010: .*(outdated|stale)|\b101[2-4]: /i;

/** An extrinsic in a block. */
class Inclusion {
  constructor(hash, block, events) {
    Object.assign(this, { hash, block, events });
  }

  find(section, method) {
    return findEvent(this.events, section, method);
  }
}

/**
 * Signs and submits an extrinsic.
 *
 * Blocks that are not final can be replaced: then an extrinsic moves to another block, with other events. Where that
 * matters use `finalized`.
 *
 * @param {object} options `nonce`: needed only when several are submitted without waiting
 * @returns {Promise<{ included: Promise<Inclusion>, finalized: Promise<Inclusion> }>} once the node took it. Both promises
 *   reject with a DispatchError when the chain refuses what was included.
 */
export async function submit(api, tx, pair, { nonce = -1, timeout = 60_000 } = {}) {
  const name = `${tx.method.section}.${tx.method.method}`;
  let settle;
  const included = new Promise((resolve, reject) => {
    settle = { resolve, reject };
  });
  let settleFinal;
  const finalized = new Promise((resolve, reject) => {
    settleFinal = { resolve, reject };
  });
  // Whoever waits for the one need not wait for the other.
  included.catch(() => {});
  finalized.catch(() => {});
  let unsubscribe = () => {};
  const end = () => {
    clearTimeout(timer);
    unsubscribe();
  };
  const fail = (error) => {
    settle.reject(error);
    settleFinal.reject(error);
    end();
  };
  const timer = setTimeout(() => fail(new Error(`${name} was not included and final in ${timeout / 1000} s`)), timeout);
  timer.unref();

  const onStatus = async (result) => {
    try {
      const { status } = result;
      if (result.isError) throw new PoolError(`${name} was not taken into a block: ${status.type}`);
      if (!status.isInBlock && !status.isFinalized) return;
      const hash = (status.isFinalized ? status.asFinalized : status.asInBlock).toHex();
      const error = result.dispatchError && dispatchError(api, result.dispatchError);
      const block = result.blockNumber?.toNumber() ?? (await api.rpc.chain.getHeader(hash)).number.toNumber();
      // It is in that block, but its events could not be read.
      if (result.internalError) throw result.internalError;
      const inclusion = new Inclusion(hash, block, result.events.map((record) => record.event));
      if (error) settle.reject(error);
      else settle.resolve(inclusion);
      if (!status.isFinalized) return;
      if (error) settleFinal.reject(error);
      else settleFinal.resolve(inclusion);
      end();
    } catch (error) {
      fail(error);
    }
  };

  try {
    unsubscribe = await tx.signAndSend(pair, { nonce }, onStatus);
  } catch (error) {
    fail(error);
    const Kind = NONCE_TROUBLE.test(error.message) ? PoolError : Error;
    throw new Kind(`${name}: ${error.message}`, { cause: error });
  }
  return { included, finalized };
}

/**
 * Signs, submits and waits for finality.
 *
 * Not only for inclusion: while the last extrinsic of an account is between a block that was replaced and the pool, the
 * next one would get the same nonce, and the chain would keep one of the two.
 *
 * @returns {Promise<Inclusion>}
 * @throws {DispatchError} when the extrinsic is included but fails
 */
export async function send(api, tx, pair, { tries = 3, ...options } = {}) {
  try {
    const { included, finalized } = await submit(api, tx, pair, options);
    // A refusal is known with inclusion.
    await included;
    return await finalized;
  } catch (error) {
    // When a fork wins, the account's last extrinsic can be pending again, and the nonce of this one no more the next.
    if (!(error instanceof PoolError) || tries <= 1) throw error;
    const { number } = await api.rpc.chain.getHeader();
    await atHeads(api, 'another block', (_, head) => head.number > number.toNumber());
    return send(api, tx, pair, { tries: tries - 1, ...options });
  }
}

/** Whether the node, or its view of a block, is away at present; asking again later can help. */
const isAway = (error) => /not connected|disconnected|retrieve header|unknown block|unknownblock/i.test(error.message);

/**
 * Waits for something that a block brings: asks `probe` at every new head until it returns something truthy.
 *
 * It looks at whole states, not at subscriptions to single values: those miss what a block brings that became the best one
 * through a later block.
 *
 * @param {(at: import('@polkadot/api/types').ApiDecoration<'promise'>, head: { hash: string, number: number }) => any} probe
 * @param {{ finalized?: boolean, timeout?: number }} options
 */
export async function atHeads(api, what, probe, { finalized = false, timeout = 60_000 } = {}) {
  const { chain } = api.rpc;
  const newest = async () => {
    const hash = finalized ? await chain.getFinalizedHead() : await chain.getBlockHash();
    return { hash: hash.toHex(), number: (await chain.getHeader(hash)).number.toNumber() };
  };
  const stop = Date.now() + timeout;
  let seen;
  let last;
  for (;;) {
    try {
      const head = await newest();
      if (head.hash !== seen) {
        const found = await probe(await api.at(head.hash), head);
        if (found) return found;
        seen = head.hash;
      }
    } catch (error) {
      if (!isAway(error)) throw error;
      last = error;
    }
    if (Date.now() > stop) {
      throw new Error(`gave up after ${timeout / 1000} s waiting for ${what}${last ? ` (${last.message})` : ''}`);
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 250);
    });
  }
}

/** Waits until the block of that number is final; returns the final head. */
export const untilFinal = (api, number, options) =>
  atHeads(api, `block ${number} to be final`, (_, head) => head.number >= number && head, { ...options, finalized: true });

/** Waits until the chain has reached that height. */
export const untilBlock = (api, number, options) =>
  atHeads(api, `block ${number}`, (_, head) => head.number >= number && head, options);
