import { cpuset } from './cpuset';
import { hex, int, mac, prettyBytes, unitScale, uuid } from './value';

describe('values', () => {
  test.each([
    ['k', 1024],
    ['KiB', 1024],
    ['KB', 1000],
    ['b', 1],
    ['bytes', 1],
    ['g', 1024 ** 3],
    ['TiB', 1024 ** 4],
    ['furlong', undefined],
    ['KBB', undefined],
  ])('a unit %s is %s bytes', (unit, scale) => expect(unitScale(unit)).toBe(scale));

  test('a set of CPUs is written in its shortest form', () => {
    expect(cpuset.parse('0-3,^2, 8,9,10')).toBe('0-1,3,8-10');
    expect(cpuset.parse('3-1')).toBeUndefined();
    expect(cpuset.parse('aaa')).toBeUndefined();
    expect(cpuset.parse('0-99999')).toBeUndefined();
  });

  test('numbers are read in decimal, hexadecimal and octal, and kept in their range', () => {
    expect(hex(2).parse('0x1f')).toBe(31);
    expect(hex(2).format(31)).toBe('0x1f');
    expect(int({ min: 0, max: 255 }).parse('017')).toBe(15);
    expect(int({ min: 0, max: 255 }).parse('256')).toBeUndefined();
    expect(int().parse('1e3')).toBeUndefined();
  });

  test('identifiers have one spelling', () => {
    expect(mac.parse('52:54:0:AB:cd:1')).toBe('52:54:00:ab:cd:01');
    expect(uuid.parse('C7A5FDBDEDAF9455926AD65C16DB1809')).toBe('c7a5fdbd-edaf-9455-926a-d65c16db1809');
    expect(uuid.parse('c7a5fdbd')).toBeUndefined();
  });

  test('a pretty size has the largest unit that divides it', () => {
    expect(prettyBytes.unit?.write?.(48 * 1024 ** 2)).toEqual([48, 'MiB']);
    expect(prettyBytes.unit?.write?.(1500)).toEqual([1500, 'bytes']);
  });
});
