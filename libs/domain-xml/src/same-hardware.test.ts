import { parseDomain } from './parse-domain';
import { checkSameHardware } from './same-hardware';

const domain = (more: { memory?: number; disk?: string; model?: string; name?: string; nic?: string } = {}) =>
  parseDomain(
    `<domain type='qemu'><name>${more.name ?? 'web1'}</name><memory unit='MiB'>${more.memory ?? 64}</memory>
      <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
      <devices>
        <disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/>
          <source file='${more.disk ?? '/a.img'}'/><target dev='vda' bus='virtio'/></disk>
        <interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/>
          <target dev='${more.nic ?? 'vnet0'}'/><model type='${more.model ?? 'virtio'}'/></interface>
      </devices></domain>`,
    { mode: 'inactive' },
  ).domain;

test('names, images and taps may differ', () => {
  expect(() => checkSameHardware(domain(), domain({ name: 'web2', disk: '/b.img', nic: 'vnet7' }))).not.toThrow();
});

test.each([
  [{ memory: 128 }, 'memory.kib is 65536 and would be 131072'],
  [{ model: 'e1000' }, 'devices.interfaces.0.model.type is "virtio" and would be "e1000"'],
])('what the guest sees may not: %j', (more, difference) => {
  expect(() => checkSameHardware(domain(), domain(more))).toThrow(difference);
});
