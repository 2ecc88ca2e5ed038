/** qemu-img, run with words and never a shell. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { VirtError } from '@virtbus/shared';

const run = promisify(execFile);

/** What it prints. Throws OPERATION_FAILED with its own words, or the reason of the signal. */
export async function qemuImg(args: readonly string[], signal?: AbortSignal): Promise<string> {
  try {
    const { stdout } = await run('qemu-img', [...args], { ...(signal ? { signal } : {}), killSignal: 'SIGTERM' });
    return stdout;
  } catch (cause) {
    signal?.throwIfAborted();
    const { code, stderr, message } = cause as { code?: unknown; stderr?: string; message: string };
    const detail =
      code === 'ENOENT'
        ? "the program 'qemu-img' is not installed on this host; install the package 'qemu-utils' and try again"
        : `qemu-img ${args[0]}: ${(stderr?.trim() || message).replaceAll('\n', '; ')}`;
    throw new VirtError('OPERATION_FAILED', { detail }, { cause });
  }
}
