/**
 * Processes that tests left behind: those which mention the run's folder in their command line or environment, or work in
 * it. Nobody else knows that folder, so nothing else can be meant.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

interface Leftover {
  pid: number;
  command: string;
}

/** Lets those on their way out end (2 s), then ends the rest by pid and tells who they were. */
export async function endLeftovers(folder: string): Promise<string[]> {
  const deadline = Date.now() + 2_000;
  let left = referringTo(folder);
  while (left.length > 0 && Date.now() < deadline) {
    await sleep(50);
    left = referringTo(folder);
  }
  for (const { pid } of left) end(pid);
  return left.map(({ pid, command }) => `pid ${pid}: ${command.slice(0, 200)}`);
}

function referringTo(folder: string): Leftover[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => {
      const command = read(() => readFileSync(`/proc/${name}/cmdline`, 'utf8'));
      if (command === '') return []; // ended already, or part of the kernel
      const environment = read(() => readFileSync(`/proc/${name}/environ`, 'utf8'));
      const at = read(() => readlinkSync(`/proc/${name}/cwd`));
      const refers = [command, environment, at].some((text) => text.includes(folder));
      return refers ? [{ pid: Number(name), command: command.replaceAll('\0', ' ').trim() }] : [];
    });
}

/** Empty when the process ended meanwhile or belongs to somebody else. */
function read(from: () => string): string {
  try {
    return from();
  } catch {
    return '';
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}
