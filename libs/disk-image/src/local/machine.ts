/** What tells this machine from others. */
import { existsSync, readFileSync } from 'node:fs';

/** machine-id(5); a machine without one is told by its boot, as identities are of use while it is up. */
export function machineId(): string {
  for (const path of ['/etc/machine-id', '/proc/sys/kernel/random/boot_id']) {
    const id = existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
    if (id) return id;
  }
  return 'this';
}
