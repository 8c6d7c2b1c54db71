// Who has how much.

import { stringToU8a } from '@polkadot/util';
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
  const [free, held] = [data.free.toBigInt(), data.reserved.toBigInt()];
  return { free, held, total: free + held };
}

/**
 * How an account's funds moved from before the block `first` to after the block `last`, both final, and what part of it
 * were transaction fees.
 */
export async function moved(api, account, first, last = first) {
  const state = async (number) => api.at(await api.rpc.chain.getBlockHash(number));
  const before = await funds(await state(first - 1), account);
  const after = await funds(await state(last), account);
  let fees = 0n;
  for (let number = first; number <= last; number += 1) {
    const events = await (await state(number)).query.system.events();
    for (const { event } of events) {
      if (event.section !== 'transactionPayment' || event.method !== 'TransactionFeePaid') continue;
      if (event.data.who.toString() === account) fees += event.data.actualFee.toBigInt();
    }
  }
  return { free: after.free - before.free, held: after.held - before.held, total: after.total - before.total, fees };
}
