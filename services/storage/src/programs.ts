/** Running the system's programs: words, never a shell; what is missing is named with its package. */
import { execFile } from 'node:child_process';
import { VirtError } from '@virtbus/shared';

/** Debian's packages of the programs that may be missing. */
const packages: Readonly<Record<string, string>> = {
  blkid: 'util-linux',
  fallocate: 'util-linux',
  mount: 'mount',
  umount: 'mount',
  lvcreate: 'lvm2',
  lvremove: 'lvm2',
  lvresize: 'lvm2',
  lvs: 'lvm2',
  pvcreate: 'lvm2',
  pvremove: 'lvm2',
  vgchange: 'lvm2',
  vgcreate: 'lvm2',
  vgremove: 'lvm2',
  vgs: 'lvm2',
  parted: 'parted',
  'qemu-img': 'qemu-utils',
  'mkfs.ext2': 'e2fsprogs',
  'mkfs.ext3': 'e2fsprogs',
  'mkfs.ext4': 'e2fsprogs',
  'mkfs.vfat': 'dosfstools',
  'mkfs.xfs': 'xfsprogs',
  'mkfs.ocfs2': 'ocfs2-tools',
};

/** Longest output that is taken, bytes. */
const maxOutput = 64 * 1024 * 1024;

export interface RunOptions {
  /** Ends the program when it is aborted. */
  signal?: AbortSignal | undefined;
  /** It ends with us, however we end: for one that writes to a file which the next of us takes away. */
  mortal?: boolean;
}

/**
 * What the program prints. Throws OPERATION_UNSUPPORTED when it is not installed, OPERATION_FAILED with its own last
 * words when it fails, the reason of the signal when that ended it.
 */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { signal, mortal } = options;
  signal?.throwIfAborted();
  const words = mortal ? ['setpriv', '--pdeathsig', 'KILL', program, ...args] : [program, ...args];
  const how = {
    maxBuffer: maxOutput,
    env: { ...process.env, LC_ALL: 'C', LVM_SUPPRESS_FD_WARNINGS: '1' },
    ...(signal && { signal }),
    killSignal: 'SIGKILL' as const,
  };
  return new Promise((resolve, reject) => {
    execFile(words[0]!, words.slice(1), how, (error, stdout, stderr) => {
      if (!error) resolve(stdout);
      else if (signal?.aborted) reject(signal.reason as Error);
      else reject(failure(program, error, stderr));
    });
  });
}

function failure(program: string, error: Error & { code?: unknown }, stderr: string): VirtError {
  const missing = error.code === 'ENOENT' || (error.code === 127 && stderr.includes('No such file'));
  if (missing) {
    const from = packages[program] ?? program;
    return new VirtError('OPERATION_UNSUPPORTED', {
      detail: `the program '${program}' is not installed on this host; install the package '${from}' and try again`,
    });
  }
  const said = stderr
    .trim()
    .split(/\s*\n\s*/)
    .slice(-3)
    .join('; ')
    .slice(0, 1_000);
  return new VirtError('OPERATION_FAILED', { detail: `${program}: ${said || error.message}` }, { cause: error });
}
