/** A real process moved to a cgroup of its own, where this machine lets us make one. */
import { existsSync, readFileSync, rmdirSync } from 'node:fs';
import { eventually, requirement, startProcess } from '@virtbus/testkit';
import { GuestCgroup } from './guest-cgroup';

const own = `virtbus-test-guests-${process.pid}`;
const needsCgroups = requirement('root and writable cgroups', () => {
  GuestCgroup.open(own);
  removeOwn();
  return process.getuid?.() === 0;
});

function folders(): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').matchAll(/^(?:\S+ ){3}\/ (\S+) .* - cgroup2? /gm);
  return [...new Set([...mounts].map(([, mount]) => `${mount}/${own}`))];
}

function removeOwn(): void {
  for (const folder of folders()) if (existsSync(folder)) rmdirSync(folder);
}

needsCgroups.test('a guest leaves the cgroups of whoever started it, in every hierarchy', async () => {
  const cgroup = GuestCgroup.open(own);
  const guest = await startProcess(['sleep', '600'], { name: 'sleep' });
  try {
    cgroup.admit(guest.pid);
    const paths = readFileSync(`/proc/${guest.pid}/cgroup`, 'utf8').trim().split('\n');
    expect(paths.map((line) => line.split(':')[2])).toEqual(paths.map(() => `/${own}`));
    expect(() => cgroup.admit(-1)).toThrow(/^.*cannot move guests to the cgroup .*VIRTBUS_QEMU_CGROUP/);
  } finally {
    await guest.stop('SIGKILL');
    await eventually(() => {
      removeOwn();
      return true;
    }, true);
  }
});

test('a machine without cgroups is named, with the setting', () => {
  expect(() => GuestCgroup.open('guests', '1 0 8:1 / / rw - ext4 /dev/sda1 rw')).toThrow(
    /guests \(VIRTBUS_QEMU_CGROUP\): no cgroup hierarchy is mounted/,
  );
});
