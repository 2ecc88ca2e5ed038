/**
 * Tests that need something a machine may not have (root, a second QEMU, a peer to compare with) say so by name.
 *
 * Without it the test is skipped, never silently: the reason is printed, and kept for the summary of the whole run in the
 * file that VIRTBUS_TEST_SKIPS names, one JSON object a line: `{test, needs}`.
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { cgroupsWritable } from './containers';
import { findProgram } from './programs';

export interface Requirement {
  readonly name: string;
  readonly met: boolean;
  /** Declares a test that runs only where the requirement is met; `timeoutMs` as jest's. */
  test(name: string, run: () => unknown, timeoutMs?: number): void;
}

/**
 * What a test needs, and whether it is here. A probe that throws means no.
 *
 * @param name completes "needs …": `root`, `libvirtd`, `two QEMU versions`
 */
export function requirement(name: string, probe: () => boolean): Requirement {
  const met = holds(probe);
  return {
    name,
    met,
    test(testName, run, timeoutMs) {
      const body = async (): Promise<unknown> => run();
      if (met) return test(testName, body, timeoutMs);
      tellSkipped(testName, name);
      test.skip(testName, body, timeoutMs);
    },
  };
}

/** An installed program as a requirement. */
export function needsProgram(name: string): Requirement {
  return requirement(name, () => findProgram(name) !== undefined);
}

export function needsRoot(): Requirement {
  return requirement('root', () => process.getuid?.() === 0);
}

/** What it takes to run a container: root, lxc, what its root file system is made of, and a machine that allows namespaces. */
export function needsContainers(): Requirement {
  const programs = ['lxc-start', 'busybox', 'unshare'];
  const namespaces = ['--mount', '--pid', '--fork', '--net', '--uts', '--ipc', 'true'];
  return requirement(
    'root, lxc, busybox-static, namespaces and writable cgroups',
    () =>
      process.getuid?.() === 0 &&
      programs.every((program) => findProgram(program) !== undefined) &&
      spawnSync('unshare', namespaces, { timeout: 10_000 }).status === 0 &&
      cgroupsWritable(),
  );
}

function holds(probe: () => boolean): boolean {
  try {
    return probe();
  } catch {
    return false;
  }
}

function tellSkipped(testName: string, needs: string): void {
  process.stderr.write(`skipped: ${testName}: needs ${needs}\n`);
  const file = process.env['VIRTBUS_TEST_SKIPS'];
  if (file) appendFileSync(file, `${JSON.stringify({ test: testName, needs })}\n`);
}
