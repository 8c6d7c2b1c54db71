// magika's own Python package, as the judge of labels and features.

import { fileURLToPath } from 'node:url';
import { run } from '../../../scripts/lib/process.mjs';

const SCRIPT = fileURLToPath(new URL('../../python/magika_reference.py', import.meta.url));

/**
 * What magika says of files.
 *
 * @returns {Promise<Array<{ file: string, label: string, score: number, features?: number[] | null }>>}
 */
export async function magikaSays(files, { features = false } = {}) {
  const python = process.env.LLMESH_PYTHON;
  if (!python) throw new Error('LLMESH_PYTHON is not set: run scripts/setup, then source scripts/env.sh');
  const { stdout } = await run(python, [SCRIPT, ...(features ? ['--features'] : []), ...files]);
  return JSON.parse(stdout);
}
