/** What becomes of guests of a host that is emptied, from what is seen of them and of their migrations. */
import type { DomainSummary, MigrationState } from '@virtbus/shared';
import type { Saga } from '../journal';
import { follow, type Seen } from './guests';
import type { Guest } from './record';

const uuid = '11111111-1111-4111-8111-111111111111';
const domain = (change: Partial<DomainSummary> = {}): DomainSummary =>
  ({ uuid, name: 'web1', driver: 'qemu', epoch: 3, state: 'running', ...change }) as DomainSummary;
const waiting: Guest = {
  ...{ uuid, name: 'web1', driver: 'qemu', epoch: 3, active: true },
  ...{ state: 'waiting', reasons: [], failedOn: [] },
};
const moving: Guest = { ...waiting, state: 'moving', target: 'h2', migration: 'm1' };

function seen(here: DomainSummary[], settled?: Exclude<MigrationState, 'running'>, more: Partial<Seen> = {}): Seen {
  const givenUp = settled === 'completed' ? undefined : { as: settled, reason: 'no port is free' };
  const saga = { id: 'm1', target: { host: 'h2' }, ledger: { settled, givenUp } } as Saga;
  return {
    here,
    silent: new Set(),
    remembered: [],
    migration: (id) => (id === 'm1' ? saga : undefined),
    takenBy: () => undefined,
    ...more,
  };
}

test('who is on the host waits, also one that came meanwhile', () => {
  expect(follow([], seen([domain()]))).toEqual([waiting]);
});

test('one whose migration ended has moved, is tried elsewhere, or stays when somebody gave it up', () => {
  expect(follow([moving], seen([domain()]))).toEqual([moving]);
  expect(follow([moving], seen([], 'completed'))).toEqual([{ ...moving, state: 'moved' }]);
  const failed = { state: 'waiting', failedOn: ['h2'], reasons: ['to h2: no port is free'] };
  expect(follow([moving], seen([domain()], 'failed'))).toMatchObject([failed]);
  const tired = { ...moving, failedOn: ['h3', 'h4'] };
  expect(follow([tired], seen([domain()], 'failed'))).toMatchObject([{ state: 'stays', failedOn: ['h3', 'h4', 'h2'] }]);
  expect(follow([moving], seen([domain()], 'cancelled'))).toMatchObject([{ state: 'stays' }]);
});

test('one that has moved is shown a moment longer, and waits again when it comes back under a later epoch', () => {
  const moved: Guest = { ...moving, state: 'moved' };
  expect(follow([moved], seen([domain()]))).toEqual([moved]);
  expect(follow([moved], seen([domain({ epoch: 5 })]))).toEqual([{ ...waiting, epoch: 5 }]);
});

test('one that left by itself is gone, one that somebody else has moved has moved', () => {
  expect(follow([waiting], seen([]))).toMatchObject([{ state: 'gone' }]);
  const takenBy = (): Saga => ({ id: 'm9', target: { host: 'h3' } }) as Saga;
  expect(follow([waiting], seen([], undefined, { takenBy }))).toMatchObject([{ state: 'moved', target: 'h3' }]);
});

test('of the guests of a driver that does not answer nothing is concluded', () => {
  expect(follow([waiting], seen([], undefined, { silent: new Set(['qemu']) }))).toEqual([waiting]);
});

test('guests of a driver that does not answer are taken from what the fleet knows, and wait', () => {
  const silent = { silent: new Set(['lxc']), remembered: [domain({ driver: 'lxc' })] };
  const container: Guest = { ...waiting, driver: 'lxc' };
  expect(follow([], seen([], undefined, silent))).toEqual([container]);
  expect(follow([container], seen([], undefined, silent))).toEqual([container]);
});

test('one that stays is looked at again when it was started or shut off', () => {
  const stays: Guest = { ...waiting, state: 'stays', reasons: ['no'] };
  expect(follow([stays], seen([domain()]))).toEqual([stays]);
  expect(follow([stays], seen([domain({ state: 'shutoff' })]))).toEqual([{ ...waiting, active: false }]);
});

test('one whose migration was lost before it had begun waits again', () => {
  expect(follow([{ ...moving, migration: 'm0' }], seen([domain()]))).toEqual([waiting]);
});
