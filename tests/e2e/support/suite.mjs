// One network for the tests of a file.

import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { after, before, test } from 'node:test';
import { DispatchError, dispatchError, send } from '../../../scripts/lib/chain.mjs';
import { Network } from '../../../scripts/lib/network.mjs';
import { killAll } from '../../../scripts/lib/process.mjs';

/** Keep folders of networks for a look at them: LLMESH_KEEP=1. */
const KEEP = Boolean(process.env.LLMESH_KEEP);

/** What this file's suite is called: several may write at the same time. */
const SUITE = basename(process.argv[1], '.test.mjs');

/**
 * A network that is started before the tests of this file and stopped after them.
 *
 * A test fails at once when a process of the network ends unasked; a failed test prints the ends of all logs.
 *
 * @param {(network: Network) => Promise<void>} start
 * @param {object} options of the Network
 * @returns {{ network: Network, it: (name: string, body: (t: object) => Promise<void>, options?: object) => void }}
 */
export function suite(start, options = {}) {
  const network = new Network({ ...options, say: (line) => console.error(`# ${SUITE}: ${line}`) });
  const guarded = async (work) => {
    try {
      return await network.alive(work());
    } catch (error) {
      console.error(`# ${SUITE}: ${error.stack}\n${network.logs(40)}`);
      throw error;
    }
  };
  before(() => guarded(() => start(network)), { timeout: 240_000 });
  after(
    async () => {
      const complaints = await network.stop({ keep: KEEP });
      if (KEEP) console.error(`# ${SUITE}: logs and databases are in ${network.dir}`);
      // A child that a failed test left would keep this process from ending.
      const left = killAll();
      assert.deepEqual(complaints, []);
      assert.equal(left, 0, 'processes that no test ended');
      console.error(`# ${SUITE}: ${Math.round(process.uptime())} s`);
    },
    { timeout: 90_000 },
  );
  const it = (name, body, { timeout = 180_000 } = {}) => test(name, { timeout }, (t) => guarded(() => body(t)));
  return { network, it };
}

function isRefusal(error, name) {
  assert.ok(error instanceof DispatchError, `expected ${name}, got ${error?.stack ?? 'success'}`);
  assert.equal(error.name, name, error.message);
  assert.ok(error.message.length > name.length + 2, `${name} has a description in the metadata`);
  return true;
}

/** Asserts that the chain refuses an extrinsic with exactly this error. */
export async function refused(sending, name) {
  await assert.rejects(sending, (error) => isRefusal(error, name));
}

/**
 * Asserts that the chain refuses each of several calls of an account with exactly its error, in one extrinsic.
 *
 * @param {Array<[object, string]>} cases calls, and the errors that are expected
 */
export async function allRefused(api, who, cases) {
  const { events } = await send(api, api.tx.utility.forceBatch(cases.map(([call]) => call)), who);
  const items = events.filter(({ section, method }) => section === 'utility' && ['ItemFailed', 'ItemCompleted'].includes(method));
  assert.equal(items.length, cases.length);
  items.forEach(({ data }, i) => {
    const [call, name] = cases[i];
    const error = data.error && dispatchError(api, data.error);
    assert.ok(isRefusal(error, name), `${call.method.toHuman()}`);
  });
}
