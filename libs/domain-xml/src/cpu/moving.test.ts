import type { QemuCapabilities } from '../capabilities';
import type { Domain } from '../elements/domain';
import { cpuLoss, cpusOfDocument, givenCpu } from '.';

const small = ['fpu', 'sse2'];
const models = {
  Small: { vendor: 'GenuineIntel', features: small },
  Large: { vendor: 'GenuineIntel', features: [...small, 'avx', 'aes'] },
};
const everything = ['fpu', 'sse2', 'avx', 'aes', 'svm', 'invtsc'];

/** A host that has these of all features that its QEMU knows. */
function hostWith(has: readonly string[], more: { vendor?: string; knows?: readonly string[] } = {}): QemuCapabilities {
  const { vendor = 'GenuineIntel', knows = everything } = more;
  const properties = knows.map((name) => ({ name, value: has.includes(name), migratable: name !== 'invtsc' }));
  const cpus = [...Object.keys(models), 'max'].map((name) => ({ name, blockers: [], deprecated: false }));
  const hostCpu = {
    model: 'base',
    migratability: true,
    properties: [...properties, { name: 'vendor', value: vendor }],
  };
  return {
    ...{ emulator: '/usr/bin/qemu-system-x86_64', version: 7002022, package: '', arch: 'x86_64', flags: new Set() },
    accelerators: { kvm: { machines: [], cpus, models, hostCpu } },
  };
}

const guest = (cpu: string): Domain => ({ type: 'kvm', cpu: cpusOfDocument(cpu)[0] }) as Domain;
const large = guest("<cpu mode='custom'><model>Large</model></cpu>");
const passed = guest("<cpu mode='host-passthrough'/>");

/** What is said of a guest of one host on another. */
const moved = (domain: Domain, from: QemuCapabilities, to: QemuCapabilities): string | undefined =>
  cpuLoss(domain, givenCpu(domain, from), to);

describe('a guest that moves', () => {
  test('loses what the other host cannot give, by name', () => {
    expect(moved(large, hostWith([...small, 'avx', 'aes']), hostWith([...small, 'avx', 'aes', 'svm']))).toBeUndefined();
    expect(moved(large, hostWith([...small, 'avx', 'aes']), hostWith(small))).toBe(
      'it cannot give the features that the guest has: aes, avx',
    );
  });

  test('does not lose what its document asks for and it never had', () => {
    expect(moved(large, hostWith([...small, 'avx']), hostWith([...small, 'avx']))).toBeUndefined();
    const asking = guest("<cpu mode='custom'><model>Small</model><feature policy='require' name='svm'/></cpu>");
    expect(moved(asking, hostWith(small), hostWith(small))).toBeUndefined();
  });

  test('does not lose what it was kept from', () => {
    const without = guest("<cpu mode='custom'><model>Large</model><feature policy='disable' name='aes'/></cpu>");
    expect(moved(without, hostWith(everything), hostWith([...small, 'avx']))).toBeUndefined();
  });

  test('of which the source says nothing is let go, but not to a QEMU without its model', () => {
    expect(cpuLoss(large, undefined, hostWith(small))).toBeUndefined();
    const later = guest("<cpu mode='custom'><model>Later</model></cpu>");
    expect(givenCpu(later, hostWith(small))).toBeUndefined();
    expect(cpuLoss(later, undefined, hostWith(small))).toBe("its QEMU does not know the CPU model 'Later'");
    expect(cpuLoss(guest("<cpu mode='custom'><model>max</model></cpu>"), undefined, hostWith(small))).toBeUndefined();
  });

  test('with the CPU of its host needs one of the same vendor, with all that may move', () => {
    expect(moved(passed, hostWith([...small, 'invtsc']), hostWith(small))).toBeUndefined();
    expect(moved(passed, hostWith([...small, 'avx']), hostWith(small))).toContain('avx');
    expect(moved(passed, hostWith(small), hostWith(small, { vendor: 'AuthenticAMD' }))).toBe(
      'the guest has the CPU of its host, by GenuineIntel, and here it is by AuthenticAMD',
    );
  });

  test('is not kept from a QEMU that has never heard of something, unless its document asks for that', () => {
    const old = hostWith(small, { knows: small });
    expect(moved(passed, hostWith([...small, 'avx']), old)).toBeUndefined();
    const asking = guest("<cpu mode='custom'><model>Small</model><feature policy='require' name='avx'/></cpu>");
    expect(moved(asking, hostWith([...small, 'avx']), old)).toContain('avx');
  });
});
