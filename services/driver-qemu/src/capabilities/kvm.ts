/**
 * Whether KVM is worth using here, found by running it rather than by looking for /dev/kvm.
 *
 * Inside some virtual machines /dev/kvm opens and then runs guests many times slower than emulation does, or not at all.
 * So the firmware of an empty machine is run to its end (it finds nothing to boot) once by TCG and once by KVM, which
 * exercises 16-, 32-bit and system management code, timers and interrupts.
 */
import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { mortalCommand } from '../process';

export interface KvmVerdict {
  readonly usable: boolean;
  /** One line for people; also when usable. */
  readonly reason: string;
}

const DEVICE = '/dev/kvm';
const END_OF_FIRMWARE = 'No bootable device';
/** An emulated firmware run takes 75 ms on an idle machine. */
const EMULATED_DEADLINE_MS = 10_000;

/** @param emulator a QEMU for this machine's own architecture; KVM serves no other. */
export async function judgeKvm(emulator: string): Promise<KvmVerdict> {
  const denied = await access(DEVICE, constants.R_OK | constants.W_OK).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error,
  );
  if (denied) {
    return { usable: false, reason: denied.code === 'ENOENT' ? `${DEVICE} does not exist` : `no access to ${DEVICE}` };
  }
  // The firmware's messages at its debug port are a habit of SeaBIOS, hence of x86.
  if (process.arch !== 'x64') return { usable: true, reason: `${DEVICE} can be opened` };
  const emulated = await runFirmware(emulator, 'tcg', EMULATED_DEADLINE_MS);
  if (emulated === undefined) return { usable: false, reason: `${emulator} does not run its firmware, even emulated` };
  const deadline = 3 * emulated + 200;
  const accelerated = await runFirmware(emulator, 'kvm', deadline);
  return accelerated === undefined
    ? { usable: false, reason: `KVM did not run a guest's firmware within ${deadline} ms (emulation: ${emulated} ms)` }
    : { usable: true, reason: `KVM ran a guest's firmware in ${accelerated} ms (emulation: ${emulated} ms)` };
}

/** Milliseconds until the firmware has found nothing to boot; undefined when it does not come so far in time. */
export function runFirmware(emulator: string, accel: 'kvm' | 'tcg', deadlineMs: number): Promise<number | undefined> {
  const args = ['-nodefaults', '-no-user-config', '-display', 'none', '-machine', 'q35', '-accel', accel, '-m', '16'];
  const debugPort = ['-chardev', 'stdio,id=debug', '-device', 'isa-debugcon,iobase=0x402,chardev=debug'];
  const begun = performance.now();
  return new Promise((resolve) => {
    const [program, ...words] = mortalCommand(emulator, [...args, ...debugPort]);
    const child = spawn(program!, words, { stdio: ['ignore', 'pipe', 'ignore'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), deadlineMs);
    let text = '';
    let reached: number | undefined;
    child.stdout.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
      if (reached !== undefined || !text.includes(END_OF_FIRMWARE)) return;
      reached = Math.round(performance.now() - begun);
      child.kill('SIGKILL');
    });
    child.on('error', () => undefined);
    child.on('close', () => {
      clearTimeout(timer);
      resolve(reached);
    });
  });
}
