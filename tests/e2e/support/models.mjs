// Models that exist on chain only: for tests in which the test itself plays the host.

import { send } from '../../../scripts/lib/chain.mjs';

/** A manifest as a person types it into polkadot.js: two inputs, one output. */
export const manifest = (changes = {}) => ({
  contentId: `0x${'11'.repeat(32)}`,
  size: 1000,
  origin: 'Onnx',
  signature: {
    inputs: [
      { name: 'ids', elementType: 'I64', shape: [{ Fixed: 1 }, { UpTo: 4 }] },
      { name: 'scale', elementType: 'F32', shape: [] },
    ],
    outputs: [{ name: 'sum', elementType: 'F32', shape: [{ Fixed: 2 }] }],
  },
  probe: '',
  runtimeClass: 'CpuFloat',
  tolerance: 500_000, // of 10^9
  complexity: 1_000_000,
  basePrice: 20_000_000_000,
  licence: 'Apache-2.0',
  ...changes,
});

/** Input tensors that fit the manifest's signature; `ids` and `scale` replace fields of them. */
export const inputs = ({ ids = {}, scale = {} } = {}) => [
  { name: 'ids', elementType: 'I64', shape: [1, 2], data: `0x${'0100000000000000'}${'0200000000000000'}`, ...ids },
  { name: 'scale', elementType: 'F32', shape: [], data: '0x0000803f', ...scale },
];

/** An output that fits the manifest's signature. */
export const outputs = (changes = {}) => [
  { name: 'sum', elementType: 'F32', shape: [2], data: '0x0000803f00000040', ...changes },
];

const [major, minor, patch] = [1, 0, 0];
export const version = { major, minor, patch };

/** Registers a namespace and publishes version 1.0.0 of models in it; returns the versions' numbers. */
export async function publish(api, owner, namespace, names) {
  const { publish: publishing, registerNamespace } = api.tx.modelRegistry;
  const calls = names.map((name) => publishing(`${namespace}/${name}`, version, manifest()));
  const { events } = await send(api, api.tx.utility.batchAll([registerNamespace(namespace), ...calls]), owner);
  return events
    .filter(({ section, method }) => section === 'modelRegistry' && method === 'VersionPublished')
    .map(({ data }) => data.id.toNumber());
}
