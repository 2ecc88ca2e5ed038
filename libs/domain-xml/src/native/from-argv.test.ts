import { isVirtError } from '@virtbus/shared';
import type { Domain } from '../elements/domain';
import { domainFromQemuArgv } from './from-argv';

const read = (line: string): { domain: Domain; warnings: string[] } => domainFromQemuArgv(line);
/** Without the words that are about what this line leaves open. */
const bare = (options: string): { domain: Domain; warnings: string[] } =>
  read(`qemu-system-x86_64 -name g -nodefaults -display none ${options}`);
const kept = ({ qemuCommandline }: Domain): string[] => (qemuCommandline?.args ?? []).map(({ value }) => value);

const refusal = (line: string): string => {
  try {
    read(line);
  } catch (error) {
    if (isVirtError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
};

describe('a line as people type it', () => {
  test('becomes a guest with what QEMU would have given it', () => {
    const { domain, warnings } = read('qemu-system-x86_64 -enable-kvm -m 2G -smp 4 -cpu host -hda /i/disk.img');
    expect(domain).toMatchObject({
      type: 'kvm',
      name: 'guest',
      memory: { kib: 2 * 1024 * 1024 },
      vcpu: { count: 4 },
      cpu: { mode: 'host-passthrough' },
      features: { acpi: true },
      devices: {
        disks: [{ type: 'file', device: 'disk', source: { file: '/i/disk.img' }, target: { dev: 'hda', bus: 'ide' } }],
        interfaces: [{ type: 'user', model: { type: 'e1000' } }],
        serials: [{ type: 'pty' }],
        graphics: [{ type: 'vnc', autoport: true }],
        videos: [{ model: { type: 'vga' } }],
        memballoon: { model: 'none' },
      },
    });
    expect(kept(domain)).toEqual([]);
    expect(warnings).toEqual([
      "disk hda: no format is given for '/i/disk.img'; it is taken for raw, because nothing is probed to run a guest",
      'QEMU would open a window; the document has a VNC display instead',
      "the command line names no guest; it is called 'guest' here",
    ]);
  });

  test('may begin with variables and a wrapper, and go over several lines', () => {
    const { domain } = read(
      `# my guest\nFOO='a b' exec qemu-system-aarch64 \\\n  -name "my guest" -M virt -nographic &\n`,
    );
    expect(domain).toMatchObject({
      name: 'my guest',
      os: { type: { arch: 'aarch64', machine: 'virt' } },
      qemuCommandline: { envs: [{ name: 'FOO', value: 'a b' }] },
    });
    expect(domain.devices.graphics).toEqual([]);
  });

  test('keeps the emulator it names by its whole path', () => {
    expect(read('/opt/qemu/bin/qemu-system-x86_64 -name g').domain.devices.emulator).toBe(
      '/opt/qemu/bin/qemu-system-x86_64',
    );
    expect(read('qemu-kvm -name g').domain.type).toBe('kvm');
  });
});

describe('disks', () => {
  test.each([
    [
      '-drive file=/i/a.qcow2,format=qcow2,if=virtio,cache=none,aio=native,discard=unmap',
      { dev: 'vda', bus: 'virtio' },
    ],
    [
      '-drive if=none,id=d,file=/i/a.qcow2,format=qcow2,cache=none,aio=native,discard=on -device virtio-blk-pci,drive=d',
      { dev: 'vda', bus: 'virtio' },
    ],
    [
      `-blockdev driver=file,filename=/i/a.qcow2,node-name=f,aio=native -blockdev driver=qcow2,file=f,node-name=q,discard=unmap,cache.direct=on
       -device '{"driver":"virtio-blk-pci","drive":"q"}'`,
      { dev: 'vda', bus: 'virtio' },
    ],
    [
      `-blockdev driver=qcow2,node-name=q,discard=unmap,cache.direct=on,file.driver=file,file.filename=/i/a.qcow2,file.aio=native -device usb-storage,drive=q`,
      { dev: 'sda', bus: 'usb' },
    ],
  ])('%s', (options, target) => {
    const { domain, warnings } = bare(options);
    expect(warnings).toEqual([]);
    expect(domain.devices.disks).toMatchObject([
      {
        source: { file: '/i/a.qcow2' },
        driver: { type: 'qcow2', cache: 'none', io: 'native', discard: 'unmap' },
        target,
      },
    ]);
  });

  test('have the order that they are booted in', () => {
    const options = `-drive file=/i/a,format=raw,if=none,id=a -drive file=/i/b,format=raw,if=none,id=b
      -device virtio-blk-pci,drive=a,bootindex=2 -device virtio-blk-pci,drive=b,bootindex=1`;
    expect(bare(options).domain.devices.disks.map(({ boot }) => boot?.order)).toEqual([2, 1]);
    expect(bare('-hda /i/a -cdrom /i/b.iso -boot dc').domain.os.boot).toEqual([{ dev: 'cdrom' }, { dev: 'hd' }]);
  });

  test('come from a device, a server or nowhere', () => {
    const { disks } = bare(
      '-drive file=/dev/sdx,format=raw,if=virtio -drive file=nbd://srv:10810/disk,format=raw,if=virtio -drive if=ide,media=cdrom',
    ).domain.devices;
    expect(disks).toMatchObject([
      { type: 'block', source: { dev: '/dev/sdx' } },
      { type: 'network', source: { protocol: 'nbd', name: 'disk', hosts: [{ name: 'srv', port: 10810 }] } },
      { type: 'file', device: 'cdrom', target: { dev: 'hdc' } },
    ]);
    expect(disks).toHaveLength(3);
  });

  test('of firmware are flash chips', () => {
    const { os } = bare(
      '-drive if=pflash,format=raw,readonly=on,file=/fw/code.fd -drive if=pflash,format=raw,file=/fw/vars.fd',
    ).domain;
    expect(os).toMatchObject({
      loader: { type: 'pflash', readonly: true, path: '/fw/code.fd' },
      nvram: { path: '/fw/vars.fd' },
    });
  });
});

test.each([
  [
    '-nic user,model=virtio-net-pci,mac=52:54:00:00:00:09',
    { type: 'user', model: { type: 'virtio' }, mac: { address: '52:54:00:00:00:09' } },
  ],
  ['-net nic,model=rtl8139 -net user', { type: 'user', model: { type: 'rtl8139' } }],
  [
    '-netdev tap,id=n,ifname=tap0,script=no,downscript=no,vhost=on -device virtio-net-pci,netdev=n',
    { type: 'ethernet', target: { dev: 'tap0', managed: false }, driver: { name: 'vhost' } },
  ],
  [
    '-netdev bridge,id=n,br=br7 -device e1000,netdev=n',
    { type: 'bridge', source: { bridge: 'br7' }, model: { type: 'e1000' } },
  ],
  [
    '-netdev socket,id=n,mcast=230.0.0.1:1234 -device e1000,netdev=n',
    { type: 'mcast', source: { address: '230.0.0.1', port: 1234 } },
  ],
])('the network card of %s', (options, card) => {
  const { domain, warnings } = bare(options);
  expect(warnings).toEqual([]);
  expect(domain.devices.interfaces).toMatchObject([card]);
});

test.each([
  ['-serial pty', { type: 'pty' }],
  ['-serial unix:/run/s,server=on,wait=off', { type: 'unix', sources: [{ mode: 'bind', path: '/run/s' }] }],
  ['-serial tcp:1.2.3.4:99', { type: 'tcp', sources: [{ mode: 'connect', host: '1.2.3.4', service: '99' }] }],
  [
    '-serial telnet::4321,server,nowait',
    { type: 'tcp', sources: [{ mode: 'bind', service: '4321' }], protocol: { type: 'telnet' } },
  ],
  ['-serial file:/log/s', { type: 'file', sources: [{ path: '/log/s' }] }],
  ['-serial /dev/ttyS0', { type: 'dev', sources: [{ path: '/dev/ttyS0' }] }],
  ['-chardev null,id=c -serial chardev:c', { type: 'null' }],
  ['-chardev pty,id=c,logfile=/log/x -device isa-serial,chardev=c', { type: 'pty', log: { file: '/log/x' } }],
])('the serial port of %s', (options, serial) => {
  const { domain, warnings } = bare(options);
  expect(warnings).toEqual([]);
  expect(domain.devices.serials).toMatchObject([serial]);
});

test('SMBIOS tables, firmware blobs, threads and a TPM have their elements', () => {
  const { domain, warnings } = bare(
    `-smbios type=1,serial=s1,uuid=u1 -smbios type=11,value=one,value=two -fw_cfg name=opt/com.coreos/config,file=/c.ign
     -object iothread,id=iothread1 -drive file=/i/a,format=raw,if=none,id=a -device virtio-blk-pci,drive=a,iothread=iothread1,packed=on
     -chardev socket,id=t,path=/run/swtpm.sock -tpmdev emulator,id=tpm0,chardev=t -device tpm-crb,tpmdev=tpm0`,
  );
  expect(warnings).toEqual([]);
  expect(domain).toMatchObject({
    os: { smbios: { mode: 'sysinfo' } },
    sysinfos: [
      {
        type: 'smbios',
        system: {
          entries: [
            { name: 'serial', value: 's1' },
            { name: 'uuid', value: 'u1' },
          ],
        },
        oemStrings: { entries: [{ value: 'one' }, { value: 'two' }] },
      },
      { type: 'fwcfg', entries: [{ name: 'opt/com.coreos/config', file: '/c.ign' }] },
    ],
    iothreads: 1,
    devices: {
      disks: [{ driver: { iothread: 1, packed: true } }],
      tpms: [{ model: 'tpm-crb', backend: { type: 'external', source: { path: '/run/swtpm.sock' } } }],
    },
  });
});

describe('what the document has no word for', () => {
  test('goes to QEMU beside it, in its order and with its backends, each with a reason', () => {
    const { domain, warnings } = bare(
      `-machine q35,accel=tcg,hmat=on -global made.up=1 -drive if=none,id=n,file=/i/n,format=raw -device nvme,drive=n,serial=1
       -netdev user,id=u,hostfwd=tcp::2222-:22 -device virtio-net-pci,netdev=u -made-up 7`,
    );
    expect(domain.os.type).toMatchObject({ machine: 'q35' });
    expect(kept(domain).join(' ')).toBe(
      '-machine hmat=on -global made.up=1 -drive if=none,id=n,file=/i/n,format=raw -device nvme,drive=n,serial=1 ' +
        '-netdev user,id=u,hostfwd=tcp::2222-:22 -device virtio-net-pci,netdev=u -made-up 7',
    );
    expect(warnings).toHaveLength(7);
    expect(warnings.join('\n')).toContain(
      '-device virtio-net-pci,netdev=u goes to QEMU beside the document, in <qemu:commandline>: hostfwd=tcp::2222-:22 has no place in a document',
    );
  });

  test('stays whole where its values make no sense', () => {
    expect(kept(bare('-m lots -rtc base=yesterday -smp many').domain)).toEqual([
      '-m',
      'lots',
      '-rtc',
      'base=yesterday',
      '-smp',
      'many',
    ]);
    expect(kept(bare('-hda disk.img').domain)).toEqual(['-drive', 'file=disk.img,if=ide,index=0']);
    expect(kept(bare(`-device '{"driver":'`).domain)).toEqual(['-device', '{"driver":']);
  });

  test('is left out where a driver looks after the guest, and that is said', () => {
    const { domain, warnings } = bare('-daemonize -pidfile /run/x -monitor stdio -S -no-shutdown');
    expect(kept(domain)).toEqual([]);
    expect(warnings.map((warning) => warning.split(':')[0])).toEqual([
      '-daemonize is left out',
      '-pidfile /run/x is left out',
      '-monitor stdio is left out',
    ]);
  });

  test('takes with it what sits on it', () => {
    const { domain } = bare(
      '-device virtio-scsi-pci,id=s,seg_max_adjust=on -drive if=none,id=d,file=/i/d,format=raw -device scsi-hd,drive=d,bus=s.0',
    );
    expect(domain.devices.disks).toEqual([]);
    expect(kept(domain).filter((word) => word === '-device')).toHaveLength(2);
  });
});

describe('text that is no command line of QEMU', () => {
  test.each([
    ['', 'CONFIG_UNSUPPORTED: unsupported configuration: the command line is empty'],
    ['# nothing', 'CONFIG_UNSUPPORTED: unsupported configuration: the command line is empty'],
    [
      '<domain/>',
      "CONFIG_UNSUPPORTED: unsupported configuration: the command line has '<'; give one command, and quote what belongs to it",
    ],
    [
      'ls -l',
      "CONFIG_UNSUPPORTED: unsupported configuration: 'ls' is no QEMU: a command line begins with its emulator, such as qemu-system-x86_64",
    ],
    [
      "qemu-system-x86_64 -name 'a",
      "CONFIG_UNSUPPORTED: unsupported configuration: the command line has a quote (') that does not end",
    ],
    [
      'qemu-system-x86_64 -name $NAME',
      "CONFIG_UNSUPPORTED: unsupported configuration: the command line has '$NAME', which only a shell can replace; write it out",
    ],
    [
      'qemu-system-x86_64 -name a; reboot',
      "CONFIG_UNSUPPORTED: unsupported configuration: the command line has ';'; give one command, and quote what belongs to it",
    ],
  ])('%j is refused', (line, why) => expect(refusal(line)).toBe(why));

  test('a value that no document can have is told by its place', () => {
    expect(refusal('qemu-system-x86_64 -name g -uuid nonsense')).toMatch(/no document can say this: uuid: expected/);
  });
});
