import { VirtError } from '@virtbus/shared';
import fc from 'fast-check';
import { domain as declaration } from './elements/domain';
import { formatDomain, parseDomain } from './parse-domain';
import { fillDefaults } from './passes/prepare';
import type { Element, Field } from './schema';
import type { Value } from './schema';
import { escapeXml } from './schema/format';

/** Text that a value of this kind may have; not always one that it accepts. */
function textOf({ json, unit }: Value<unknown>): fc.Arbitrary<string> {
  if (Array.isArray(json['enum'])) return fc.constantFrom(...(json['enum'] as string[]));
  if (json['type'] === 'boolean') return fc.constantFrom('yes', 'no', 'on', 'off');
  if (json['type'] === 'integer') return fc.nat(unit ? 1 << 20 : 12).map(String);
  return fc.constantFrom(
    'a',
    'it\'s <b> & "c"',
    '0-3',
    '52:54:00:00:00:01',
    'c7a5fdbd-edaf-9455-926a-d65c16db1809',
    '1.2',
  );
}

/** A document that the declaration allows, as text: some of its attributes, some of its children, a few levels deep. */
function documentOf(declared: Element, depth: number, name = declared.name): fc.Arbitrary<string> {
  if (declared.variants) {
    const { tag, of } = declared.variants;
    return fc
      .constantFrom(...Object.keys(of))
      .chain((word) =>
        documentOf({ ...(of[word] as Element), fields: omit((of[word] as Element).fields, tag) }, depth, name).map(
          (xml) => xml.replace(`<${name}`, `<${name} ${tag}='${word}'`),
        ),
      );
  }
  const entries = Object.entries(declared.fields);
  const attributes = entries.filter(([, { kind }]) => kind === 'attribute');
  const children = entries.filter(([, { kind }]) => kind !== 'attribute' && kind !== 'text' && kind !== 'verbatim');
  const own = declared.fields['kib'] ?? entries.find(([, { kind }]) => kind === 'text')?.[1];
  const some = <T>(list: readonly (readonly [string, Field])[], each: (key: string, field: Field) => fc.Arbitrary<T>) =>
    fc
      .subarray(
        list.map((entry) => entry),
        { maxLength: Math.min(4, list.length) },
      )
      .map((chosen) => [...new Map([...list.filter(([, field]) => field.options.required), ...chosen])])
      .chain((chosen) => fc.tuple(...chosen.map(([key, field]) => each(key, field))));
  return fc
    .tuple(
      some(attributes, (key, field) =>
        textOf(field.value as Value<unknown>).map((text) => ` ${field.options.name ?? key}='${escapeXml(text)}'`),
      ),
      depth === 0 ? fc.constant([]) : some(children, (key, field) => childOf(key, field, depth - 1)),
      own ? textOf(own.value as Value<unknown>) : fc.constant(''),
    )
    .map(([head, body, text]) => `<${name}${[...new Set(head)].join('')}>${escapeXml(text)}${body.join('')}</${name}>`);
}

const omit = (fields: Element['fields'], key: string): Element['fields'] =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => name !== key));

function childOf(key: string, field: Field, depth: number): fc.Arbitrary<string> {
  const name = field.options.name ?? field.element?.().name ?? key;
  if (field.kind === 'flag') return fc.constant(`<${name}/>`);
  if (field.element) return documentOf(field.element(), depth, name);
  return textOf(field.value as Value<unknown>).map((text) => `<${name}>${escapeXml(text)}</${name}>`);
}

/** Parses, or tells that the document was refused as it should be: with a typed error. */
function accepted(xml: string): ReturnType<typeof parseDomain> | undefined {
  try {
    return parseDomain(xml, { mode: 'live', unknown: 'warn' });
  } catch (error) {
    if (error instanceof VirtError) return undefined;
    throw error;
  }
}

const guest = `<domain type='kvm' id='3'><name>web</name><memory unit='MiB'>512</memory><vcpu current='1'>2</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type><boot dev='hd'/></os><cpu mode='host-passthrough'/>
<metadata><app:a xmlns:app="urn:a">text</app:a></metadata>
<devices><disk type='network'><source protocol='nbd' name='x'><host name='h' port='10809'/></source><backingStore/>
<target dev='vda' bus='virtio'/><address type='pci' bus='0x01' slot='0x00'/></disk>
<interface type='bridge'><source bridge='br0'/><mac address='52:54:00:00:00:01'/></interface>
<graphics type='vnc' port='-1' autoport='yes'/></devices></domain>`;

/** Writes what was read, reads and writes that: no different and nothing unknown. False when the first was refused. */
function settles(xml: string): boolean {
  const first = accepted(xml);
  if (!first) return false;
  const written = formatDomain(first.domain, { view: 'live', secrets: true });
  const again = accepted(written);
  expect(again?.warnings).toEqual([]);
  expect(again && formatDomain(again.domain, { view: 'live', secrets: true })).toBe(written);
  return true;
}

const families = Object.entries((declaration.fields['devices'] as Field).element?.().fields ?? {}).map(
  ([key, field]) => [field.options.name ?? field.element?.().name ?? key, key, field] as const,
);

describe('documents in general', () => {
  test('what was written is read as the same and written as the same', () => {
    let taken = 0;
    fc.assert(
      fc.property(documentOf(declaration, 4), (xml) => {
        if (settles(xml)) taken += 1;
      }),
      { numRuns: 1500 },
    );
    expect(taken).toBeGreaterThan(100);
  });

  test.each(families)('a <%s>, whatever is allowed inside, is read and written as the same', (_name, key, field) => {
    let taken = 0;
    fc.assert(
      fc.property(fc.array(childOf(key, field, 3), { minLength: 1, maxLength: 2 }), (devices) => {
        const guest = `<domain type='kvm' id='3'><name>web</name><memory>65536</memory><os><type>hvm</type></os>`;
        if (settles(`${guest}<devices>${devices.join('')}</devices></domain>`)) taken += 1;
      }),
      { numRuns: 100, seed: 20_260_101 }, // of some families most documents are refused: the same ones each time
    );
    expect(taken).toBeGreaterThan(0);
  });

  test('no damage to a document makes the parser throw anything but a typed error', () => {
    const damage = fc.record({ at: fc.nat(guest.length), length: fc.nat(12), by: fc.string({ maxLength: 6 }) });
    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), (all) => {
        let xml = guest;
        for (const { at, length, by } of all) xml = xml.slice(0, at) + by + xml.slice(at + length);
        const parsed = accepted(xml);
        try {
          if (parsed) fillDefaults(parsed.domain, undefined);
        } catch (error) {
          expect(error).toBeInstanceOf(VirtError);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
