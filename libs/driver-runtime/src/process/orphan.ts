/**
 * Finding a guest's process that was spawned a moment before ours died, so that nobody wrote down its pid.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { identify, readProc, type ProcessIdentity } from './identity';

/**
 * The process with this word on its command line and `home` as its home folder: two hosts may share a machine, but no folder. Those of
 * another pid namespace are not looked at: who is in a container may say anything of itself, or have its words wait for a file system
 * of its own.
 */
export function findOrphan(word: string, home: string): ProcessIdentity | undefined {
  const ours = namespaceOf('self');
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || namespaceOf(name) !== ours) continue;
    const words = wordsOf(`/proc/${name}/cmdline`);
    if (words.includes(word) && wordsOf(`/proc/${name}/environ`).includes(`HOME=${home}`))
      return identify(Number(name));
  }
  return undefined;
}

/** Undefined when the process is gone or another user's. */
function namespaceOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}

/** NUL-separated words; none when the process is gone or another user's. */
function wordsOf(path: string): string[] {
  try {
    return readProc(path)?.split('\0') ?? [];
  } catch {
    return [];
  }
}
