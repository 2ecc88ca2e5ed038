import { VirtError } from '@virtbus/shared';
import { readXml } from './reader';

const refusal = (source: string): VirtError => {
  try {
    readXml(source);
  } catch (error) {
    if (error instanceof VirtError) return error as VirtError;
    throw error;
  }
  throw new Error('accepted');
};

describe('the XML reader', () => {
  test('knows the line of each element', () => {
    const root = readXml('<a>\n  <b/>\n  <c\n    d="1"/>\n</a>');
    expect(root.children.map(({ name, line }) => [name, line])).toEqual([
      ['b', 2],
      ['c', 3],
    ]);
  });

  test.each([
    ['billion laughs', '<!DOCTYPE a [<!ENTITY l "lol"><!ENTITY m "&l;&l;">]><a>&m;</a>', /DOCTYPE is not allowed/],
    ['an external entity', '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', /DOCTYPE is not allowed/],
    ['an entity without a DOCTYPE', '<a>&x;</a>', /undefined entity/],
    ['a depth of 10 000', '<a>'.repeat(10_000), /nested deeper than 128 levels/],
    ['10 MB', `<a>${'x'.repeat(10_000_000)}</a>`, /more than the \d+ allowed/],
    ['a hundred attributes', `<a ${Array.from({ length: 100 }, (_, i) => `a${i}='1'`).join(' ')}/>`, /64 attributes/],
    ['a hundred thousand elements', `<a>${'<b/>'.repeat(100_000)}</a>`, /more than 100000 elements/],
    ['a NUL', '<a>\n\0</a>', /line 2: a NUL character/],
    ['JSON', '{"name": "web"}', /XML is expected here, but this looks like JSON/],
    ['plain text', 'web', /XML is expected here/],
    ['nothing', ' \n', /empty/],
    ['an open end', '<a>', /unclosed tag/],
    ['two roots', '<a/><b/>', /only one root/],
  ])('refuses %s and says so', (_what, source, words) => {
    const error = refusal(source);
    expect(error.code).toBe('XML_DETAIL');
    expect(error.message).toMatch(words);
  });

  test('gives a known namespace its canonical prefix, however the document says it', () => {
    const uri = 'http://libvirt.org/schemas/domain/qemu/1.0';
    const prefixed = readXml(`<domain xmlns:q='${uri}'><q:commandline><q:arg/></q:commandline></domain>`);
    const inherited = readXml(`<domain><commandline xmlns='${uri}'><arg/></commandline></domain>`);
    for (const { children } of [prefixed, inherited]) {
      expect(children[0]?.name).toBe('qemu:commandline');
      expect(children[0]?.children[0]?.name).toBe('qemu:arg');
    }
  });
});
