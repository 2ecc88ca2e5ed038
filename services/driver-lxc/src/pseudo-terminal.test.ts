import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { onPseudoTerminal } from './pseudo-terminal';

const limitTo = (limit: string): Buffer =>
  execFileSync('prlimit', ['--pid', String(process.pid), `--nofile=${limit}:`]);

/** Does it when not one descriptor is left to us. */
function withoutDescriptors<T>(act: () => T): T {
  const ours = execFileSync('prlimit', ['--pid', String(process.pid), '--nofile', '-o', 'SOFT', '--noheadings']);
  limitTo('1024');
  const held: number[] = [];
  try {
    for (;;) held.push(openSync('/dev/null', 'r'));
  } catch {
    return act();
  } finally {
    held.forEach(closeSync);
    limitTo(String(ours).trim());
  }
}

test('a terminal for which no descriptor is left is refused, and is nothing more than that', async () => {
  withoutDescriptors(() => expect(() => onPseudoTerminal(['true'], {})).toThrow('too many open files'));
  // Node tells its 'error' now: nobody has to listen.
  await setImmediate();
});
