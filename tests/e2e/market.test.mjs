// Models, offers and jobs with stock polkadot.js: no custom types. The test itself plays the hosts.

import assert from 'node:assert/strict';
import { atHeads, dev, mesh, send } from '../../scripts/lib/chain.mjs';
import { deliveredPart, jobEnd, jobOf, outcomeName, params, quote, result } from '../../scripts/lib/jobs.mjs';
import { inputs, manifest, outputs, publish, version } from './support/models.mjs';
import { moved, takers } from './support/money.mjs';
import { allRefused, refused, suite } from './support/suite.mjs';

const author = dev('Eve');
const client = dev('Ferdie');
const host = dev('Charlie');
const other = dev('Dave');
const stranger = dev('Bob');

/** Planck per million MACs, and the manifest has exactly a million. */
const PRICE = 40_000_000_000;

const ids = {};

const { network, it } = suite(async (net) => {
  await net.startValidators();
  const { api } = net;
  const published = async () => {
    [ids.model, ids.unoffered, ids.yanked] = await publish(api, author, 'test', ['sum', 'unoffered', 'yanked']);
    await send(api, api.tx.modelRegistry.yank(ids.yanked), author);
  };
  await Promise.all([published(), net.becomeHost(host), net.becomeHost(other)]);
  await send(api, api.tx.modelRegistry.offer(ids.model, { price: PRICE, capacity: 8 }), host);
});

const tx = () => network.api.tx;
const job = (changes = {}) => {
  const { model = ids.model, tensors = inputs(), maxFee = mesh(10), ...rest } = changes;
  return tx().jobs.submit(model, tensors, params({ maxFee, ...rest }));
};
const submit = async (changes) => jobOf(await send(network.api, job(changes), client));
const drawn = (id) =>
  atHeads(network.api, `a host for job ${id}`, async (at) => {
    const record = (await at.query.jobs.jobs(id)).unwrap();
    return record.assignments.length > 0 && record;
  });

it('a manifest that makes no sense is refused', async () => {
  const { api } = network;
  const { publish: publishing, registerNamespace } = api.tx.modelRegistry;
  const attempt = (name, changes = {}) => publishing(name, version, manifest(changes));
  const tensor = (name) => ({ name, elementType: 'F32', shape: [{ Fixed: 1 }] });
  const twice = { inputs: [tensor('x'), tensor('x')], outputs: [tensor('y')] };
  const cases = [
    [attempt('nobody/model'), 'UnknownNamespace'],
    [attempt('Test/new'), 'InvalidModelName'],
    [attempt('test'), 'InvalidModelName'],
    [attempt('test/sum'), 'VersionExists'],
    [attempt('test/new', { contentId: `0x${'00'.repeat(32)}` }), 'MissingContentId'],
    [attempt('test/new', { size: 0 }), 'EmptyModel'],
    [attempt('test/new', { complexity: 0 }), 'ZeroComplexity'],
    [attempt('test/new', { licence: '' }), 'InvalidLicence'],
    [attempt('test/new', { tolerance: 1_000_000_000 }), 'ToleranceTooWide'],
    [attempt('test/new', { signature: { inputs: [], outputs: [tensor('y')] } }), 'InvalidSignature'],
    [attempt('test/new', { signature: twice }), 'InvalidSignature'],
    [registerNamespace('test'), 'NamespaceTaken'],
    [registerNamespace('-'), 'InvalidNamespace'],
  ];
  await allRefused(api, author, cases.map(([call, name]) => [call, `modelRegistry.${name}`]));
  await refused(send(api, attempt('test/new'), stranger), 'modelRegistry.NotNamespaceOwner');
});

it('a published version reads as it was typed, from storage and from the runtime API', async () => {
  const { api } = network;
  const stored = (await api.query.modelRegistry.versions(ids.model)).unwrap();
  const shown = (await api.call.modelRegistryApi.resolve('test/sum', null)).unwrap();
  assert.equal(shown.id.toNumber(), ids.model);
  assert.equal(shown.name.toUtf8(), 'test/sum');
  assert.equal(shown.owner.toString(), author.address);
  assert.equal(shown.status.type, 'Active');
  const expected = manifest();
  for (const found of [stored.manifest, shown.manifest]) {
    assert.equal(found.contentId.toHex(), expected.contentId);
    // polkadot.js names the field so, because every struct has a `size` of its own.
    assert.equal(found.size_.toNumber(), expected.size);
    assert.equal(found.complexity.toNumber(), expected.complexity);
    const [first, second] = found.signature.inputs;
    assert.equal(first.name.toUtf8(), 'ids');
    assert.equal(first.elementType.type, 'I64');
    assert.deepEqual(first.shape.toJSON(), [{ fixed: 1 }, { upTo: 4 }]);
    assert.equal(second.shape.length, 0);
  }
  const exact = await api.call.modelRegistryApi.resolve('test/sum', { major: 1, minor: 0, patch: 0 });
  assert.equal(exact.unwrap().id.toNumber(), ids.model);
  assert.ok((await api.call.modelRegistryApi.resolve('test/sum', { major: 9, minor: 0, patch: 0 })).isNone);
});

it('an offer needs a host in good standing and sensible terms', async () => {
  const { api } = network;
  const { offer: offering, withdrawOffer } = api.tx.modelRegistry;
  const offer = (id, terms) => offering(id, { price: PRICE, capacity: 1, ...terms });
  await refused(send(api, offer(ids.model), stranger), 'modelRegistry.NotHost');
  await allRefused(api, other, [
    [offer(4_000_000), 'modelRegistry.UnknownVersion'],
    [offer(ids.yanked), 'modelRegistry.VersionYanked'],
    [offer(ids.model, { price: manifest().basePrice - 1 }), 'modelRegistry.PriceBelowBase'],
    [offer(ids.model, { capacity: 0 }), 'modelRegistry.InvalidCapacity'],
    [withdrawOffer(ids.model), 'modelRegistry.UnknownOffer'],
  ]);
});

it('a job with wrong tensors is refused by the name of what is wrong', async () => {
  const [first, second] = inputs();
  const cases = [
    [inputs({ ids: { name: 'idz' } }), 'UnknownTensor'],
    [[first, first], 'RepeatedTensor'],
    [[second, second, first], 'RepeatedTensor'],
    [[first], 'MissingTensor'],
    [[], 'MissingTensor'],
    [inputs({ ids: { elementType: 'U64' } }), 'WrongElementType'],
    [inputs({ ids: { shape: [2, 1] } }), 'WrongShape'],
    [inputs({ ids: { shape: [2] } }), 'WrongShape'],
    [inputs({ ids: { shape: [1, 5], data: `0x${'00'.repeat(40)}` } }), 'WrongShape'],
    [inputs({ ids: { shape: [1, 0], data: '0x' } }), 'WrongShape'],
    [inputs({ ids: { data: `0x${'00'.repeat(15)}` } }), 'WrongByteLength'],
    [inputs({ ids: { data: `0x${'00'.repeat(17)}` } }), 'WrongByteLength'],
    [inputs({ scale: { data: '0x' } }), 'WrongByteLength'],
  ];
  await allRefused(network.api, client, cases.map(([tensors, name]) => [job({ tensors }), `jobs.${name}`]));
  await refused(send(network.api, job({ tensors: [first] }), client), 'jobs.MissingTensor');
});

it('a job for a wrong model or at a wrong price is refused', async () => {
  const { api } = network;
  const { lowest } = await quote(api, ids.model);
  // The lowest fee of all follows from the version's base price, half of what the only host asks.
  const base = lowest.divn(2);
  const { free } = (await api.query.system.account(client.address)).data;
  await allRefused(api, client, [
    [job({ model: 4_000_000 }), 'jobs.UnknownModel'],
    [job({ model: ids.yanked }), 'jobs.ModelYanked'],
    [job({ redundancy: 0 }), 'jobs.InvalidRedundancy'],
    [job({ redundancy: 6 }), 'jobs.InvalidRedundancy'],
    [job({ maxFee: 0 }), 'jobs.FeeBelowPrice'],
    [job({ maxFee: base.subn(1) }), 'jobs.FeeBelowPrice'],
    [job({ maxFee: base.muln(2).subn(1), redundancy: 2 }), 'jobs.FeeBelowPrice'],
    [job({ maxFee: base.muln(2).subn(1), priority: 'Urgent' }), 'jobs.FeeBelowPrice'],
    [job({ maxFee: free.muln(2) }), 'settlement.InsufficientFunds'],
  ]);
});

it('a queued job is cancelled, and every planck comes back but the transaction fees', async () => {
  const { api } = network;
  const { id, block } = await submit({ model: ids.unoffered });
  const record = (await api.query.jobs.jobs(id)).unwrap();
  assert.equal(record.state.type, 'Queued');
  const there = await moved(api, client.address, block);
  assert.equal(there.held, mesh(10) + record.deposit.toBigInt());
  assert.equal(there.total, -there.fees);

  await refused(send(api, tx().jobs.cancel(id), stranger), 'jobs.NotOwner');
  await refused(send(api, tx().jobs.remove(id), client), 'jobs.JobNotFinished');
  const cancelled = await send(api, tx().jobs.cancel(id), client);
  const finished = cancelled.find('jobs', 'Finished');
  assert.equal(finished.job.toNumber(), id);
  assert.equal(finished.outcome.type, 'Cancelled');
  assert.equal(finished.account.refunded.toBigInt(), mesh(10));
  assert.equal(finished.account.fee.toBigInt(), 0n);

  const andBack = await moved(api, client.address, block, cancelled.block);
  assert.ok(andBack.fees > 0n);
  assert.equal(andBack.held, 0n);
  assert.equal(andBack.free, -andBack.fees);
  await refused(send(api, tx().jobs.cancel(id), client), 'jobs.UnknownJob');
});

it('a job runs through draw, result and settlement, and only the drawn host can deliver', async () => {
  const { api } = network;
  const { id, block } = await submit({ maxFee: mesh(10) });
  const record = await drawn(id);
  const [part] = record.assignments;
  assert.equal(part.host.toString(), host.address);
  assert.equal(part.drawnAt.toNumber(), block + 1);
  assert.equal(record.state.type, 'Running');

  const submission = (tensors, id_ = id) => tx().jobs.submitResult(id_, tensors, null);
  const deliver = (tensors, who = host) => send(api, submission(tensors), who);
  const large = Array.from({ length: 2 }, (_, i) => ({
    name: `t${i}`,
    elementType: 'U8',
    shape: [40_000],
    data: `0x${'00'.repeat(40_000)}`,
  }));
  await Promise.all([
    refused(send(api, tx().jobs.cancel(id), client), 'jobs.NotCancellable'),
    refused(deliver(outputs(), other), 'jobs.NotDrawn'),
    allRefused(api, host, [
      [submission(outputs(), 4_000_000), 'jobs.UnknownJob'],
      [submission(outputs({ name: 'total' })), 'jobs.UnknownTensor'],
      [submission(outputs({ elementType: 'I32' })), 'jobs.WrongElementType'],
      [submission(outputs({ shape: [1, 2] })), 'jobs.WrongShape'],
      [submission(outputs({ data: '0x00' })), 'jobs.WrongByteLength'],
      [submission([]), 'jobs.MissingTensor'],
      [submission(large), 'jobs.OutputTooLarge'],
    ]),
  ]);

  const delivered = await deliver(outputs());
  const accepted = delivered.find('jobs', 'ResultAccepted');
  assert.equal(accepted.job.toNumber(), id);
  const finished = delivered.find('jobs', 'Finished');
  assert.equal(finished.outcome.type, 'Settled');
  await refused(deliver(outputs()), 'jobs.AlreadyDelivered');

  // The money: exactly 70/20/10 of the fee, each planck where it belongs.
  const fee = part.fee.toBigInt();
  assert.equal(fee, BigInt(PRICE));
  const { account } = finished;
  assert.equal(account.hostPaid.toBigInt(), (fee * 7n) / 10n);
  assert.equal(account.poolPaid.toBigInt(), (fee * 2n) / 10n);
  assert.equal(account.treasuryPaid.toBigInt(), fee / 10n);
  assert.equal(account.refunded.toBigInt(), mesh(10) - fee);
  const { pool, treasury } = takers(api);
  const gained = async (who) => (await moved(api, who, delivered.block)).total;
  assert.equal(await gained(host.address), (fee * 7n) / 10n, 'an accepted result costs the host no fee');
  assert.equal(await gained(pool), (fee * 2n) / 10n);
  assert.equal(await gained(treasury), fee / 10n);
  assert.equal(await gained(client.address), -fee);

  // The result, from storage and from the runtime API.
  const end = await jobEnd(api, id);
  assert.equal(outcomeName(end.state.asFinished), 'Settled');
  assert.ok(deliveredPart(end).state.asDelivered.receipt.eq(accepted.receipt));
  const stored = await result(api, id, host.address);
  assert.equal(stored.outputs[0].name, 'sum');
  assert.equal(Buffer.from(stored.outputs[0].data).toString('hex'), '0000803f00000040');
  const shown = (await api.call.jobsApi.job(id)).unwrap();
  assert.ok(shown.eq(end));
  const [[who, jobResult]] = await api.call.jobsApi.results(id);
  assert.equal(who.toString(), host.address);
  assert.equal(jobResult.outputs[0].data.toHex(), '0x0000803f00000040');
  assert.equal(jobResult.receipt.origin.asJob.toNumber(), id);
  assert.equal(jobResult.receipt.units.toNumber(), manifest().complexity);
  assert.equal((await api.call.jobsApi.inputs(id)).unwrap().length, 2);

  // The record can be given up for its deposit.
  await refused(send(api, tx().jobs.cancel(id), client), 'jobs.JobFinished');
  const removed = await send(api, tx().jobs.remove(id), client);
  assert.equal((await moved(api, client.address, removed.block)).held, -end.deposit.toBigInt());
  assert.ok((await api.query.jobs.jobs(id)).isNone);
});

it('a declined job goes to another host, and one that two hosts can not compute fails with everything refunded', async () => {
  const { api } = network;
  await send(api, tx().modelRegistry.offer(ids.model, { price: PRICE, capacity: 8 }), other);
  const { id } = await submit({ maxFee: mesh(10) });
  const first = (await drawn(id)).assignments[0].host.toString();
  const [one, two] = first === host.address ? [host, other] : [other, host];
  await send(api, tx().jobs.decline(id, 'ModelError'), one);
  await refused(send(api, tx().jobs.decline(id, 'ModelError'), one), 'jobs.AlreadyDeclined');
  await atHeads(api, 'the second host', async (at) => {
    const { assignments } = (await at.query.jobs.jobs(id)).unwrap();
    return assignments.length === 2 && assignments[1].host.toString() === two.address;
  });
  await send(api, tx().jobs.decline(id, 'ModelError'), two);
  const end = await jobEnd(api, id, { finalized: true });
  assert.equal(outcomeName(end.state.asFinished), 'Failed(ModelError)');
  assert.equal(end.account.refunded.toBigInt(), mesh(10));
});

it('two hosts compute a redundant job, and both are paid', async () => {
  const { api } = network;
  const { id } = await submit({ maxFee: mesh(10), redundancy: 2 });
  const record = await drawn(id);
  assert.deepEqual(record.assignments.map((a) => a.host.toString()).sort(), [host.address, other.address].sort());
  for (const who of [host, other]) await send(api, tx().jobs.submitResult(id, outputs(), null), who);
  const end = await jobEnd(api, id);
  assert.equal(outcomeName(end.state.asFinished), 'Settled');
  assert.equal(end.account.fee.toBigInt(), 2n * BigInt(PRICE));
  assert.equal((await api.call.jobsApi.results(id)).length, 2);
});
