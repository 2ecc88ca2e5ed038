/** Cookies as a stock libvirtd writes them, taken from the log of a migration between two of them: each is one that we read. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { formatCookie, parseCookie, type CookieReader } from '@virtbus/domain-xml';
import { findProgram, requirement, temporaryFolder } from '@virtbus/testkit';
import { CleanUp } from '../cleanup';
import { Libvirt } from './libvirt';
import { python } from './libvirt-daemon';

const programs = ['libvirtd', 'virtlogd', 'unshare', 'ip', 'qemu-system-x86_64'];
const needs = requirement(
  'root, libvirtd and python3-libvirt',
  () =>
    process.getuid?.() === 0 &&
    programs.every((program) => findProgram(program) !== undefined) &&
    spawnSync(python, ['-c', 'import libvirt']).status === 0,
);

const uuid = '1e3f4a5b-0000-4000-8000-0000000030ff';
const name = 'cookie';
/** Of the host that reads: another than either of theirs. */
const hostUuid = '0f3b0000-0000-4000-8000-000000000001';

const document = (emulator: string): string => `<domain type='qemu'>
  <name>${name}</name><uuid>${uuid}</uuid><memory unit='MiB'>32</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
  <devices><emulator>${emulator}</emulator><serial type='pty'/></devices>
</domain>`;

/** The cookies in a daemon's log, in the order in which it wrote or read them, without their NUL. */
function cookiesIn(log: string): string[] {
  return [...new Set(readFileSync(log, 'utf8').match(/<qemu-migration>[\s\S]*?<\/qemu-migration>/g) ?? [])];
}

needs.test(
  "each cookie of a stock libvirt's migration is read by ours, and written again says the same",
  async () => {
    using folder = temporaryFolder();
    const cleanUp = new CleanUp();
    try {
      const { libvirt, hosts } = await Libvirt.startPair(folder, cleanUp, { logs: 'qemu.qemu_migration' });
      await libvirt.define(document(libvirt.monitored.path));
      await libvirt.change('start', name);
      await libvirt.migrate(name, hosts[1]);
      const found = cookiesIn(folder.file('libvirt-1', 'log', 'debug.log'));
      // What it sends the target to prepare, what it gets from there, and what both say at the end.
      const readers: CookieReader[] = ['prepare', 'perform', 'finish', 'confirm'];
      expect(found).toHaveLength(readers.length);
      // Its own way of locking: none.
      const locks = { driver: 'nop', usesState: false };
      for (const [n, reader] of readers.entries()) {
        const cookie = parseCookie(found[n]!, reader, { name, uuid, hostUuid, locks });
        expect(cookie).toMatchObject({ name, uuid, hostuuid: expect.stringMatching(/^[0-9a-f-]{36}$/) });
        expect(parseCookie(formatCookie(cookie), reader, { name, uuid, hostUuid, locks })).toEqual(cookie);
      }
      expect(parseCookie(found[0]!, 'prepare', { name, uuid, hostUuid, locks }).features).toEqual([
        { name: 'lockstate' },
      ]);
      // Whose leases must travel takes no guest from one that has none.
      const ours = { driver: 'virtbus', usesState: true };
      expect(() => parseCookie(found[0]!, 'prepare', { name, uuid, hostUuid, locks: ours })).toThrow('lock state');
      await libvirt.change('destroy', name).catch(() => undefined);
    } finally {
      await cleanUp.run();
    }
  },
  180_000,
);
