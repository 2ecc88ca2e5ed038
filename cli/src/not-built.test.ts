/** The command of a checkout that nobody has built yet. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

test('says in one line what to do', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vb-cli-'));
  try {
    cpSync(join(__dirname, '..', 'bin'), join(folder, 'bin'), { recursive: true });
    const { status, stderr } = spawnSync(process.execPath, [join(folder, 'bin', 'virtbus'), 'hosts'], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^error: virtbus is not built here yet: run .*\n$/)]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
