/** A guest's process that a driver has started, and did not live to write down, is found by what it is told; a stranger's is not. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { findOrphan } from '@virtbus/driver-runtime';
import { needsRoot } from '@virtbus/testkit';

const word = `orphan-${process.pid}`;
const home = `/nowhere/${word}`;
const words = ['env', `HOME=${home}`, 'sh', '-c', 'echo there; read line; :', word];

/** Runs while `look` does; its first line is out by then. */
async function whileRuns([program, ...args]: string[], look: () => void): Promise<void> {
  const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'ignore'] });
  const exited = once(child, 'exit');
  try {
    await once(child.stdout, 'data');
    look();
  } finally {
    child.kill('SIGKILL');
    await exited;
  }
}

test('a process is found by a word and its home', async () => {
  await whileRuns(words, () => {
    expect(findOrphan(word, home)).toBeDefined();
    expect(findOrphan(word, '/elsewhere')).toBeUndefined();
    expect(findOrphan('another', home)).toBeUndefined();
  });
});

needsRoot().test('one in a container that says the same of itself is not', async () => {
  await whileRuns(['unshare', '--pid', '--fork', '--kill-child', ...words], () => {
    expect(findOrphan(word, home)).toBeUndefined();
  });
});
