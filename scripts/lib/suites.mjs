// Runs e2e suites, several at a time. What they report comes one suite after the other all the same.
// node suites.mjs AT_A_TIME TAP_FILE SUITE_FILE...

import { setMaxListeners } from 'node:events';
import { createWriteStream } from 'node:fs';
import { constants } from 'node:os';
import { basename, resolve } from 'node:path';
import { run } from 'node:test';
import { spec as SpecReporter, tap } from 'node:test/reporters';

// About how many seconds each takes: the long ones begin, so that none of them runs alone in the end. (`node --test` goes
// by the alphabet.)
const SECONDS = {
  cheats: 600, resilience: 190, audits: 150, staking: 125, market: 105, devnet: 150, nat: 85, mesh: 70, upgrade: 60, worker: 50,
  finality: 50, dev: 35, process: 10, magika: 5,
};

const [atATime, tapFile, ...files] = process.argv.slice(2);
const expected = (file) => SECONDS[basename(file, '.test.mjs')] ?? 60;
const ordered = files.map((file) => resolve(file)).sort((a, b) => expected(b) - expected(a));

// Suites that run end with us, and their networks with them.
const end = new AbortController();
// Each suite listens; Node.js takes more than ten for a leak.
setMaxListeners(files.length + 1, end.signal);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    process.exitCode = 128 + constants.signals[signal];
    end.abort();
  });
}

const events = run({ files: ordered, concurrency: Number(atATime), signal: end.signal });
events.on('test:fail', () => {
  process.exitCode ||= 1;
});
events.compose(new SpecReporter()).pipe(process.stdout);
events.compose(tap).pipe(createWriteStream(tapFile));
