import { domainToJson, parseDomain } from '@virtbus/domain-xml';
import { canonicalUuid } from '@virtbus/shared';
import { checkName, readDefinition, uuidFrom } from './definition';

const xml = (name: string, rest = ''): string =>
  `<domain type='kvm'><name>${name}</name>${rest}<memory unit='GiB'>2</memory><vcpu>1</vcpu>` +
  `<os><type arch='aarch64' machine='virt'>hvm</type></os></domain>`;

test('what placement needs is read, and the document stays as it was given', () => {
  const definition = readDefinition({ xml: xml('web') }, 'command-1');
  expect(definition).toMatchObject({
    name: 'web',
    virtType: 'kvm',
    arch: 'aarch64',
    memoryKiB: 2_097_152,
    derived: true,
  });
  expect(definition.xml).toBe(xml('web'));
});

test('the same command names the same domain, another command another', () => {
  expect(uuidFrom('a')).toBe(uuidFrom('a'));
  expect(uuidFrom('a')).not.toBe(uuidFrom('b'));
  expect(uuidFrom('a')).toBe(canonicalUuid(uuidFrom('a')));
  expect(uuidFrom('a')).toMatch(/^.{14}5.{4}[89ab]/);
});

test('a uuid that is given is kept', () => {
  const uuid = '6f1d9a52-1a51-4c1e-9d3b-2c9c6c1f0a77';
  expect(readDefinition({ xml: xml('web', `<uuid>${uuid}</uuid>`) }, 'c')).toMatchObject({ uuid, derived: false });
});

test.each([
  ['', 'must not be empty'],
  [' ', 'must not be empty'],
  ['..', 'means a folder'],
  ['a/b', "cannot contain '/'"],
  ['a\u0000b', 'cannot contain newlines or other control characters'],
  ['a\nb', 'cannot contain newlines or other control characters'],
  ['x'.repeat(201), 'has 201 bytes, at most 200 are allowed'],
])('the name %j is refused', (name, why) => {
  expect(() => checkName(name)).toThrow(why);
});

test.each(['web', 'a,b', 'Größe 1.0 *>', '.hidden', 'x'.repeat(200)])('the name %j is fine', (name) => {
  expect(() => checkName(name)).not.toThrow();
});

test('a document as JSON is the same definition', () => {
  const { domain } = parseDomain(xml('web'), { mode: 'inactive' });
  const document = domainToJson(domain, { view: 'inactive' });
  const { xml: written, ...definition } = readDefinition({ document }, 'command-1');
  const { xml: given, ...same } = readDefinition({ xml: xml('web') }, 'command-1');
  expect(definition).toEqual(same);
  expect(given).toBe(xml('web'));
  expect(written).toContain(`<uuid>${definition.uuid}</uuid>`);
  expect(() => readDefinition({ document: { name: 7 } }, 'c')).toThrow('invalid argument');
});

test('what nobody knows is warned of by line, and refused when the document is to be valid', () => {
  const odd = xml('web', '\n<wheel/>');
  expect(readDefinition({ xml: odd }, 'c').warnings).toEqual([
    'line 2: element <wheel> inside <domain> is not supported, so it has no effect',
  ]);
  expect(() => readDefinition({ xml: odd, validate: true }, 'c')).toThrow(
    'XML document failed to validate against schema: line 2: element <wheel> inside <domain> is not supported',
  );
});

test('exactly one form of the document is wanted', () => {
  expect(() => readDefinition({}, 'c')).toThrow('either as `xml` or as `document`');
  expect(() => readDefinition({ xml: xml('a'), document: {} }, 'c')).toThrow('either as `xml` or as `document`');
});
