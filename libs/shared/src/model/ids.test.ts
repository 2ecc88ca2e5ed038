import fc from 'fast-check';
import { canonicalUuid, decodeToken, encodeToken, HostName, Uuid } from './ids';

const uuid = 'c7a5fdbd-edaf-9455-926a-d65c16db1809';

describe('a name as a token', () => {
  /** Every string that UTF-8 can carry: no lone surrogates. */
  const name = fc.string({ unit: 'binary' });

  test('comes back as it was', () => {
    fc.assert(fc.property(name, (text) => decodeToken(encodeToken(text)) === text));
  });

  test('is shared by no other name', () => {
    fc.assert(fc.property(name, name, (a, b) => a === b || encodeToken(a) !== encodeToken(b)));
  });

  test('has nothing in it that a subject or a key could take for its own', () => {
    fc.assert(fc.property(name, (text) => /^[A-Za-z0-9_=-]*$/.test(encodeToken(text))));
  });

  test.each([
    ['web1', 'web1'],
    ['a.b', 'a=2Eb'],
    ['*', '=2A'],
    ['>', '=3E'],
    ['=2A', '=3D2A'],
    ['../etc', '=2E=2E=2Fetc'],
    ['Zürich', 'Z=C3=BCrich'],
    ['a b', 'a=20b'],
  ])('%s is %s', (text, token) => {
    expect(encodeToken(text)).toBe(token);
    expect(decodeToken(token)).toBe(text);
  });

  test.each(['100=', '=G1', '=', 'a=b=c', 'ü'])('that was never encoded (%s) comes back as it is', (token) => {
    expect(decodeToken(token)).toBe(token);
  });
});

describe('a uuid', () => {
  test.each([uuid, uuid.toUpperCase(), uuid.replaceAll('-', ''), uuid.replace('-', '')])('%s is accepted', (text) => {
    expect(canonicalUuid(text)).toBe(uuid);
    expect(Uuid.parse(text)).toBe(uuid);
  });

  test.each(['', 'web1', uuid.slice(1), `${uuid}0`, `${uuid} `, uuid.replace('c', 'g')])('%j is refused', (text) => {
    expect(canonicalUuid(text)).toBeUndefined();
    expect(Uuid.safeParse(text).success).toBe(false);
  });
});

test.each(['', 'a.b', '*', '>', 'h 1', '-h', 'ü', 'x'.repeat(64)])('%j is no name for a host', (name) => {
  expect(HostName.safeParse(name).success).toBe(false);
});
