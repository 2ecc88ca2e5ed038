/** The process itself, over what its streams lead to. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';

test('an answer that cannot be written is told in one line', () => {
  const full = openSync('/dev/full', 'w');
  try {
    const words = [join(__dirname, '..', 'bin', 'virtbus'), '--help'];
    const { status, stderr } = spawnSync(process.execPath, words, {
      encoding: 'utf8',
      stdio: ['ignore', full, 'pipe'],
    });
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^error: the answer cannot be written: ENOSPC.*\n$/)]);
  } finally {
    closeSync(full);
  }
});
