import type { LxcCapabilities } from '@virtbus/domain-xml';
import { domainCapabilities } from './capabilities';

const capabilities: LxcCapabilities = {
  emulator: '/usr/bin/lxc-start',
  version: 5_000_002,
  arches: ['x86_64', 'i686'],
  cgroups: { versions: { memory: 2, cpu: 2 }, swap: false },
  apparmor: false,
  selinux: false,
  seccomp: true,
};

test('a host tells what its containers can have, and which limits it can keep', () => {
  const { xml, document } = domainCapabilities(capabilities, { arch: 'i686' });
  expect(xml).toContain(`<domainCapabilities>
  <path>/usr/bin/lxc-start</path>
  <domain>lxc</domain>
  <arch>i686</arch>
  <devices>
    <filesystem supported='yes'>
      <enum name='type'>
        <value>mount</value>`);
  expect(xml).toContain("<swap supported='no'/>");
  expect(document).toMatchObject({ domain: 'lxc', limits: { memtune: true, blkiotune: false }, seclabels: ['none'] });
});

test.each([
  [{ virtType: 'kvm' }, "runs domains of type 'lxc', not 'kvm'"],
  [{ arch: 's390x' }, 'programs for s390x do not run here; this host runs x86_64, i686'],
  [{ machine: 'q35' }, "has no machine, so none called 'q35'"],
  [{ emulator: '/bin/other' }, 'this host uses /usr/bin/lxc-start, not /bin/other'],
])('a question about %o is refused', (ask, words) => {
  expect(() => domainCapabilities(capabilities, ask)).toThrow(words);
});
