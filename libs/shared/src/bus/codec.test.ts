import fc from 'fast-check';
import { isVirtError } from '../errors';
import { decode, encode, formatOf } from './codec';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const refusal = (body: Uint8Array): string => {
  try {
    decode(body);
  } catch (error) {
    if (isVirtError(error, 'INVALID_ARG')) return error.message;
    throw error;
  }
  throw new Error('was accepted');
};

describe('a body', () => {
  test('in either format comes back as it was', () => {
    const value = fc.dictionary(
      fc.string({ minLength: 1 }).filter((key) => key !== '__proto__'),
      fc.oneof(fc.string({ unit: 'grapheme' }), fc.integer(), fc.boolean(), fc.constant(null), fc.array(fc.string())),
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(value, fc.constantFrom('json' as const, 'msgpack' as const), (sent, format) => {
        const body = encode(sent, format);
        expect(formatOf(body)).toBe(format);
        expect(decode(body)).toEqual(sent);
      }),
    );
  });

  test('carries sizes beyond 2^32 as numbers', () => {
    expect(decode(encode({ bytes: 2 ** 52 }, 'msgpack'))).toEqual({ bytes: 2 ** 52 });
  });

  test('with space before it is JSON still', () => {
    expect(decode(bytes(' \r\n\t{"a": 1}'))).toEqual({ a: 1 });
  });

  test('that is empty is an empty object, and so is nothing at all', () => {
    expect(decode(new Uint8Array())).toEqual({});
    expect(decode(encode(undefined, 'json'))).toEqual({});
    expect(decode(encode(null, 'msgpack'))).toEqual({});
  });

  test('of XML says where XML goes', () => {
    expect(refusal(bytes('<domain type="qemu"/>'))).toMatch(/XML goes inside a JSON object: \{"xml"/);
  });

  test.each(['{', '{"a":}', '[1,', '"open', '{} trailing'])('%s says that it is no JSON', (text) => {
    expect(refusal(bytes(text))).toMatch(/^invalid argument: the body is not valid json/);
  });

  test('that is not UTF-8 is refused', () => {
    expect(refusal(Uint8Array.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]))).toContain('not valid json');
  });

  test('of arbitrary bytes is refused or read, never more', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (body) => {
        try {
          decode(body);
        } catch (error) {
          expect(isVirtError(error, 'INVALID_ARG')).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('cannot change what objects inherit', () => {
    for (const body of [
      bytes('{"__proto__": {"admin": true}, "constructor": {"prototype": {"admin": true}}}'),
      // {"__proto__": {"admin": true}} in msgpack
      Uint8Array.from([0x81, 0xa9, ...bytes('__proto__'), 0x81, 0xa5, ...bytes('admin'), 0xc3]),
    ]) {
      const read = { ...(decode(body) as object) };
      expect(({} as { admin?: boolean }).admin).toBeUndefined();
      expect((read as { admin?: boolean }).admin).toBeUndefined();
    }
  });

  test('that promises more than it has costs nothing: no array is made for elements that are not there', () => {
    // Array headers for 2^25 elements each, nested a hundred deep, and nothing inside.
    const lies = Uint8Array.from(Array.from({ length: 100 }, () => [0xdd, 0x02, 0, 0, 0]).flat());
    const before = process.memoryUsage().rss;
    expect(refusal(lies)).toContain('not valid msgpack');
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
  });

  test('nested a million deep is refused, not fatal', () => {
    expect(refusal(bytes('['.repeat(1_000_000)))).toContain('not valid json');
    expect(refusal(new Uint8Array(1_000_000).fill(0x91))).toContain('not valid msgpack');
  });

  test('of 20 MiB comes back whole', () => {
    const xml = 'x'.repeat(20 * 1024 * 1024);
    expect((decode(encode({ xml }, 'msgpack')) as { xml: string }).xml.length).toBe(xml.length);
  });
});
