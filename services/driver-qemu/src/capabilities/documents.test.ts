/** Capability documents of the installed QEMU and of this host. */
import { type QemuCapabilities } from '@virtbus/domain-xml';
import { domainCapabilities, domainCapabilitiesXml } from './domain-document';
import { hostCapabilities, hostCapabilitiesXml } from './host-document';
import { formatXml, parseList, readHostInfo, type HostInfo } from '@virtbus/driver-runtime';
import { probe } from './probe';

let caps: QemuCapabilities;
beforeAll(async () => {
  caps = await probe('/usr/bin/qemu-system-x86_64', false);
});

const processor = (id: number, socket: number, core: number) => ({
  id,
  socket,
  die: 0,
  cluster: 0,
  core,
  siblings: [id],
});
const host = (processors: ReturnType<typeof processor>[]): HostInfo => ({
  uuid: '00000000-0000-0000-0000-00000000000a',
  arch: 'x86_64',
  cpuModel: 'Test <CPU>',
  cells: [{ id: 0, memoryKiB: 1024, processors }],
});

test('this host tells its processors and memory', async () => {
  const info = await readHostInfo();
  expect(info.uuid).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  const [cell] = info.cells;
  expect(cell!.memoryKiB).toBeGreaterThan(0);
  expect(cell!.processors.length).toBeGreaterThan(0);
  expect(parseList('0-2,5\n')).toEqual([0, 1, 2, 5]);
  expect(parseList('\n')).toEqual([]);
});

test('the host document lists its topology, and the machines and domain types of each binary', () => {
  const even = [processor(0, 0, 0), processor(1, 0, 0), processor(2, 1, 0), processor(3, 1, 0)];
  const document = hostCapabilities(host(even), [caps]);
  expect(document.host.cpu.topology).toEqual({ sockets: 2, dies: 1, clusters: 1, cores: 1, threads: 2 });
  expect(document.guests[0]).toMatchObject({ arch: 'x86_64', wordSize: 64, domainTypes: ['qemu'] });
  const xml = hostCapabilitiesXml(document);
  expect(xml).toContain('<model>Test &lt;CPU&gt;</model>');
  expect(xml).toMatch(/<machine canonical='pc-q35-[\d.]+' maxCpus='\d+'>q35<\/machine>/);
  expect(xml).toContain(`<domain type='qemu'/>`);
});

test('the host document tells whether block jobs record raw where the node below is a protocol', () => {
  const told = (flags: string[]) => {
    const document = hostCapabilities(host([]), [{ ...caps, flags: new Set(flags) }]);
    const xml = hostCapabilitiesXml(document);
    return [document.guests[0]!.flags, xml.includes(`<flag name='blockjob.backing-mask-protocol'/>`)];
  };
  expect(told(['blockjob.backing-mask-protocol', 'kvm'])).toEqual([['blockjob.backing-mask-protocol'], true]);
  expect(told(['kvm'])).toEqual([[], false]);
});

test('an uneven host is shown as one socket of single-threaded cores', () => {
  const uneven = [processor(0, 0, 0), processor(1, 0, 0), processor(2, 0, 1)];
  expect(hostCapabilities(host(uneven), []).host.cpu.topology).toMatchObject({ sockets: 1, cores: 3, threads: 1 });
});

test('the domain document says what a q35 guest may choose from', () => {
  const document = domainCapabilities(caps, { domainType: 'qemu', machine: 'q35' })!;
  expect(document.machine).toMatch(/^pc-q35-/);
  expect(document.devices['disk']!.enums['bus']).toEqual(expect.arrayContaining(['virtio', 'sata', 'scsi']));
  expect(document.devices['graphics']!.enums['type']).toContain('vnc');
  expect(document.cpu.hostPassthrough).toBe(false);
  expect(document.cpu.models.map((model) => model.name)).toContain('qemu64');
  const xml = domainCapabilitiesXml(document);
  expect(xml).toContain(`<mode name='host-passthrough' supported='no'/>`);
  expect(xml).toContain(`<model usable='yes' vendor='AMD'>qemu64</model>`);
  expect(xml).toMatch(
    /<model usable='no' vendor='AMD'>phenom<\/model>\s*<blockers model='phenom'>\s*<feature name='fxsr_opt'\/>/,
  );
  expect(xml).toMatch(/<mode name='host-model' supported='yes'>\s*<model fallback='forbid'>\S+<\/model>/);
});

test('the domain document of a type or machine that the binary lacks is none', () => {
  expect(domainCapabilities(caps, { domainType: 'kvm' })).toBeUndefined();
  expect(domainCapabilities(caps, { domainType: 'qemu', machine: 'no-such-machine' })).toBeUndefined();
  expect(domainCapabilities(caps, { domainType: 'qemu' })!.machine).toMatch(/^pc-/);
});

test('a device without its flag is shown as not supported', () => {
  const bare = { ...caps, flags: new Set<string>() };
  const xml = domainCapabilitiesXml(domainCapabilities(bare, { domainType: 'qemu' })!);
  expect(xml).toContain(`<tpm supported='no'/>`);
});

test('text and attributes are escaped', () => {
  expect(formatXml(['a', { b: `<'&>` }, 'x < y & z'])).toBe(`<a b='&lt;&apos;&amp;&gt;'>x &lt; y &amp; z</a>\n`);
});
