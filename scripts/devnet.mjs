// The devnet behind scripts/devnet: starts the network, runs the jobs, reports, stays until it is stopped.

import { accessSync, constants as access, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Verdicts, quickRounds, report as auditReport, startWithCheats, untilConvicted } from './lib/audits.mjs';
import { dev, inMesh, submit } from './lib/chain.mjs';
import { askAll, startWithGateway } from './lib/gateway.mjs';
import { fileInput, fileJob, jobOf, submission } from './lib/jobs.mjs';
import * as magika from './lib/magika.mjs';
import { Network, rpc } from './lib/network.mjs';
import { handleSignals } from './lib/process.mjs';

/** Jobs that are under way at a time: as many as the two workers take together. */
const AT_A_TIME = 8;

const started = Date.now();
let statusShown = false;
let watching = false;

/** One line of progress on standard error. */
function say(text, step = 'devnet') {
  if (statusShown) process.stderr.write('\r\x1b[K');
  statusShown = false;
  const seconds = ((Date.now() - started) / 1000).toFixed(1).padStart(6);
  process.stderr.write(`[${seconds}s] ${step.padEnd(9)} ${text}\n`);
}

class Interrupted extends Error {}

/** Names what failed and what to do about it. */
async function step(what, next, work) {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Interrupted || error.next) throw error;
    throw Object.assign(new Error(`${what}: ${error.message}`, { cause: error }), { next });
  }
}

/** Runs `work` on every item, `limit` at a time; the results are in the order of the items. */
async function mapLimit(items, limit, work) {
  const results = new Array(items.length);
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const i = next;
      next += 1;
      results[i] = await work(items[i], i);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  return results;
}

function checkFiles(files) {
  for (const file of files) {
    try {
      magika.features(readFileSync(file));
    } catch (error) {
      throw Object.assign(new Error(`${file}: ${error.message}`), {
        next: 'leave the file out, or take one with more in it',
      });
    }
  }
}

/** Submits a job for every file and waits until each is over for good. */
async function runJobs(network, files, client, onDone) {
  const { api, model } = network;
  let nonce = (await api.rpc.system.accountNextIndex(client.address)).toNumber();
  return mapLimit(files, AT_A_TIME, async (file) => {
    const tx = await submission(api, fileInput(model, file));
    const mine = nonce;
    nonce += 1;
    const { included, finalized } = await submit(api, tx, client, { nonce: mine });
    say(`${file}: submitted in block ${jobOf(await included).block}`, 'jobs');
    const { id } = jobOf(await finalized);
    const job = await fileJob(api, { file, id });
    onDone(job);
    return job;
  });
}

/** An account with the name of its worker, if it is one of ours. */
function named(address, network) {
  const worker = network.workers.find((w) => w.account.address === address);
  return worker ? `${worker.name} (${address})` : address;
}

/** Asks about every file through the gateway; each is paid for when this returns. */
const askThroughGateway = (network, files, receipts, onDone) =>
  askAll(network, files, receipts, {
    onAnswer: ({ file, host, after }) => say(`${file}: answered by ${named(host, network)} by block ${after}; the receipt holds`, 'jobs'),
    onDone,
  });

function describe(job, network) {
  const host = named(job.host, network);
  if (job.outcome !== 'Settled') {
    return `${job.file}: ${job.outcome}; submitted in block ${job.submitted_block}; ${inMesh(job.refunded)} came back`;
  }
  const course =
    job.via === 'gateway'
      ? `    asked through ${network.gateway.name} in block ${job.submitted_block}, answered by ${host} by block ${job.result_block}, ` +
        `claimed in block ${job.claim_block}\n    receipt: ${job.receipt}`
      : `    job ${job.job}, submitted in block ${job.submitted_block}, drawn: ${host}, result in block ${job.result_block}`;
  return [
    `${job.file}: ${job.label} (score ${job.score.toFixed(4)})`,
    course,
    `    fee ${inMesh(job.fee)}: host ${inMesh(job.host_paid)}, verifier pool ${inMesh(job.pool_paid)}, ` +
      `treasury ${inMesh(job.treasury_paid)}`,
  ].join('\n');
}

async function document(network, jobs) {
  const { api, model } = network;
  const version = (await api.query.modelRegistry.versions(model)).unwrap();
  return {
    chain: { genesis: api.genesisHash.toHex(), spec_version: api.runtimeVersion.specVersion.toNumber() },
    model: {
      id: model,
      name: magika.NAME,
      version: magika.VERSION,
      content_id: version.manifest.contentId.toHex(),
    },
    jobs,
  };
}

/** How a worker is, in a few words. */
async function stateOf(worker, network) {
  try {
    if (worker === network.gateway) {
      // A worker without stake has nothing to serve: what counts is whether it can pass requests on.
      const { ready, problem, peers } = await rpc(worker.gateway, 'mesh_status');
      return ready ? `has ${peers} peers` : problem;
    }
    const { state, faults } = await worker.health();
    return `${state}${faults.length ? ` (${faults.map((f) => f.reason).join('; ')})` : ''}`;
  } catch {
    return 'no answer';
  }
}

/** Keeps a line of status up to date until the process is stopped. `more` adds to it. */
async function watchOn(network, done, more = () => '') {
  const { api, nodes, workers } = network;
  const terminal = process.stderr.isTTY;
  let [best, final] = [0, 0];
  let last = '';
  await api.rpc.chain.subscribeNewHeads((head) => {
    best = head.number.toNumber();
  });
  const count = async (head) => {
    const events = await (await api.at(head.hash)).query.system.events();
    done += events.filter(({ event }) => event.section === 'jobs' && event.method === 'Finished').length;
  };
  await api.rpc.chain.subscribeFinalizedHeads((head) => {
    final = head.number.toNumber();
    // The connection ends when the network is stopped, and with it what is being read.
    count(head).catch(() => {});
  });
  say(`the network is up: ${nodes.map((n) => `${n.name} ${n.url}`).join(', ')}`);
  say(`gateways for applications: ${workers.map((w) => `${w.name} ${w.gateway}`).join(', ')}; Ctrl-C stops it all`);
  for (;;) {
    const states = await Promise.all(workers.map(async (worker) => `${worker.name} ${await stateOf(worker, network)}`));
    const line = `best ${best}, final ${final} | ${states.join(', ')} | jobs done ${done}${more()}`;
    if (terminal) {
      process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns ?? 120) - 1)}`);
      statusShown = true;
    } else if (final % 30 === 0 && line !== last) {
      say(line, 'status');
    }
    last = line;
    await new Promise((resolve) => {
      setTimeout(resolve, 1_000);
    });
  }
}

async function main(network, files, { once, json, 'via-gateway': viaGateway, receipts }) {
  await step('the network did not start', 'read the log above and try again; if it stays so, build anew by running this without --no-build', () =>
    network.alive(viaGateway ? startWithGateway(network) : network.startUsual()),
  );
  const report = json ? (text) => say(text, 'jobs') : (text) => console.log(text);
  const onDone = (job) => report(describe(job, network));
  const jobs = await step('the jobs did not come to an end', 'look into the logs of the workers and the nodes', () =>
    network.alive(
      viaGateway ? askThroughGateway(network, files, receipts, onDone) : runJobs(network, files, dev('Ferdie'), onDone),
    ),
  );
  const settled = jobs.filter((job) => job.outcome === 'Settled').length;
  say(`${settled} of ${jobs.length} jobs settled`, 'jobs');
  if (json) console.log(JSON.stringify(await document(network, jobs), undefined, 2));
  if (!once) {
    watching = settled === jobs.length;
    await network.alive(watchOn(network, jobs.length));
  }
  if (settled < jobs.length) {
    throw Object.assign(new Error(`${jobs.length - settled} of ${jobs.length} jobs did not settle`), {
      next: 'look into the logs of the workers',
    });
  }
  if (jobs.some((job) => job.gateway_hosts_model)) {
    throw Object.assign(new Error('the gateway hosts the model itself'), { next: 'look into its folder and log, and see what it offers' });
  }
}

/** The same network with workers that cheat: jobs go on until each of them is convicted. */
async function mainWithCheats(network, files, { once, json }) {
  await step('the network did not start', 'read the log above and try again; if it stays so, build anew by running this without --no-build', () =>
    network.alive(startWithCheats(network)),
  );
  const verdicts = new Verdicts();
  const text = json ? (line) => say(line, 'audits') : (line) => console.log(line);
  const name = (address) => network.workers.find(({ account }) => account.address === address)?.name ?? address;
  verdicts.onStep = (line) => text(line);
  verdicts.name = name;
  await verdicts.follow(network.api);
  const jobs = await step('a cheat was not convicted', 'look into the logs of the workers: llmesh-worker audits list --all shows every audit', () =>
    network.alive(
      untilConvicted(network, verdicts, files, dev('Ferdie'), { say: (line) => say(line, 'jobs') }),
    ),
  );
  const found = auditReport(network, verdicts);
  for (const one of found.convicted) text(`convicted: ${one.name ?? one.account} (${one.reason}), slashed ${inMesh(one.slashed)}`);
  text(`lost by honest workers: ${inMesh(found.honest_slashed)}`);
  if (json) console.log(JSON.stringify(found, undefined, 2));
  const wronged = found.convicted.filter(({ account }) => found.honest.some((one) => one.account === account));
  if (found.honest_slashed !== '0' || wronged.length) {
    throw Object.assign(new Error('an honest worker was convicted'), { next: 'this is a fault of the protocol: report it with the logs' });
  }
  if (!once) {
    watching = true;
    await network.alive(watchOn(network, jobs, () => ` | audits over ${verdicts.audits.size}, convicted ${verdicts.convicted.size}`));
  }
}

const { values: options, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    once: { type: 'boolean' },
    json: { type: 'boolean' },
    keep: { type: 'boolean' },
    check: { type: 'boolean' },
    cheat: { type: 'boolean' },
    'via-gateway': { type: 'boolean' },
    receipts: { type: 'string' },
  },
});

/** The folder for receipts: the one that was named, or a new one that stays. */
async function receiptsFolder({ receipts }) {
  const next = 'name another folder with --receipts, one that can be written to';
  return step('there is no folder for receipts', next, () => {
    if (!receipts) return mkdtempSync(join(tmpdir(), 'llmesh-receipts-'));
    mkdirSync(receipts, { recursive: true });
    accessSync(receipts, access.W_OK);
    return resolve(receipts);
  });
}

let code = 0;
let network;
let dir;
let receipts;
try {
  checkFiles(files);
  if (!options.check) {
    dir = mkdtempSync(join(tmpdir(), 'llmesh-devnet-'));
    say(`logs and databases are in ${dir}`);
    if (options['via-gateway']) {
      receipts = await receiptsFolder(options);
      say(`receipts go to ${receipts}`);
    }
    network = new Network({ dir, say, genesis: options.cheat ? quickRounds : undefined });
    const interrupted = new Promise((_, reject) => {
      handleSignals((signal) => {
        // The second one does not wait for anything.
        handleSignals(() => process.exit(130));
        reject(new Interrupted(signal));
      });
    });
    const work = options.cheat ? mainWithCheats : main;
    await Promise.race([work(network, files, { ...options, receipts }), interrupted]);
  }
} catch (error) {
  if (error instanceof Interrupted) {
    say(`${error.message}: stopping`);
    // To end a network that runs is what Ctrl-C is for.
    code = watching && error.message === 'SIGINT' ? 0 : 128 + constants.signals[error.message];
  } else {
    say(`FAILED: ${error.message}`);
    process.stderr.write(`  what to do: ${error.next ?? 'this is a fault of the script: report it with the text above'}\n`);
    if (!error.next) process.stderr.write(`${error.stack}\n`);
    code = 1;
  }
}

if (network) {
  const complaints = await network.stop();
  for (const complaint of complaints) say(complaint);
  if (options.keep || (code !== 0 && code < 128)) process.stderr.write(`  logs and databases are in ${dir}\n`);
  else rmSync(dir, { recursive: true, force: true });
  if (receipts) {
    // One that we made and nothing came into is of no use.
    if (!options.receipts && !readdirSync(receipts).length) rmSync(receipts, { recursive: true });
    else say(`receipts are in ${receipts}; one is checked by: llmesh-worker receipt verify FILE`);
  }
  say('stopped');
}
process.exit(code);
