/** The README's container, made by its own script. */
import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';

const script = resolve(__dirname, '../../lxc-rootfs/example.sh');

/** The document of a container `demo`. @param folder where containers' users can pass through */
export function demoContainer(folder: string): string {
  return execFileSync('bash', [script, 'demo'], {
    env: { ...process.env, VIRTBUS_STATE_DIR: folder },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}
