// Measures block interval and finality lag, on a network of its own or on a running node.

import { parseArgs } from 'node:util';
import { connect } from './lib/chain.mjs';
import { Network } from './lib/network.mjs';

const USAGE = `Usage: scripts/measure-finality [--blocks N] [--validators N] [--url URL]

Watches N blocks (default 100) become final and prints how far apart they were made and how long each took from there
to finality, in seconds: a table on standard error, JSON on standard output.

  interval  time between a block's and its parent's timestamps: above the slot time when slots stayed empty
  lag       time from a block's first arrival at the node to the node's knowledge that it is final

Options:
  --blocks N      final blocks to measure
  --validators N  size of the network that it starts, 2 (default) to 4; the programs must have been built
  --url URL       measure a node that runs, by its WebSocket address, instead of starting a network
  -h, --help      this text
`;

const NAMES = ['Alice', 'Bob', 'Charlie', 'Dave'];

/** Nearest-rank percentile. */
const percentile = (sorted, p) => sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)];

function summary(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const seconds = (ms) => Math.round(ms) / 1000;
  return {
    p50: seconds(percentile(sorted, 50)),
    p95: seconds(percentile(sorted, 95)),
    max: seconds(sorted.at(-1)),
    mean: seconds(sorted.reduce((sum, v) => sum + v, 0) / sorted.length),
  };
}

/** Watches until `count` blocks were seen to arrive and to become final. */
export async function measure(api, count, { say = () => {} } = {}) {
  /** Number of each block, and when it was first heard of, by hash. */
  const arrived = new Map();
  const final = [];
  const intervals = [];
  const lags = [];
  let slots = 0;
  const started = Date.now();
  const stamp = async (hash) => (await (await api.at(hash)).query.timestamp.now()).toNumber();
  const unsubscribe = [];
  try {
    unsubscribe.push(
      await api.rpc.chain.subscribeAllHeads((head) => {
        const hash = head.hash.toHex();
        if (!arrived.has(hash)) arrived.set(hash, { at: performance.now(), number: head.number.toNumber() });
      }),
    );
    const slot = api.consts.babe.expectedBlockTime.toNumber();
    await new Promise((resolve, reject) => {
      // One block after the other, in the order in which they became final.
      let line = Promise.resolve();
      const onFinal = async (hash, parent, seen) => {
        const first = arrived.get(hash);
        // The first blocks were there before we listened.
        if (first === undefined || lags.length >= count) return;
        const interval = (await stamp(hash)) - (await stamp(parent));
        lags.push(seen - first.at);
        final.push(first.number);
        intervals.push(interval);
        slots += Math.round(interval / slot);
        if (lags.length % 10 === 0) say(`${lags.length} of ${count} blocks`);
        if (lags.length >= count) resolve();
      };
      api.rpc.chain
        .subscribeFinalizedHeads((head) => {
          const seen = performance.now();
          line = line.then(() => onFinal(head.hash.toHex(), head.parentHash.toHex(), seen)).catch(reject);
        })
        .then((stop) => unsubscribe.push(stop), reject);
    });
  } finally {
    for (const stop of unsubscribe) stop();
  }
  const heard = [...arrived.values()].filter(({ number }) => number >= final[0] && number <= final.at(-1));
  return {
    blocks: lags.length,
    seconds: Math.round((Date.now() - started) / 100) / 10,
    interval: summary(intervals),
    finality_lag: summary(lags),
    empty_slots: slots - intervals.length,
    forked_blocks: heard.length - final.length,
  };
}

function table({ interval, finality_lag: lag }) {
  const row = (name, cells) => `${name.padEnd(14)}${cells.map((c) => String(c).padStart(9)).join('')}\n`;
  const cells = (s) => [s.p50, s.p95, s.max, s.mean].map((v) => v.toFixed(2));
  return row('seconds', ['p50', 'p95', 'max', 'mean']) + row('block interval', cells(interval)) + row('finality lag', cells(lag));
}

async function main() {
  const { values } = parseArgs({
    options: {
      blocks: { type: 'string', default: '100' },
      validators: { type: 'string', default: '2' },
      url: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const [blocks, validators] = [Number(values.blocks), Number(values.validators)];
  if (!Number.isInteger(blocks) || blocks < 1) throw new Error(`--blocks takes a number above 0, not ${values.blocks}`);
  if (!(validators >= 2 && validators <= NAMES.length)) {
    throw new Error(`--validators takes 2 to ${NAMES.length}, not ${values.validators}`);
  }
  const say = (line) => process.stderr.write(`${line}\n`);
  let network;
  let api;
  try {
    if (values.url) {
      api = await connect(values.url);
    } else {
      network = new Network({ say, validators: NAMES.slice(0, validators) });
      await network.startValidators();
      api = network.api;
    }
    const work = measure(api, blocks, { say });
    const measured = await (network ? network.alive(work) : work);
    const validatorsInSet = (await api.query.session.validators()).length;
    process.stderr.write(table(measured));
    process.stdout.write(`${JSON.stringify({ validators: validatorsInSet, ...measured }, undefined, 2)}\n`);
  } finally {
    if (network) await network.stop();
    else await api?.disconnect();
  }
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  main().then(
    () => process.exit(0),
    (error) => {
      process.stderr.write(`FAILED: ${error.message}\n  what to do: scripts/measure-finality --help\n`);
      process.exit(1);
    },
  );
}
