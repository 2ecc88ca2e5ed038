import type { QemuCapabilities } from '../capabilities';
import type { Cpu } from '../elements/cpu';
import { baselineCpu, compareCpu, cpuKnowledge, cpusOfDocument, formatCpu, hostModelCpu } from '.';

const small = ['fpu', 'sse2', 'lahf-lm'];
const models = {
  Small: { vendor: 'GenuineIntel', features: small },
  'Small-v1': { vendor: 'GenuineIntel', features: [...small, 'avx'] },
  Large: { vendor: 'GenuineIntel', features: [...small, 'avx', 'aes', 'avx2'] },
  Other: { vendor: 'AuthenticAMD', features: [...small, 'svm'] },
};
const host = ['fpu', 'sse2', 'lahf-lm', 'avx', 'aes', 'invtsc'];

const capabilities: QemuCapabilities = {
  emulator: '/usr/bin/qemu-system-x86_64',
  version: 7002022,
  package: '',
  arch: 'x86_64',
  flags: new Set(),
  accelerators: {
    kvm: {
      machines: [],
      cpus: [],
      models,
      hostCpu: {
        model: 'base',
        migratability: true,
        properties: [
          ...host.map((name) => ({ name, value: true, migratable: name !== 'invtsc' })),
          { name: 'svm', value: false },
          { name: 'vendor', value: 'GenuineIntel' },
        ],
      },
    },
  },
};
const known = cpuKnowledge(capabilities, 'kvm');

const read = (xml: string): Cpu => cpusOfDocument(xml)[0]!;
const compare = (inside: string, attributes = "mode='custom' match='exact'") =>
  compareCpu(read(`<cpu ${attributes}>${inside}</cpu>`), known);
const feature = (name: string, policy = 'require'): string => `<feature policy='${policy}' name='${name}'/>`;

describe('a CPU', () => {
  test('that the host has whole and more is a subset of it', () => {
    expect(compare('<model>Small</model>')).toEqual({ result: 'superset', missing: [], unwanted: [] });
    expect(compare('', "mode='host-passthrough'")).toMatchObject({ result: 'identical' });
  });

  test('that names what the host lacks is incompatible, with what is missing in the words of documents', () => {
    expect(compare(`<model>Large</model>${feature('perfctr_core')}`)).toEqual({
      result: 'incompatible',
      missing: ['avx2', 'perfctr_core'],
      unwanted: [],
    });
  });

  test('may do without what it is not to have', () => {
    expect(compare(`<model>Large</model>${feature('avx2', 'disable')}${feature('invtsc')}`).result).toBe('identical');
    expect(compare(`<model>Small</model>${feature('svm', 'optional')}${feature('osxsave')}`).result).toBe('superset');
  });

  test('that forbids what the host has, or wants no more than it names, is incompatible', () => {
    expect(compare(`<model>Small</model>${feature('aes', 'forbid')}`)).toMatchObject({
      result: 'incompatible',
      unwanted: ['aes'],
    });
    expect(compare('<model>Small</model>', "match='strict'")).toMatchObject({
      result: 'incompatible',
      unwanted: ['aes', 'avx', 'invtsc'],
    });
  });

  test('of another vendor is incompatible, though its features are there', () => {
    const { result, reason } = compare('<model>Small</model><vendor>AMD</vendor>');
    expect([result, reason]).toEqual([
      'incompatible',
      "a CPU by AuthenticAMD is asked for, the host's is by GenuineIntel",
    ]);
    expect(compare('<model>Small</model><vendor>Intel</vendor>').result).toBe('superset');
  });

  test('of a model that nobody knows is refused', () => {
    expect(() => compare('<model>Nonesuch</model>')).toThrow(
      "unknown CPU model 'Nonesuch'; 'virtbus domcapabilities' lists",
    );
  });
});

describe('the baseline', () => {
  const baseline = (xml: string, options = {}): string => formatCpu(baselineCpu(cpusOfDocument(xml), known, options));

  test('of two CPUs is what both have, by the nearest name', () => {
    expect(
      baseline(`<cpu><model>Large</model></cpu><cpu><model>Small</model>${feature('avx')}${feature('aes')}</cpu>`),
    ).toBe(
      `<cpu mode='custom' match='exact'>
  <model fallback='forbid'>Large</model>
  <feature policy='disable' name='avx2'/>
</cpu>
`,
    );
  });

  test('names every feature, and leaves out what is tied to a host, when asked', () => {
    const one = `<cpu><model>Small</model>${feature('invtsc')}</cpu>`;
    expect(baseline(one)).toContain("<feature policy='require' name='invtsc'/>");
    const migratable = baseline(one, { migratable: true, features: true });
    expect(migratable).not.toContain('invtsc');
    expect(migratable).toContain("<feature policy='require' name='lahf_lm'/>");
  });

  test('keeps to what this host can give', () => {
    expect(baseline('<cpu><model>Large</model></cpu>')).not.toContain('feature');
    expect(baseline('<cpu><model>Large</model></cpu>', { onHost: true })).toContain(
      "<feature policy='disable' name='avx2'/>",
    );
  });

  test('of CPUs by two vendors does not exist', () => {
    expect(() => baseline('<cpu><model>Small</model></cpu><cpu><model>Other</model></cpu>')).toThrow(
      'CPU vendors do not match: GenuineIntel, AuthenticAMD',
    );
  });
});

test("a host's own CPU has a name, and what a guest would lose on its way is left out", () => {
  const cpu = hostModelCpu(known);
  expect(cpu).toMatchObject({
    mode: 'custom',
    model: { name: 'Large' },
    features: [{ name: 'avx2', policy: 'disable' }],
  });
  expect(compareCpu(cpu, known)).toMatchObject({ result: 'superset', missing: [] });
});

describe('a CPU is found', () => {
  test.each([
    ['alone', '<cpu><model>Small</model></cpu>'],
    ['in a domain', '<?xml version="1.0"?><domain><name>x</name><cpu><model>Small</model></cpu></domain>'],
    [
      "in a host's capabilities",
      `<capabilities><host><cpu><arch>x86_64</arch><model>Small</model><feature name='aes'/></cpu></host></capabilities>`,
    ],
    [
      "in a domain's capabilities",
      `<domainCapabilities><cpu><mode name='host-model' supported='yes'><model fallback='forbid'>Small</model></mode></cpu></domainCapabilities>`,
    ],
    ['among several', '<all><cpu><model>Small</model></cpu><cpu><model>Large</model></cpu></all>'],
  ])('%s', (_where, xml) => expect(read(xml).model?.name).toBe('Small'));

  test('or not, and then that is said', () => {
    expect(() => cpusOfDocument('<domain><name>x</name></domain>')).toThrow('the document has no <cpu>');
    expect(() => cpusOfDocument('')).toThrow('the document is empty');
    expect(() => cpusOfDocument('Nehalem <')).toThrow('not well formed');
  });
});

test('a QEMU that does not tell what its models are made of cannot compare', () => {
  const { kvm } = capabilities.accelerators;
  const { models: _models, ...silent } = kvm!;
  const other = { ...capabilities, accelerators: { kvm: silent } };
  expect(() => cpuKnowledge(other, 'kvm')).toThrow('does not tell what CPU models for x86_64 are made of');
});
