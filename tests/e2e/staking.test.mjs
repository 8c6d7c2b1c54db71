// Stake, roles and session keys with stock polkadot.js: no custom types.

import assert from 'node:assert/strict';
import { atHeads, dev, mesh, send, untilBlock } from '../../scripts/lib/chain.mjs';
import { rpc, workerRecord } from '../../scripts/lib/network.mjs';
import { moved } from './support/money.mjs';
import { allRefused, refused, suite } from './support/suite.mjs';

/** Blocks, in this test's genesis, until unbonded stake is free. */
const UNBONDING = 8;

const { network, it } = suite((net) => net.startValidators(), {
  genesis: (patch) => {
    patch.timing = { ...patch.timing, epochDuration: 10, unbondingPeriod: UNBONDING };
  },
});

const operator = dev('Charlie');
const delegator = dev('Ferdie');
const validator = dev('Eve');
const poor = dev('Dave');

const held = async (account, pallet, reason) => {
  const holds = await network.api.query.balances.holds(account.address);
  const hold = holds.find(({ id }) => id.type === pallet && id.value.type === reason);
  return hold ? hold.amount.toBigInt() : 0n;
};

const stake = async (account) => (await network.api.call.stakingApi.operator(account.address)).unwrap();

it('bonds of zero, below the minimum and above the balance are refused', async () => {
  const { api } = network;
  const { minBond } = api.consts.meshStaking;
  assert.equal(minBond.toBigInt(), mesh(1000));
  const { free } = (await api.query.system.account(poor.address)).data;
  const { bond, bondExtra } = api.tx.meshStaking;
  await refused(send(api, bond(0), poor), 'meshStaking.ZeroAmount');
  await allRefused(api, poor, [
    [bond(minBond.subn(1)), 'meshStaking.BelowMinBond'],
    [bond(free), 'meshStaking.InsufficientBalance'],
    [bond(free.muln(2)), 'meshStaking.InsufficientBalance'],
    [bondExtra(mesh(1)), 'meshStaking.NotOperator'],
  ]);
  assert.equal(await held(poor, 'MeshStaking', 'Bond'), 0n);
});

it('bond and bond more: events, storage, runtime API and holds agree', async () => {
  const { api } = network;
  const bonded = await send(api, api.tx.meshStaking.bond(mesh(2000)), operator);
  const event = bonded.find('meshStaking', 'Bonded');
  assert.equal(event.operator.toString(), operator.address);
  assert.equal(event.amount.toBigInt(), mesh(2000));
  await refused(send(api, api.tx.meshStaking.bond(mesh(2000)), operator), 'meshStaking.AlreadyBonded');
  await send(api, api.tx.meshStaking.bondExtra(mesh(500)), operator);

  const stored = (await api.query.meshStaking.operators(operator.address)).unwrap();
  const shown = await stake(operator);
  for (const account of [stored, shown]) assert.equal(account.own.toBigInt(), mesh(2500));
  assert.equal(await held(operator, 'MeshStaking', 'Bond'), mesh(2500));
});

it('delegate, and what a delegation can not be', async () => {
  const { api } = network;
  const { delegate } = api.tx.meshStaking;
  const { minDelegation } = api.consts.meshStaking;
  await allRefused(api, delegator, [
    [delegate(operator.address, 0), 'meshStaking.ZeroAmount'],
    [delegate(operator.address, minDelegation.subn(1)), 'meshStaking.BelowMinDelegation'],
    [delegate(poor.address, mesh(100)), 'meshStaking.NotOperator'],
    [delegate(operator.address, mesh(10_000_000)), 'meshStaking.InsufficientBalance'],
  ]);
  await refused(send(api, delegate(operator.address, mesh(100)), operator), 'meshStaking.DelegationToSelf');

  const done = await send(api, delegate(operator.address, mesh(300)), delegator);
  assert.equal(done.find('meshStaking', 'Delegated').delegator.toString(), delegator.address);
  assert.equal((await stake(operator)).delegated.toBigInt(), mesh(300));
  assert.equal(await held(delegator, 'MeshStaking', 'Delegation'), mesh(300));
});

it('unbond, rebond a part, wait, withdraw the rest; too early is an error', async () => {
  const { api } = network;
  const { unbond, rebond, withdraw } = api.tx.meshStaking;
  await allRefused(api, delegator, [
    [unbond(operator.address, mesh(301)), 'meshStaking.InsufficientBond'],
    [withdraw(operator.address), 'meshStaking.NothingToWithdraw'],
  ]);
  const done = await send(api, unbond(operator.address, mesh(300)), delegator);
  const unlockAt = done.find('meshStaking', 'Unbonding').unlockAt.toNumber();
  assert.equal(unlockAt, done.block + UNBONDING);
  await refused(send(api, withdraw(operator.address), delegator), 'meshStaking.NothingToWithdraw');
  await refused(send(api, rebond(operator.address, mesh(301)), delegator), 'meshStaking.InsufficientUnbonding');
  await send(api, rebond(operator.address, mesh(200)), delegator);
  assert.equal((await stake(operator)).delegated.toBigInt(), mesh(200));
  assert.equal((await stake(operator)).unbonding.toBigInt(), mesh(100));

  await untilBlock(api, unlockAt - 1);
  const withdrawn = await send(api, withdraw(operator.address), delegator);
  assert.equal(withdrawn.find('meshStaking', 'Withdrawn').amount.toBigInt(), mesh(100));
  const { free, held: freed, fees } = await moved(api, delegator.address, withdrawn.block);
  assert.equal(free, mesh(100) - fees);
  assert.equal(freed, -mesh(100));
  await refused(send(api, withdraw(operator.address), delegator), 'meshStaking.NothingToWithdraw');
  assert.ok(withdrawn.block >= unlockAt, 'not before its time');
});

it('register a worker, chill, unbond everything', async () => {
  const { api } = network;
  const { registerWorker, deregisterWorker, chill, unbond } = api.tx.meshStaking;
  await refused(send(api, registerWorker(workerRecord()), poor), 'meshStaking.NotOperator');
  await allRefused(api, operator, [
    [registerWorker(workerRecord({ region: 'a b' })), 'meshStaking.InvalidRegion'],
    [deregisterWorker(), 'meshStaking.NoWorker'],
    [chill(), 'meshStaking.NoRole'],
  ]);

  const done = await send(api, registerWorker(workerRecord({ region: 'eu-west' })), operator);
  assert.equal(done.find('meshStaking', 'RoleOn').role.type, 'Host');
  const { worker, host } = await stake(operator);
  assert.equal(host.isTrue, true);
  assert.equal(worker.unwrap().region.toUtf8(), 'eu-west');

  await refused(send(api, unbond(operator.address, mesh(2500)), operator), 'meshStaking.ChillFirst');
  const chilled = await send(api, chill(), operator);
  assert.ok(chilled.find('meshStaking', 'Chilled'));
  assert.equal((await stake(operator)).host.isTrue, false);
  await send(api, unbond(operator.address, mesh(2500)), operator);
  assert.equal((await stake(operator)).own.toBigInt(), 0n);
  assert.equal(await held(operator, 'MeshStaking', 'Bond'), mesh(2500), 'what is unbonding is still held');
});

it('set session keys, validate, and author blocks', async () => {
  const { api } = network;
  const node = await network.addNode({ name: 'eve', args: ['--validator'] });
  await node.start();
  await send(api, api.tx.meshStaking.bond(mesh(5000)), validator);
  await refused(send(api, api.tx.meshStaking.validate(), validator), 'meshStaking.NoSessionKeys');

  const owner = `0x${Buffer.from(validator.publicKey).toString('hex')}`;
  const { keys, proof } = await rpc(node.http, 'author_rotateKeysWithOwner', [owner]);
  await refused(send(api, api.tx.session.setKeys(keys, '0x'), validator), 'session.InvalidProof');
  await refused(send(api, api.tx.session.setKeys(keys, proof), poor), 'session.InvalidProof');
  await send(api, api.tx.session.setKeys(keys, proof), validator);
  const done = await send(api, api.tx.meshStaking.validate(), validator);
  assert.equal(done.find('meshStaking', 'RoleOn').role.type, 'Validator');
  await refused(send(api, api.tx.meshStaking.validate(), validator), 'meshStaking.RoleAlreadyOn');
  const elected = await api.call.stakingApi.nextValidators();
  assert.ok(elected.map(String).includes(validator.address));

  await atHeads(
    api,
    'the new validator to be in the session',
    async (at) => (await at.query.session.validators()).map(String).includes(validator.address),
    { timeout: 150_000 },
  );
  await atHeads(
    api,
    'a block of the new validator',
    async (_, head) => (await api.derive.chain.getHeader(head.hash)).author?.toString() === validator.address,
    { timeout: 60_000 },
  );
  const before = await node.finalized();
  await node.process.until('finality with three validators', async () => (await node.finalized()) > before + 2);
}, { timeout: 300_000 });
