// The devnet with workers that cheat, by its one command: each of them is convicted, and nobody else.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { program } from '../../scripts/lib/network.mjs';
import { run } from '../../scripts/lib/process.mjs';
import { complaints } from './support/schema.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const wanted = process.env.LLMESH_SLOW === '1';

/** What each way to cheat is convicted of. */
const REASONS = {
  int8: /^Mismatch$/,
  'lazy-verifier': /^FalseVote$/,
  'other-model': /^Mismatch$/,
  withhold: /^Withheld/,
};

if (!wanted) {
  test('workers that cheat are convicted (only with --slow)', { skip: 'scripts/test --slow waits for audits' }, () => {});
} else {
  const dir = mkdtempSync(join(tmpdir(), 'llmesh-cheats-test-'));
  after(() => {
    // The logs of a network that failed are in it.
    if (!process.env.LLMESH_KEEP) rmSync(dir, { recursive: true, force: true });
  });

  test('each worker that cheats is convicted, and no honest one', { timeout: 1_200_000 }, async () => {
    assert.ok(existsSync(program('cheating-worker')), 'cheating-worker is missing: run the step build');
    const { stdout, stderr } = await run(
      join(ROOT, 'scripts/devnet'),
      ['--cheat', '--once', '--json', '--no-build'],
      { cwd: ROOT, env: { TMPDIR: dir }, timeout: 1_170_000 },
    );
    // Fails if there is anything before or after the document.
    const found = JSON.parse(stdout);
    const schema = JSON.parse(readFileSync(join(ROOT, 'docs/devnet-cheat.schema.json'), 'utf8'));
    assert.deepEqual(complaints(schema, found), []);

    assert.deepEqual(found.cheats.map(({ how }) => how).sort(), Object.keys(REASONS).sort());
    assert.equal(found.honest.length, 3);
    const convicted = new Map(found.convicted.map((one) => [one.account, one]));
    assert.equal(convicted.size, found.convicted.length, 'nobody is listed twice');
    for (const { account, name, how } of found.cheats) {
      const one = convicted.get(account);
      assert.ok(one, `${name} is not convicted`);
      assert.equal(one.name, name);
      assert.match(one.reason, REASONS[how], name);
      assert.ok(BigInt(one.slashed) > 0n, `${name} lost nothing`);
    }
    for (const { account, name } of found.honest) assert.ok(!convicted.has(account), `${name} is convicted`);
    assert.equal(convicted.size, found.cheats.length, 'nobody else is convicted');
    assert.equal(found.honest_slashed, '0');
    assert.ok(Object.values(found.audits).includes('Mismatch'));

    // Nothing went wrong on the way out.
    assert.doesNotMatch(stderr, /did not stop|ended with/);
  });
}
