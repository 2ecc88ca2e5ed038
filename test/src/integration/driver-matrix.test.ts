/** The page docs/reference/drivers.md says what the drivers say. */
import { readFileSync } from 'node:fs';
import { needsContainers, Stack } from '@virtbus/testkit';
import { driverMatrix, driversOf, matrixPage } from '../driver-matrix';

needsContainers().test(
  'the driver matrix is what running drivers tell of themselves',
  async () => {
    const stack = await Stack.start({ hosts: ['q'], lxcHosts: ['c'], testHosts: ['t'] });
    try {
      expect(readFileSync(matrixPage, 'utf8')).toBe(driverMatrix(await driversOf(stack)));
    } finally {
      await stack[Symbol.asyncDispose]();
    }
  },
  60_000,
);
