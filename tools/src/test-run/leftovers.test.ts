import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endLeftovers } from './leftovers';

test('whoever mentions the folder of the run is ended and named; others are left alone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'vb-'));
  const sleeper = (name: string, env = {}, cwd = '/'): ChildProcess =>
    spawn('/bin/sh', ['-c', 'exec sleep 60', name], { env, cwd, stdio: 'ignore' });
  writeFileSync(join(folder, 'disk'), '');
  const byName = spawn('tail', ['-f', join(folder, 'disk')], { stdio: 'ignore' });
  const byEnvironment = sleeper('a', { TMPDIR: folder });
  const byFolder = sleeper('b', {}, folder);
  const stranger = sleeper('c');
  const all = [byName, byEnvironment, byFolder, stranger];
  try {
    for (const child of all) if (child.pid === undefined) await once(child, 'spawn');
    const told = (await endLeftovers(folder)).join('\n');
    for (const child of [byName, byEnvironment, byFolder]) expect(told).toContain(`pid ${child.pid}: `);
    expect(told).not.toContain(`pid ${stranger.pid}: `);
    expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
    expect(await endLeftovers(folder)).toEqual([]);
  } finally {
    all.forEach((child) => child.kill('SIGKILL'));
    rmSync(folder, { recursive: true });
  }
});
