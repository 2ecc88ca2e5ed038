/** Kernel and initial file system of the tiny guest, where the user that guests run as can read them. */
import { execFileSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export interface TinyGuest {
  kernel: string;
  initrd: string;
}

/** Built from Debian's packages when it is not in the cache; copied into `folder`. */
export function tinyGuest(folder: string): TinyGuest {
  const script = resolve(__dirname, '../../tiny-guest/build.sh');
  const built = execFileSync('bash', [script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
  const copy = (name: string): string => {
    const path = join(folder, name);
    copyFileSync(join(built, name), path);
    return path;
  };
  return { kernel: copy('vmlinuz'), initrd: copy('initramfs.gz') };
}
