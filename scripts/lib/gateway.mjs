// Files by way of the mesh: through the gateway of a node that does not host the model, paid by a channel.

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { MESH, atHeads, inMesh } from './chain.mjs';
import { quote } from './jobs.mjs';
import * as magika from './magika.mjs';
import { cli, rpc, worker } from './network.mjs';

/** Hosts claim when a lane has this much for them: the least fee, so that each answer is worth a claim. In MESH. */
const CLAIM_ABOVE = '0.01';
/** For one answer, with the opening of a channel before it; for the claims of all; for what a node says of itself. */
const ANSWER_TIMEOUT = 240_000;
const CLAIM_TIMEOUT = 180_000;
const TELL_TIMEOUT = 30_000;

const MODEL = `${magika.NAME}@${magika.VERSION}`;

/** The usual devnet, and a node in its mesh that is a gateway and nothing else. */
export async function startWithGateway(network) {
  await network.startUsual({ args: ['--claim-above', CLAIM_ABOVE] });
  network.say('starting a gateway in the mesh, without stake, offer or model');
  await network.alive(network.addGateway());
  return network;
}

/** The files below a folder, in all of its folders. */
const filesIn = (dir) =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

/** Whether a folder holds a copy of a file, under any name. */
function holds(dir, file) {
  const hash = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');
  const { size } = statSync(file);
  return filesIn(dir).some((path) => statSync(path, { throwIfNoEntry: false })?.size === size && hash(path) === hash(file));
}

/**
 * Whether a node of the mesh hosts magika: it offers it on the chain, or knows itself as one of its hosts, or has its file.
 *
 * @param {import('./network.mjs').Worker} node
 */
export async function hostsModel(network, node) {
  const { api, model } = network;
  const offer = await api.query.modelRegistry.offers(model, node.account.address);
  const { peerId } = await rpc(node.gateway, 'mesh_status');
  const routes = await rpc(node.gateway, 'mesh_routes', { model: magika.NAME, version: magika.VERSION });
  return offer.isSome || routes.some((route) => route.peerId === peerId) || holds(node.base, magika.modelFile());
}

/** What a node says of itself. A node that has much to do may need a second try. */
async function told(node, what, question) {
  const answer = async () => ({ it: await question() });
  return (await node.process.until(`to say ${what}`, answer, { timeout: TELL_TIMEOUT })).it;
}

/** Number of the best block, or of the last final one. */
const height = async (api) => (await api.rpc.chain.getHeader()).number.toNumber();
const finalHeight = async (api) => (await api.rpc.chain.getHeader(await api.rpc.chain.getFinalizedHead())).number.toNumber();

/** What a file's receipt is called: names of files in several folders can be the same. */
const receiptName = (i, file) => `${i + 1}-${basename(file)}.receipt.json`;

/** Asks about one file through the gateway. The receipt is on disk and has been checked when this returns. */
async function ask(network, { file, receipt, client, budget }) {
  const { api, gateway } = network;
  const [{ name, shape, data }] = magika.inputTensors(readFileSync(file));
  const bytes = join(client, 'input.bin');
  writeFileSync(bytes, Buffer.from(data.slice(2), 'hex'));
  const tensor = `${name}=INT32:${shape.join()}:@${bytes}`;
  const before = await height(api);
  const answer = await cli(
    gateway.node,
    [
      '--dev-key', 'ferdie', '--base-path', client, 'infer', MODEL, '--input', tensor, '--gateway', gateway.gateway,
      '--budget', budget, '--receipt', receipt,
    ],
    { timeout: ANSWER_TIMEOUT },
  );
  const after = await height(api);
  const { stdout } = await worker([
    '--json', 'receipt', 'verify', receipt, '--input', tensor, '--chain', api.genesisHash.toHex(),
  ]);
  const { valid, host, fee, request } = JSON.parse(stdout);
  if (!valid || host !== answer.host || fee !== answer.price || request !== answer.request) {
    throw new Error(`the receipt ${receipt} is not that of the answer of ${answer.host}`);
  }
  const { channel, lane, sequence } = JSON.parse(readFileSync(receipt, 'utf8')).request;
  const output = new Uint8Array(Float32Array.from(answer.outputs[0].data).buffer);
  return {
    file, ...magika.topLabel(output), host, before, after, fee: BigInt(fee), request, receipt,
    lane: `${channel}/${lane}`, sequence: BigInt(sequence),
    hosted: await told(gateway, 'what it hosts', () => hostsModel(network, gateway)),
  };
}

const sum = (amounts) => amounts.reduce((total, amount) => total + amount, 0n);

/**
 * Waits until the chain has paid the hosts for all answers, for good.
 *
 * @param {number} after block after which the claims are
 * @returns {Promise<Array<{ block: number, lane: string, paid: bigint, host: bigint, pool: bigint, treasury: bigint }>>}
 */
async function claimsFor(api, answers, after) {
  const claims = [];
  const paid = (lane) => sum(claims.filter((claim) => claim.lane === lane).map((claim) => claim.paid));
  const owed = (lane) => sum(answers.filter((answer) => answer.lane === lane).map((answer) => answer.fee));
  const lanes = [...new Set(answers.map((answer) => answer.lane))];
  let next = after + 1;
  const look = async (_, head) => {
    for (; next <= head.number; next += 1) {
      const events = await (await api.at(await api.rpc.chain.getBlockHash(next))).query.system.events();
      for (const { event } of events) {
        if (event.section !== 'settlement' || event.method !== 'Claimed') continue;
        const lane = `${event.data.channel}/${event.data.lane}`;
        // Somebody else may use the network too.
        if (!lanes.includes(lane)) continue;
        const amount = (name) => event.data[name].toBigInt();
        claims.push({
          block: next, lane, paid: amount('paid'),
          host: amount('hostPaid'), pool: amount('poolPaid'), treasury: amount('treasuryPaid'),
        });
      }
    }
    return lanes.every((lane) => paid(lane) >= owed(lane));
  };
  const sums = () => lanes.map((lane) => `lane ${lane}: ${inMesh(paid(lane))} of ${inMesh(owed(lane))}`).join(', ');
  try {
    await atHeads(api, 'the hosts to claim their fees', look, { finalized: true, timeout: CLAIM_TIMEOUT });
  } catch (error) {
    throw new Error(`${error.message}; paid so far: ${sums()}`, { cause: error });
  }
  if (lanes.some((lane) => paid(lane) !== owed(lane))) throw new Error(`the chain paid more than the receipts say: ${sums()}`);
  return claims;
}

/** A fee divided by the chain's shares; the treasury has the rest. */
function split(api, fee) {
  const { hostShare, poolShare } = api.consts.settlement;
  const [host, pool] = [hostShare, poolShare].map((share) => (fee * share.toBigInt()) / 1_000_000n);
  return { host, pool, treasury: fee - host - pool };
}

/** Answers and the claims that paid for them, as docs/devnet-json.md describes it. */
function asJobs(api, answers, claims) {
  const parts = answers.map((answer) => split(api, answer.fee));
  for (const part of ['host', 'pool', 'treasury']) {
    const [shown, paid] = [parts, claims].map((list) => sum(list.map((one) => one[part])));
    // Fees are multiples of ten planck, so that there is nothing to round: not in one fee, not in a claim of many.
    if (shown !== paid) throw new Error(`of the fees ${shown} planck would be the ${part}'s part, but the chain paid ${paid}`);
  }
  return answers.map((answer, i) => {
    // The chain pays a lane's requests in their order.
    const upTo = sum(answers.filter((a) => a.lane === answer.lane && a.sequence <= answer.sequence).map((a) => a.fee));
    let paid = 0n;
    const claim = claims.find((one) => {
      if (one.lane === answer.lane) paid += one.paid;
      return paid >= upTo;
    });
    return {
      file: answer.file,
      job: null,
      via: 'gateway',
      label: answer.label,
      score: answer.score,
      outcome: 'Settled',
      host: answer.host,
      submitted_block: answer.before,
      result_block: answer.after,
      claim_block: claim.block,
      fee: answer.fee.toString(),
      host_paid: parts[i].host.toString(),
      pool_paid: parts[i].pool.toString(),
      treasury_paid: parts[i].treasury.toString(),
      refunded: '0',
      request: answer.request,
      receipt: answer.receipt,
      gateway_hosts_model: answer.hosted,
    };
  });
}

/**
 * Asks about every file through the gateway, and waits until the hosts are paid for it on the chain.
 *
 * @param {string} receipts folder that takes the receipts
 * @param {{ onAnswer?: (answer: object) => void, onDone?: (job: object) => void }} options
 */
export async function askAll(network, files, receipts, { onAnswer = () => {}, onDone = () => {} } = {}) {
  const { api, gateway } = network;
  const client = join(network.dir, 'client');
  mkdirSync(client, { recursive: true });
  const from = await finalHeight(api);
  // One host can answer everything; the rest is for a rise of the price.
  const { highest } = await quote(api, network.model);
  const needed = (highest?.toBigInt() ?? 0n) * BigInt(files.length) * 2n;
  const budget = `${needed > MESH ? needed : MESH}planck`;
  const forwarded = () => told(gateway, 'what it passed on', async () => (await gateway.health()).mesh.forwarded);
  const before = await forwarded();
  const answers = [];
  // One after the other: a client has one book of what it has signed.
  for (const [i, file] of files.entries()) {
    const answer = await ask(network, { file, receipt: join(receipts, receiptName(i, file)), client, budget });
    onAnswer(answer);
    answers.push(answer);
  }
  const carried = (await forwarded()) - before;
  if (carried < files.length) throw new Error(`the gateway passed on ${carried} requests, not ${files.length}`);
  const jobs = asJobs(api, answers, await claimsFor(api, answers, from));
  jobs.forEach(onDone);
  return jobs;
}
