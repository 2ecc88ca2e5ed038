import { VirtError } from '@virtbus/shared';
import { settleDoubt } from './doubt';

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

const offline = (): never => {
  throw new VirtError('HOST_OFFLINE', { host: 'h1', service: 'driver-qemu' });
};

/** @param answers of the driver, one after the other @returns whether the images were let go, and how often it was asked */
async function settled(...answers: (() => { claim: string; target?: string }[])[]): Promise<[boolean, number]> {
  let asked = 0;
  let letGo = false;
  const look = async () => ({ uses: answers[Math.min(asked++, answers.length - 1)]!() });
  const done = settleDoubt({ claim: 'c1', look, letGo: async () => void (letGo = true) });
  done.catch(() => undefined);
  await jest.advanceTimersByTimeAsync(3_600_000);
  await done;
  return [letGo, asked];
}

describe('what was prepared for a command whose answer was lost', () => {
  test('is let go when its driver does not use it', async () => {
    expect(await settled(() => [{ claim: 'c2' }])).toEqual([true, 1]);
  });

  test('stays when a disk uses it', async () => {
    expect(await settled(() => [{ claim: 'c1', target: 'vda' }])).toEqual([false, 1]);
  });

  test('is let go when the command that is being done still has come to nothing', async () => {
    const isDone = (): { claim: string }[] => [{ claim: 'c1' }];
    expect(await settled(isDone, isDone, () => [])).toEqual([true, 3]);
  });

  test('is let go as soon as the driver is back', async () => {
    expect(await settled(offline, offline, () => [])).toEqual([true, 3]);
  });

  test('stays when the driver is never back', async () => {
    await expect(settled(offline)).rejects.toMatchObject({ code: 'HOST_OFFLINE' });
  });
});
