// Inference jobs from a client's point of view.

import { readFileSync } from 'node:fs';
import { atHeads, submit, untilFinal } from './chain.mjs';
import * as magika from './magika.mjs';

const PRIORITIES = ['Normal', 'High', 'Urgent'];

/** The arguments of `jobs.submit` beside model and input. */
export const params = ({ maxFee, redundancy = 1, priority = 'Normal', minReputation = 0 }) => ({
  maxFee,
  redundancy,
  priority,
  minReputation,
});

/** What one result costs at present: `{ lowest, highest, hosts }`, amounts as BN or null without a live offer. */
export async function quote(api, model, { priority = 'Normal', minReputation = 0 } = {}) {
  if (!PRIORITIES.includes(priority)) throw new Error(`no such priority: ${priority}`);
  const answer = await api.call.jobsApi.quote(model, priority, minReputation);
  if (answer.isNone) throw new Error(`the chain has no model version with the number ${model}`);
  const { lowest, highest, hosts } = answer.unwrap();
  return { lowest: lowest.unwrapOr(null), highest: highest.unwrapOr(null), hosts: hosts.toNumber() };
}

/** The extrinsic that submits a job. Without `maxFee` the cap is such that every live offer can take part. */
export async function submission(api, { model, inputs, maxFee, redundancy = 1, ...rest }) {
  let cap = maxFee;
  if (cap === undefined) {
    const { highest } = await quote(api, model, rest);
    if (!highest) throw new Error(`no host offers the model version ${model} at present`);
    cap = highest.muln(redundancy);
  }
  return api.tx.jobs.submit(model, inputs, params({ maxFee: cap, redundancy, ...rest }));
}

/** Submits a job and waits until its submission is final: only then is its number sure. */
export async function submitJob(api, client, job, options = {}) {
  const { included, finalized } = await submit(api, await submission(api, job), client, options);
  options.onIncluded?.(jobOf(await included));
  return jobOf(await finalized);
}

/** Number of the job and block of its submission. */
export const jobOf = (inclusion) => ({ id: inclusion.find('jobs', 'Submitted').job.toNumber(), block: inclusion.block });

/** `Settled`, `Expired`, `Failed(ModelError)`, ... */
export const outcomeName = (outcome) =>
  outcome.isFailed ? `Failed(${outcome.asFailed.type})` : outcome.type;

/** Waits until a job is over, in the best chain or with `finalized` for good; returns its record. */
export async function jobEnd(api, id, { timeout = 120_000, finalized = false } = {}) {
  let last = 'never seen';
  const look = async (at) => {
    const record = await at.query.jobs.jobs(id);
    if (record.isNone) return null;
    const job = record.unwrap();
    last = job.state.toString();
    return job.state.isFinished && job;
  };
  try {
    return await atHeads(api, `job ${id} to be over`, look, { timeout, finalized });
  } catch (error) {
    throw new Error(`${error.message}; its state: ${last}`, { cause: error });
  }
}

/** The part of the first host that delivered; undefined while nobody has. */
export const deliveredPart = (job) => job.assignments.find((part) => part.state.isDelivered);

/** What a host delivered for a job, as plain tensors. */
export async function result(api, id, host) {
  const record = await api.query.jobs.results(id, host);
  if (record.isNone) return null;
  const { outputs, receipt } = record.unwrap();
  return {
    receipt,
    outputs: outputs.map((tensor) => ({
      name: tensor.name.toUtf8(),
      elementType: tensor.elementType.type,
      shape: tensor.shape.map((n) => n.toNumber()),
      data: tensor.data.toU8a(true),
    })),
  };
}

/**
 * A finished job on a file, as docs/devnet-json.md describes it.
 *
 * @param {{ file: string, id: number }} job
 */
export async function fileJob(api, { file, id }) {
  const record = await jobEnd(api, id, { finalized: true });
  await untilFinal(api, record.finishedAt.unwrap().toNumber());
  const part = deliveredPart(record);
  const host = part?.host.toString() ?? null;
  const delivered = host ? await result(api, id, host) : null;
  const top = delivered ? magika.topLabel(delivered.outputs[0].data) : { label: null, score: null };
  const { account } = record;
  return {
    file,
    job: id,
    via: 'chain',
    label: top.label,
    score: top.score,
    outcome: outcomeName(record.state.asFinished),
    host,
    submitted_block: record.submittedAt.toNumber(),
    result_block: part?.state.asDelivered.at.toNumber() ?? null,
    fee: account.fee.toString(),
    host_paid: account.hostPaid.toString(),
    pool_paid: account.poolPaid.toString(),
    treasury_paid: account.treasuryPaid.toString(),
    refunded: account.refunded.toString(),
  };
}

/** The job that asks magika about a file. */
export const fileInput = (model, file) => ({ model, inputs: magika.inputTensors(readFileSync(file)) });
