/** What becomes of the guests of a drain that runs when it is asked for anew. */
import { DrainLimits, DrainOptions } from '@virtbus/shared';
import { DrainRecord, type Guest } from './record';
import { wishedAnew, type DrainWish } from './wish';

const uuid = '11111111-1111-4111-8111-111111111111';
const wish = (options: object = {}, to?: string[]): DrainWish => ({
  ...{ to, limits: DrainLimits.parse({}), options: DrainOptions.parse(options) },
});
const guest = (state: Guest['state']): Guest => ({
  ...{ uuid, name: 'web1', driver: 'qemu', epoch: 1, active: true, state },
  ...{ reasons: ['to h2: its disk is local'], failedOn: ['h2'] },
});
const running = DrainRecord.parse({
  ...{ id: 'd1', host: 'h1', cause: 'd1', state: 'running', begun: 1, stopping: false, copy: 'a', started: 1 },
  ...{ ...wish(), guests: [guest('stays'), guest('waiting'), guest('moving')] },
});
const fresh = { state: 'waiting', reasons: [], failedOn: [] };

test.each([
  ['options', wish({ unsafe: true })],
  ['targets', wish({}, ['h3'])],
])('with other %s those who stayed are tried again, wherever they had failed', (_what, now) => {
  const { guests, options, to } = wishedAnew(running, now);
  expect({ options, to }).toEqual({ options: now.options, to: now.to });
  expect(guests).toMatchObject([fresh, fresh, guest('moving')]);
});

test('with other limits alone who stays stays', () => {
  const limits = DrainLimits.parse({ perHost: 9 });
  expect(wishedAnew(running, { ...wish(), limits })).toMatchObject({ limits, guests: running.guests });
});
