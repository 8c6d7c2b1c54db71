// The chain by stock polkadot.js: no custom types, no custom signed extensions.

import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { BN } from '@polkadot/util';

export const MESH = new BN(10).pow(new BN(12));

/** `amount` MESH in planck. */
export const mesh = (amount) => MESH.muln(amount);

const keyring = new Keyring({ type: 'sr25519', ss58Format: 42 });

/** The development account `//Name`. */
export const dev = (name) => keyring.addFromUri(`//${name}`, { name });

/** Connects; fails when the node does not answer in time. */
export async function connect(url, { timeout = 30_000 } = {}) {
  const provider = new WsProvider(url, 500);
  const api = new ApiPromise({ provider, noInitWarn: true });
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer from ${url} in ${timeout / 1000} s`)), timeout);
  });
  try {
    await Promise.race([api.isReadyOrError, late]);
  } catch (error) {
    await api.disconnect();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  return api;
}

/** An extrinsic that the chain refused: `name` is the module's error (`jobs.FeeBelowPrice`), `message` has its text. */
export class DispatchError extends Error {
  constructor(name, docs) {
    super(docs ? `${name}: ${docs}` : name);
    this.name = name;
  }
}

function decode(api, error) {
  if (!error.isModule) return new DispatchError(error.toString(), '');
  const { section, name, docs } = api.registry.findMetaError(error.asModule);
  return new DispatchError(`${section}.${name}`, docs.join(' ').trim());
}

/**
 * Signs, submits and waits for inclusion.
 *
 * @returns {Promise<{ hash: string, block: number, events: object[], find: (section: string, method: string) => object }>}
 * @throws {DispatchError} when the extrinsic is included but fails
 */
export async function send(api, tx, pair, { timeout = 60_000, finalized = false } = {}) {
  let unsubscribe = () => {};
  let timer;
  try {
    const result = await new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`${tx.method.section}.${tx.method.method} was not included in time`)), timeout);
      tx.signAndSend(pair, { nonce: -1 }, (r) => {
        if (r.isError) reject(new Error(`${tx.method.section}.${tx.method.method}: ${r.status.type}`));
        else if (finalized ? r.status.isFinalized : r.status.isInBlock || r.status.isFinalized) resolve(r);
      }).then((u) => {
        unsubscribe = u;
      }, reject);
    });
    if (result.dispatchError) throw decode(api, result.dispatchError);
    const hash = (result.status.isFinalized ? result.status.asFinalized : result.status.asInBlock).toHex();
    const block = (await api.rpc.chain.getHeader(hash)).number.toNumber();
    const events = result.events.map((r) => r.event);
    return { hash, block, events, find: (section, method) => findEvent(events, section, method) };
  } finally {
    clearTimeout(timer);
    unsubscribe();
  }
}

/** The data of the first event of that kind, by name; undefined when there is none. */
export function findEvent(events, section, method) {
  return events.find((e) => e.section === section && e.method === method)?.data;
}

/**
 * Watches a job until it is over.
 *
 * Reads the state of the best chain block by block, so that a fork can not show an end that did not stay.
 *
 * @returns {Promise<object>} the job record as the chain holds it
 */
export async function jobEnd(api, id, { timeout = 120_000 } = {}) {
  let unsubscribe = () => {};
  let timer;
  try {
    return await new Promise((resolve, reject) => {
      let last = 'never seen';
      timer = setTimeout(() => reject(new Error(`job ${id} is not over in time; its state: ${last}`)), timeout);
      api.query.jobs.jobs(id, (record) => {
        if (record.isNone) return;
        const job = record.unwrap();
        last = job.state.toString();
        if (job.state.isFinished) resolve(job);
      }).then((u) => {
        unsubscribe = u;
      }, reject);
    });
  } finally {
    clearTimeout(timer);
    unsubscribe();
  }
}
