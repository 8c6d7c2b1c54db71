// Blocks and finality on the two-validator network, by the same measurement as scripts/measure-finality.

import assert from 'node:assert/strict';
import { measure } from '../../scripts/measure-finality.mjs';
import { suite } from './support/suite.mjs';

const { network, it } = suite((net) => net.startValidators());

it('blocks come every two seconds and become final soon', async () => {
  const found = await measure(network.api, 20);
  console.error(`# ${JSON.stringify(found)}`);
  assert.equal(found.blocks, 20);
  assert.ok(Math.abs(found.interval.p50 - 2) < 0.05, `median interval ${found.interval.p50} s`);
  assert.ok(found.interval.mean < 2.5, `mean interval ${found.interval.mean} s`);
  assert.ok(found.finality_lag.p50 <= 6, `median lag ${found.finality_lag.p50} s`);
  assert.ok(found.finality_lag.max <= 20, `longest lag ${found.finality_lag.max} s`);
});
