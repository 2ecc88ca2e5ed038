import { truncateSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { eventually } from './eventually';
import { startProcess, type TestProcess } from './start-process';
import { temporaryFolder, type TemporaryFolder } from './temporary-folder';
import { tinyGuest, tinyGuestBooted } from './tiny-guest';

type Json = Record<string, unknown>;

/** One command to a line-wise JSON server on a unix socket (QMP after `greeting`, or the guest agent), and its answer. */
function ask(path: string, commands: Json[]): Promise<Json> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => commands.forEach((command) => socket.write(`${JSON.stringify(command)}\n`)));
    let answers = 0;
    socket.setTimeout(60_000, () => socket.destroy(new Error(`no answer to ${JSON.stringify(commands)}`)));
    socket.on('error', reject);
    createInterface(socket).on('line', (line) => {
      const message = JSON.parse(line) as Json;
      if (!('return' in message || 'error' in message) || ++answers < commands.length) return;
      socket.destroy();
      resolve(message);
    });
  });
}

class Machine implements AsyncDisposable {
  private constructor(
    readonly qemu: TestProcess,
    private readonly folder: TemporaryFolder,
  ) {}

  static async boot(flags = ''): Promise<Machine> {
    const { kernel, initrd, append, memoryMib } = await tinyGuest();
    const folder = temporaryFolder();
    const disk = folder.file('disk.img');
    writeFileSync(disk, '');
    truncateSync(disk, 16 << 20);
    const port = (n: number): string[] => ['-device', `pcie-root-port,id=port${n},chassis=${n},port=${n},addr=2.${n}`];
    const command: [string, ...string[]] = [
      'qemu-system-x86_64',
      ...['-no-user-config', '-nodefaults', '-machine', 'q35', '-accel', 'tcg', '-m', String(memoryMib)],
      ...['-display', 'none', '-serial', 'stdio', '-qmp', `unix:${folder.file('qmp')},server=on,wait=off`],
      ...['-kernel', kernel, '-initrd', initrd, '-append', `${append} ${flags}`, '-no-reboot'],
      ...['-device', 'pcie-root-port,id=port0,chassis=9,port=9,addr=2.0,multifunction=on', ...port(1), ...port(2)],
      ...['-chardev', `socket,id=agent,path=${folder.file('agent')},server=on,wait=off`],
      ...['-device', 'virtio-serial-pci,bus=port0'],
      ...['-device', 'virtserialport,chardev=agent,name=org.qemu.guest_agent.0'],
      ...['-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net,bus=port1'],
      ...['-device', 'virtio-balloon-pci', '-device', 'virtio-rng-pci', '-device', 'pvpanic'],
      ...['-blockdev', `driver=file,node-name=disk,filename=${disk}`],
    ];
    return new Machine(await startProcess(command), folder);
  }

  /** The whole line. */
  booted(): Promise<string> {
    return this.qemu.waitFor(new RegExp(`${tinyGuestBooted}.*Linux`), { timeoutMs: 60_000 });
  }

  qmp(execute: string, args: Json = {}): Promise<Json> {
    return ask(this.folder.file('qmp'), [{ execute: 'qmp_capabilities' }, { execute, arguments: args }]);
  }

  agent(execute: string): Promise<Json> {
    return ask(this.folder.file('agent'), [{ execute }]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.qemu[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

/** Booting is emulated instruction by instruction: seconds where nothing else runs, many more where much does. */
const slow = 120_000;

describe('the tiny guest on QEMU without hardware help', () => {
  test(
    'boots, has a shell, an address and an agent, sees disks come and go, obeys the power button',
    async () => {
      await using machine = await Machine.boot('tiny.hostname=guest-1');
      const { qemu } = machine;
      expect(await machine.booted()).toMatch(/tiny-guest: booted guest-1 after [\d.]+ s, \d+ MiB, 1 cpu, Linux/);
      await qemu.waitFor('eth0 has address 10.0.2.15');

      qemu.write('echo two and $((1 + 1))\n');
      await qemu.waitFor('two and 2');

      expect(await machine.agent('guest-ping')).toEqual({ return: {} });

      await machine.qmp('device_add', { driver: 'virtio-blk-pci', drive: 'disk', id: 'disk', bus: 'port2' });
      await qemu.waitFor('tiny-guest: disk vda 16 MiB appeared');
      await machine.qmp('device_del', { id: 'disk' });
      await qemu.waitFor('tiny-guest: disk vda disappeared', { timeoutMs: 30_000 });

      await machine.qmp('balloon', { value: 80 << 20 });
      await eventually(() => machine.qmp('query-balloon'), { return: { actual: 80 << 20 } });

      await machine.qmp('system_powerdown');
      await qemu.waitFor('tiny-guest: poweroff');
      expect(await qemu.exited).toEqual({ code: 0, signal: null });
    },
    slow,
  );

  test(
    'powers off when the agent is asked to',
    async () => {
      await using machine = await Machine.boot();
      await machine.booted();
      void machine.agent('guest-shutdown').catch(() => undefined); // answers nothing when all went well
      await machine.qemu.waitFor('tiny-guest: poweroff');
      expect(await machine.qemu.exited).toEqual({ code: 0, signal: null });
    },
    slow,
  );

  test(
    'counts, and ends by itself after the time it was given',
    async () => {
      await using machine = await Machine.boot('tiny.counter tiny.poweroff-after=2');
      await machine.booted();
      await machine.qemu.waitFor('tiny-guest: count 2');
      expect(await machine.qemu.exited).toEqual({ code: 0, signal: null });
    },
    slow,
  );

  test(
    'panics on request, which QEMU hears of',
    async () => {
      await using machine = await Machine.boot('tiny.panic');
      await machine.qemu.waitFor('Kernel panic', { timeoutMs: 60_000 });
      await machine.qemu.exited; // QEMU's default on a panic that pvpanic tells it of
    },
    slow,
  );
});
