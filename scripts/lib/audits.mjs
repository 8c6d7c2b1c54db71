// Proof of Compute on a small network: honest workers, workers that cheat, and what the chain makes of them.

import { inMesh, send } from './chain.mjs';
import { fileInput, jobEnd, submitJob } from './jobs.mjs';

/** Workers of the network with cheats: three honest ones, and one for each way to cheat. */
export const HONEST = ['Charlie', 'Dave', 'Eve'];
export const CHEATS = [
  { name: 'other-model', key: 'Alice//stash', cheat: 'other-model' },
  { name: 'int8', key: 'Bob//stash', cheat: 'int8' },
  { name: 'withholder', key: 'Charlie//stash', cheat: 'withhold' },
  { name: 'lazy-verifier', key: 'Dave//stash', cheat: 'lazy-verifier' },
];

/** Rounds of 24 seconds, and 40 seconds for each step of an audit, so that cheats are convicted within minutes. */
export function quickRounds(patch) {
  Object.assign(patch.timing, { epochDuration: 12, auditWindow: 20, auditQuorum: 2 });
}

/** A verdict as one word: `Match`, `Mismatch`, `WithheldReceipt`... */
const inWords = (verdict) => (verdict.isWithheld ? `Withheld${verdict.asWithheld.type}` : verdict.type);

/** The chain's verdicts, faults and slashes as they become final. */
export class Verdicts {
  audits = new Map();
  convicted = new Map();
  slashed = new Map();

  /** Follows the final chain. Call what it returns to stop. */
  async follow(api, onChange = () => {}) {
    this.api = api;
    let next = 1;
    let work = Promise.resolve();
    const read = async (upTo) => {
      for (; next <= upTo; next += 1) {
        const hash = await api.rpc.chain.getBlockHash(next);
        const events = await (await api.at(hash)).query.system.events();
        let changed = false;
        for (const { event } of events) changed = this.take(event) || changed;
        if (changed) onChange();
      }
    };
    return api.rpc.chain.subscribeFinalizedHeads((head) => {
      work = work.then(() => read(head.number.toNumber())).catch((error) => {
        this.error = error;
      });
    });
  }

  /** For lines of progress: what happened, and who somebody is. */
  onStep = () => {};
  name = (address) => address;

  take({ section, method, data }) {
    const named = data.names ? Object.fromEntries(data.names.map((name, i) => [name, data[i]])) : {};
    if (section === 'attestation') this.#tell(method, named);
    if (section === 'attestation' && method === 'Finished') {
      this.audits.set(named.audit.toNumber(), inWords(named.verdict));
      return true;
    }
    if (section === 'attestation' && method === 'HostConvicted') {
      this.convicted.set(named.host.toString(), inWords(named.verdict));
      return true;
    }
    if (section === 'attestation' && method === 'VerifierFaulted' && named.slashed.toBigInt() > 0n) {
      this.convicted.set(named.verifier.toString(), 'FalseVote');
      return true;
    }
    if (section === 'meshStaking' && method === 'Slashed') {
      const operator = named.operator.toString();
      const { own, delegated, unbonding } = named.amounts;
      const sum = own.toBigInt() + delegated.toBigInt() + unbonding.toBigInt();
      this.slashed.set(operator, (this.slashed.get(operator) ?? 0n) + sum);
      return true;
    }
    return false;
  }

  #tell(method, { audit, host, verdict, verifier, fault, slashed, round, members }) {
    const who = (account) => this.name(account.toString());
    const text = {
      RoundStarted: () => `round ${round} begins`,
      AuditStarted: () => `audit ${audit}: ${who(host)} has to show a receipt`,
      Opened: () => `audit ${audit}: receipt shown; verifiers: ${(members ?? []).map(who).join(', ')}`,
      Escalated: () => `audit ${audit}: the verifiers differ; a larger committee`,
      Finished: () => `audit ${audit}: ${who(host)}: ${inWords(verdict)}`,
      HostConvicted: () => `audit ${audit}: ${who(host)} is convicted and loses ${inMesh(slashed)}`,
      VerifierFaulted: () => `audit ${audit}: verifier ${who(verifier)}: ${fault}, loses ${inMesh(slashed)}`,
    }[method];
    if (text) this.onStep(text());
  }
}

/** Starts validators, magika, honest workers and cheats; everybody can verify but the cheating hosts. */
export async function startWithCheats(network) {
  await network.startValidators();
  network.say(`bonding and registering ${HONEST.length} honest workers and ${CHEATS.length} that cheat`);
  const members = [
    ...HONEST.map((key, i) => ({ name: `honest-${i + 1}`, key, mesh: true })),
    ...CHEATS.map((cheat) => ({ ...cheat, mesh: true })),
  ];
  // //Eve publishes, and hosts: one after the other.
  await network.publishMagika();
  await network.alive(
    Promise.all(members.map((member, i) => network.addWorker({ ...member, node: network.nodes[i % network.nodes.length] }))),
  );
  const { api } = network;
  const verifies = ({ cheat }) => !cheat || cheat === 'lazy-verifier';
  await network.alive(
    Promise.all(network.workers.filter(verifies).map(({ account }) => send(api, api.tx.meshStaking.verify(), account))),
  );
  network.say('starting the workers');
  await network.serveAll();
  return network;
}

/** Submits `count` jobs on these files, each to as many hosts as there can be; returns when all are over. */
export async function runJobs(network, files, client, count, onDone = () => {}) {
  const { api, model } = network;
  for (let i = 0; i < count; i += 1) {
    const file = files[i % files.length];
    const { id } = await submitJob(api, client, { ...fileInput(model, file), redundancy: 5 });
    const job = await jobEnd(api, id);
    onDone(id, job.state.asFinished.toString(), file);
  }
}

/** Waits until everybody who cheats is convicted, submitting more jobs meanwhile. */
export async function untilConvicted(network, verdicts, files, client, { timeout = 900_000, say = () => {} } = {}) {
  const cheats = network.workers.filter((worker) => worker.cheat);
  const free = () => cheats.filter(({ account }) => !verdicts.convicted.has(account.address));
  const end = Date.now() + timeout;
  let jobs = 0;
  while (free().length > 0) {
    if (verdicts.error) throw verdicts.error;
    if (Date.now() > end) throw new Error(`not convicted in ${timeout / 1000} s: ${free().map((w) => w.name).join(', ')}`);
    await runJobs(network, files, client, 1, (id, outcome) => {
      jobs += 1;
      say(`job ${id}: ${outcome}; audits over: ${verdicts.audits.size}; not convicted: ${free().map((w) => w.name).join(', ') || 'nobody'}`);
    });
  }
  return jobs;
}

/** The document of `scripts/devnet --cheat --json`; docs/devnet-json.md describes it. */
export function report(network, verdicts) {
  const name = (address) => network.workers.find(({ account }) => account.address === address)?.name;
  const cheats = network.workers.filter((worker) => worker.cheat);
  const honest = network.workers.filter((worker) => !worker.cheat);
  const honestSlashed = honest.reduce((sum, { account }) => sum + (verdicts.slashed.get(account.address) ?? 0n), 0n);
  return {
    chain: { genesis: network.api.genesisHash.toHex(), spec_version: network.api.runtimeVersion.specVersion.toNumber() },
    audits: Object.fromEntries([...verdicts.audits].map(([id, verdict]) => [id, verdict])),
    convicted: [...verdicts.convicted].map(([account, reason]) => ({
      account,
      name: name(account),
      reason,
      slashed: (verdicts.slashed.get(account) ?? 0n).toString(),
    })),
    cheats: cheats.map(({ name: who, account, cheat }) => ({ account: account.address, name: who, how: cheat })),
    honest: honest.map(({ name: who, account }) => ({ account: account.address, name: who })),
    honest_slashed: honestSlashed.toString(),
  };
}
