import { affectOf } from './affect';
import { UsageError } from './spec';

const none = { live: false, config: false, current: false, persistent: false };
const runs = async (): Promise<boolean> => true;
const rests = async (): Promise<boolean> => false;

test.each([
  [{}, runs, 'current'],
  [{ current: true }, runs, 'current'],
  [{ live: true }, runs, 'live'],
  [{ config: true }, runs, 'config'],
  [{ live: true, config: true }, runs, 'both'],
  [{ persistent: true }, runs, 'both'],
  [{ persistent: true }, rests, 'config'],
  [{ persistent: true, live: true }, rests, 'both'],
])('%j changes', async (given, active, expected) => {
  expect(await affectOf({ ...none, ...given }, active)).toBe(expected);
});

test.each([{ live: true }, { config: true }, { persistent: true }])(
  '--current and %j exclude one another',
  async (given) => {
    await expect(affectOf({ ...none, current: true, ...given }, runs)).rejects.toThrow(UsageError);
  },
);
