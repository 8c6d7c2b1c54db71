// Who has how much.

import { BN, stringToU8a } from '@polkadot/util';
import { encodeAddress } from '@polkadot/util-crypto';

/** The account of a pallet with this `PalletId`. */
export function palletAccount(palletId) {
  const account = new Uint8Array(32);
  account.set(stringToU8a('modl'));
  account.set(palletId.toU8a(), 4);
  return encodeAddress(account, 42);
}

/** The accounts that take a part of every fee besides the host. */
export const takers = (api) => ({
  pool: palletAccount(api.consts.settlement.palletId),
  treasury: palletAccount(api.consts.treasury.palletId),
});

/** Free and reserved (held) funds of an account in a state. */
export async function funds(at, account) {
  const { data } = await at.query.system.account(account);
  return { free: data.free.toBigInt(), held: data.reserved.toBigInt(), total: data.free.add(data.reserved).toBigInt() };
}

/** The state before the block of that number, and after it. */
export async function around(api, number) {
  const state = async (n) => api.at(await api.rpc.chain.getBlockHash(n));
  return { before: await state(number - 1), after: await state(number) };
}

/** What an account paid in transaction fees, tips included, according to a block's events. */
export function feesPaid(events, account) {
  return events
    .filter((event) => event.section === 'transactionPayment' && event.method === 'TransactionFeePaid')
    .filter((event) => event.data.who.toString() === account)
    .reduce((sum, event) => sum.add(event.data.actualFee), new BN(0))
    .toBigInt();
}
