import { MigrationOptions } from '@virtbus/shared';
import { switchLimitMs } from './switch-limit';

const limits = (options: Record<string, unknown>): number[] => {
  const read = MigrationOptions.parse(options);
  return [1, 2, 3, 4, 5, 6, 7, 100].map((pass) => switchLimitMs(read, pass));
};

test('a live guest is sent in as short a stop as it lets, and at last in the one that QEMU allows', () => {
  expect(limits({ live: true })).toEqual([10, 20, 40, 80, 160, 300, 300, 300]);
});

test('what was asked for is what is allowed, from the first pass on', () => {
  expect(new Set(limits({ live: true, downtimeMs: 50 }))).toEqual(new Set([50]));
});

test('a guest that stands still anyway is not kept waiting', () => {
  expect(new Set(limits({ live: false }))).toEqual(new Set([300]));
});
