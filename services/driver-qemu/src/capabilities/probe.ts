/**
 * Probes one QEMU binary: runs it with an empty machine and asks it, over QMP, what it can do. About 0.15 s.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deriveCapabilities, type QemuCapabilities, type QmpPeer } from '@virtbus/domain-xml';
import { type Launched, MONITOR_FD, launch, terminate } from '../process';
import { QmpError } from '../qmp';

/** The oldest QEMU that guests are run with. */
const OLDEST_QEMU = 6_002_000;

/** The binary cannot be used: what is wrong with it. */
export class UnusableEmulator extends Error {
  override readonly name = 'UnusableEmulator';
}

/**
 * @param useKvm offer KVM to the binary; it may still decline.
 * @throws UnusableEmulator it is too old; LaunchError it does not run; Monitor… it does not answer.
 */
export async function probe(emulator: string, useKvm: boolean): Promise<QemuCapabilities> {
  const directory = await mkdtemp(join(tmpdir(), 'virtbus-probe-'));
  const running: Launched[] = [];
  const start = async (accelerators: string): Promise<QmpPeer> => {
    const launched = await startEmpty(emulator, directory, accelerators);
    running.push(launched);
    return { ask: (command, args) => launched.qmp.executeRaw(command, args).catch(noneIfRefused) };
  };
  try {
    const capabilities = await deriveCapabilities(emulator, await start(useKvm ? 'kvm:tcg' : 'tcg'), () =>
      start('tcg'),
    );
    const { version } = capabilities;
    if (version >= OLDEST_QEMU) return capabilities;
    throw new UnusableEmulator(`QEMU version >= ${dotted(OLDEST_QEMU)} is required, but ${dotted(version)} found`);
  } finally {
    await Promise.all(
      running.map(async ({ process, qmp }) => {
        await terminate(process);
        qmp.close();
      }),
    );
    await rm(directory, { recursive: true, force: true });
  }
}

/** That QEMU lacks something is an answer. */
function noneIfRefused(error: unknown): undefined {
  if (!(error instanceof QmpError)) throw error;
}

function startEmpty(emulator: string, directory: string, accelerators: string): Promise<Launched> {
  return launch({
    emulator,
    args: [
      ...['-S', '-no-user-config', '-nodefaults', '-display', 'none', '-machine', `none,accel=${accelerators}`],
      ...['-chardev', `socket,id=charmonitor,fd=${MONITOR_FD},server=on,wait=off`],
      ...['-mon', 'chardev=charmonitor,id=monitor,mode=control'],
    ],
    mortal: true,
    directory,
    monitorPath: join(directory, `${accelerators}.sock`),
    logPath: join(directory, `${accelerators}.log`),
  });
}

function dotted(version: number): string {
  return [Math.floor(version / 1_000_000), Math.floor(version / 1000) % 1000, version % 1000].join('.');
}
