import { VirtError } from '@virtbus/shared';
import { measured } from './measured';

const failing = (detail: string, times: number) => {
  const tries = { made: 0 };
  const make = async (): Promise<void> => {
    tries.made++;
    if (tries.made <= times) throw new VirtError('OPERATION_FAILED', { detail });
  };
  return { tries, make };
};
const unmeasured = 'qemu-img: qemu-img: /v: Unable to get accurate CPU usage';

test('what could not be measured is tried again', async () => {
  const { tries, make } = failing(unmeasured, 2);
  await measured(make);
  expect(tries.made).toBe(3);
});

test('what cannot be measured at all fails with the words of the program', async () => {
  const { tries, make } = failing(unmeasured, 100);
  await expect(measured(make)).rejects.toThrow(unmeasured);
  expect(tries.made).toBe(5);
});

test('any other failure is told at once', async () => {
  const { tries, make } = failing('qemu-img: no space left on device', 100);
  await expect(measured(make)).rejects.toThrow('no space left');
  expect(tries.made).toBe(1);
});
