import { VirtError } from '@virtbus/shared';
import { domainFromJson, domainJsonSchema, domainToJson, formatDomain, parseDomain } from './parse-domain';

const guest = (inside = '', devices = ''): string => `<domain type='kvm'>
  <name>web</name>
  <uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>
  ${inside}
  <memory unit='MiB'>512</memory>
  <vcpu>2</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
  </os>
  <devices>
    ${devices}
  </devices>
</domain>
`;

const read = (xml: string) => parseDomain(xml, { mode: 'inactive' }).domain;
const write = (xml: string): string => formatDomain(read(xml), { view: 'inactive' });

const refusal = (xml: string): VirtError => {
  try {
    read(xml);
  } catch (error) {
    if (error instanceof VirtError) return error as VirtError;
    throw error;
  }
  throw new Error('accepted');
};

describe('a domain document', () => {
  test('is read into a typed model', () => {
    const domain = read(guest('', "<disk><source file='/srv/a.qcow2'/><target dev='vda' bus='virtio'/></disk>"));
    expect(domain.memory.kib).toBe(524288);
    expect(domain.os.type?.machine).toBe('q35');
    expect(domain.devices.disks[0]).toMatchObject({
      type: 'file',
      device: 'disk',
      source: { file: '/srv/a.qcow2' },
      target: { dev: 'vda', bus: 'virtio' },
    });
  });

  test('is written in one order, with single quotes and sizes in KiB', () => {
    const xml = write(guest('', "<disk><target bus='virtio' dev='vda'/><source file='/srv/a&amp;b'/></disk>"));
    expect(xml).toContain("<memory unit='KiB'>524288</memory>");
    expect(xml).toContain(
      "    <disk type='file' device='disk'>\n      <source file='/srv/a&amp;b'/>\n      <target dev='vda' bus='virtio'/>\n    </disk>\n",
    );
    expect(write(xml)).toBe(xml);
  });

  test('keeps <metadata> to the letter', () => {
    const metadata = `<metadata>
    <app:note xmlns:app="urn:app" kind="a&quot;b">as <b>is</b>, <!-- kept --> <![CDATA[<raw>]]></app:note>
  </metadata>`;
    expect(write(guest(metadata))).toContain(metadata);
  });

  test('with an unknown element or attribute is refused by its name and line', () => {
    const error = refusal(guest('', "<disk type='file'><target dev='vda' colour='red'/>\n<wheel/></disk>"));
    expect(error.code).toBe('XML_INVALID_SCHEMA');
    expect(error.message).toContain("line 11: attribute 'colour' of <target> is not supported");
    expect(error.message).toContain('line 12: element <wheel> inside <disk> is not supported');
    expect(error.details).toMatchObject({ element: 'target', attribute: 'colour', line: 11 });
  });

  test('with an unknown element can be taken with a warning instead', () => {
    const { warnings, domain } = parseDomain(guest('<wheel/>'), { mode: 'inactive', unknown: 'warn' });
    expect(warnings).toEqual([{ line: 4, detail: 'element <wheel> inside <domain> is not supported' }]);
    expect(domain.name).toBe('web');
  });

  test('tells independent faults together, each with its line and what is allowed', () => {
    const error = refusal(guest('', "<disk type='tape'><target dev='vda'/></disk>\n<sound model='kazoo'/>\n<tpm/>"));
    expect(error.message).toMatch(/line 11: unknown disk type 'tape'/);
    expect(error.message).toMatch(/line 12: Invalid value for attribute 'model' in element 'sound': 'kazoo'/);
    expect(error.message).toMatch(/line 13: Missing required element 'backend' in element 'tpm'/);
  });

  test.each([
    ["<memory unit='furlong'>1</memory>", 'INVALID_ARG', /unknown suffix 'furlong'/],
    ["<memory unit='EiB'>999999</memory>", 'OVERFLOW', /too large/],
    ["<maxMemory slots='many'>1</maxMemory>", 'XML_ERROR', /'many'\. Expected non-negative integer/],
  ])('with %s is refused', (inside, code, words) => {
    const error = refusal(guest().replace("<memory unit='MiB'>512</memory>", inside));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(words);
  });

  test('of a running guest has data that an inactive definition has not', () => {
    const xml = guest('', "<interface type='user'><target dev='vnet3'/><alias name='net0'/></interface>").replace(
      "type='kvm'",
      "type='kvm' id='7'",
    );
    const { domain } = parseDomain(xml, { mode: 'live' });
    expect(domain.id).toBe(7);
    expect(formatDomain(domain, { view: 'live' })).toContain("<alias name='net0'/>");
    expect(formatDomain(domain, { view: 'inactive' })).not.toMatch(/alias|vnet3|id='7'/);
    expect(read(xml).devices.interfaces[0]?.alias).toBeUndefined();
  });

  test('shows secrets only when they are asked for', () => {
    const domain = read(guest('', "<graphics type='vnc' port='5901' passwd='sesame'/>"));
    expect(formatDomain(domain, { view: 'inactive' })).not.toContain('sesame');
    expect(formatDomain(domain, { view: 'inactive', secrets: true })).toContain("passwd='sesame'");
    expect(JSON.stringify(domainToJson(domain, { view: 'inactive' }))).not.toContain('sesame');
  });

  test('keeps an alias that the user chose', () => {
    expect(write(guest('', "<interface type='user'><alias name='ua-lan'/></interface>"))).toContain('ua-lan');
  });

  test('passes arguments to QEMU in its own namespace only', () => {
    const uri = 'http://libvirt.org/schemas/domain/qemu/1.0';
    const xml = guest().replace('</domain>', `<qemu:commandline><qemu:arg value='-foo'/></qemu:commandline></domain>`);
    expect(refusal(xml).message).toMatch(/commandline> inside <domain> is not supported/);
    const bound = xml.replace("type='kvm'", `type='kvm' xmlns:qemu='${uri}'`);
    expect(write(bound)).toContain(`<domain type='kvm' xmlns:qemu='${uri}'>`);
    expect(write(bound)).toContain("<qemu:arg value='-foo'/>");
  });
});

describe('the JSON form', () => {
  test('says the same as the document', () => {
    const domain = read(guest('<title>a web server</title>', "<input type='tablet' bus='usb'/>"));
    const json = JSON.parse(JSON.stringify(domainToJson(domain, { view: 'inactive' }))) as unknown;
    expect(formatDomain(domainFromJson(json), { view: 'inactive' })).toBe(formatDomain(domain, { view: 'inactive' }));
  });

  test('with wrong members is refused by their paths', () => {
    expect(() =>
      domainFromJson({ type: 'kvm', name: 'web', wheels: 4, devices: { disks: [{ type: 'tape' }] } }),
    ).toThrow(
      /wheels is not known.*devices\.disks\[0\]\.type: expected one of.*devices\.disks\[0\]\.target is missing/,
    );
  });

  test('has a JSON Schema in which every reference leads somewhere', () => {
    const schema = domainJsonSchema();
    const definitions = schema['$defs'] as Record<string, unknown>;
    const references = [...JSON.stringify(schema).matchAll(/"#\/\$defs\/([^"]+)"/g)].map(([, name]) => name ?? '');
    expect(references.length).toBeGreaterThan(100);
    expect(references.filter((name) => definitions[name] === undefined)).toEqual([]);
  });
});
