import { formatBytes, parseBytes, parseKiB } from './sizes';
import { UsageError } from './spec';

test.each([
  ['1048576', 1_048_576],
  ['512MiB', 524_288],
  ['512m', 524_288],
  ['2GiB', 2_097_152],
  ['1G', 1_048_576],
  ['1000KB', 977],
  ['1b', 1],
])('the size %s is %d KiB', (text, kib) => expect(parseKiB(text, '<size>')).toBe(kib));

test.each(['', '0', '-1', '1.5G', '12 parsecs', 'MiB', '9'.repeat(20)])("'%s' is no size", (text) => {
  expect(() => parseKiB(text, '<size>')).toThrow(UsageError);
});

test.each([
  ['0', 0],
  ['1048576', 1_048_576],
  ['10G', 10 * 1_024 ** 3],
  ['1PiB', 1_024 ** 5],
])('the size %s is %d bytes', (text, bytes) => expect(parseBytes(text, '<size>')).toBe(bytes));

test.each(['', '-1', '1.5G', '9223372036854775808', '16E'])("'%s' is no number of bytes", (text) => {
  expect(() => parseBytes(text, '<size>')).toThrow(UsageError);
});

test.each([
  [0, '0 B'],
  [1_023, '1023 B'],
  [1_536, '1.5 KiB'],
  [134_217_728, '128 MiB'],
  [8.1e9, '7.5 GiB'],
])('%d bytes are shown as %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));
