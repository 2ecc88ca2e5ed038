/** A container's root file system, made of the busybox that is installed, and the document of a container on it. */
import { execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';

/** @param folder where containers' users can pass through */
export function demoContainer(folder: string): string {
  const script = resolve(__dirname, '../../lxc-rootfs/build.sh');
  const root = join(folder, 'rootfs');
  execFileSync('bash', [script, '--into', root], { stdio: ['ignore', 'ignore', 'inherit'] });
  return `<domain type='lxc'>
  <name>demo</name>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os>
    <type>exe</type>
    <init>/sbin/init</init>
  </os>
  <features><privnet/></features>
  <devices>
    <filesystem type='mount'>
      <source dir='${root}'/>
      <target dir='/'/>
    </filesystem>
    <console type='pty'/>
  </devices>
</domain>
`;
}
