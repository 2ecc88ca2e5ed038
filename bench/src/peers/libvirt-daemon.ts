/**
 * A libvirtd of our own: configuration and state in a folder of ours, namespaces of its own, nothing of the machine's.
 *
 * It is set up to do no more than we do: no cgroups and no mount namespace for each guest, both of which only cost it
 * time. What else it would wrongly suffer from is told in `libvirt/serve.sh`.
 */
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { checkout, eventually, findProgram, startProcess } from '@virtbus/testkit';
import { type CleanUp } from '../cleanup';

/** libvirtd cannot run here; the message says why and what to do. */
export class LibvirtAbsent extends Error {
  override readonly name = 'LibvirtAbsent';
}

/** Which of its drivers a client speaks to. */
export type LibvirtDriver = 'qemu' | 'lxc';

const packages = ['libvirt-daemon', 'libvirt-daemon-driver-lxc', 'python3-libvirt', 'iproute2'];
/** What supervises a container of libvirt's; part of its own package. */
const containerController = '/usr/lib/libvirt/libvirt_lxc';
/** Debian's Python, for which python3-libvirt is made; another one may come first on the path. */
export const python = '/usr/bin/python3';
const ownPlaces = ['/etc/libvirt', '/run/libvirt', '/var/lib/libvirt', '/var/cache/libvirt', '/var/log/libvirt'];
/** Debian's id for the user that libvirt's guests run as. */
const guestId = 64055;

export function installLibvirt(): void {
  if (process.getuid?.() !== 0) throw new Error('--with-libvirt installs packages: run it as root');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = ['install', '--yes', '--no-install-recommends', ...packages];
  for (const args of [['update', '--quiet'], install]) {
    const { status, stderr } = spawnSync('apt-get', args, { env, encoding: 'utf8' });
    if (status !== 0) throw new Error(`apt-get ${args.join(' ')} failed: ${stderr.trim().split('\n').at(-1)}`);
  }
}

/** @throws LibvirtAbsent */
function mustBeHere(driver: LibvirtDriver): void {
  if (process.getuid?.() !== 0)
    throw new LibvirtAbsent('libvirtd runs beside us as root only: run the benchmark as root');
  const missing = ['libvirtd', 'virtlogd', 'unshare', 'ip'].filter((program) => !findProgram(program));
  if (spawnSync(python, ['-c', 'import libvirt']).status !== 0) missing.push('python3-libvirt');
  if (driver === 'lxc' && !existsSync(containerController)) missing.push(containerController);
  if (missing.length === 0) return;
  throw new LibvirtAbsent(
    `${missing.join(', ')} not installed; 'npm run bench -- --with-libvirt' installs: ${packages.join(' ')}`,
  );
}

/**
 * Starts it and returns the URI that clients reach it by.
 * @param besides pid of another one, whose network it shares
 * @param logs part of it that tells everything in `log/debug.log` of the folder
 */
export async function startLibvirtd(
  folder: string,
  cleanUp: CleanUp,
  driver: LibvirtDriver,
  { besides, logs }: { besides?: number; logs?: string | undefined } = {},
): Promise<{ uri: string; pid: number }> {
  mustBeHere(driver);
  prepare(folder, logs);
  for (const place of ownPlaces) makeMountPoint(place, cleanUp);
  const namespaces = ['unshare', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child', '--uts'] as const;
  const command = besides === undefined ? ([...namespaces, '--net'] as const) : inNetworkOf(besides, namespaces);
  const serve = join(checkout, 'bench/libvirt/serve.sh');
  const daemon = await startProcess([...command, serve, folder], {
    name: 'libvirtd',
    leavesChildren: true,
  });
  cleanUp.add('libvirtd', async () => {
    daemon.write('\n');
    await daemon.exited;
  });
  const socket = join(folder, 'run', 'libvirt-sock');
  const up = (): boolean => {
    if (!daemon.running) throw new Error(`libvirtd has ended: ${daemon.log.tail()}`);
    return existsSync(socket);
  };
  await eventually(up, true, { timeoutMs: 15_000 });
  return { uri: `${driver}:///system?socket=${socket}`, pid: daemon.pid };
}

const inNetworkOf = (pid: number, command: readonly string[]) =>
  ['nsenter', '--target', String(pid), '--net', ...command] as const;

function prepare(folder: string, logs?: string): void {
  mkdirSync(folder, { mode: 0o711 });
  for (const name of ['etc', 'run', 'lib', 'cache', 'log']) mkdirSync(join(folder, name), { mode: 0o755 });
  const open = ['auth_unix_rw = "none"', 'auth_unix_ro = "none"', `host_uuid = "${randomUUID()}"`];
  if (logs !== undefined) {
    open.push(`log_filters = "1:${logs}"`, 'log_outputs = "1:file:/var/log/libvirt/debug.log"');
  }
  writeFileSync(join(folder, 'etc/libvirtd.conf'), `${open.join('\n')}\n`);
  const less = ['cgroup_controllers = []', 'namespaces = []', 'security_driver = "none"', 'remember_owner = 0'];
  writeFileSync(join(folder, 'etc/qemu.conf'), `${less.join('\n')}\n`);
  writeFileSync(join(folder, 'unreadable'), '', { mode: 0o000 });
  for (const name of ['passwd', 'group']) {
    const copy = join(folder, name);
    copyFileSync(`/etc/${name}`, copy);
    chmodSync(copy, 0o644);
    if (/^libvirt-qemu:/m.test(readFileSync(copy, 'utf8'))) continue;
    const rest = name === 'passwd' ? `${guestId}::/nonexistent:/usr/sbin/nologin` : '';
    appendFileSync(copy, `libvirt-qemu:x:${guestId}:${rest}\n`);
  }
}

/** A folder to mount ours on; it goes again where it was not there before. */
function makeMountPoint(path: string, cleanUp: CleanUp): void {
  if (existsSync(path)) return;
  mkdirSync(path);
  cleanUp.add(path, () => rmdirSync(path));
}
