/** How a call that takes its time is looked after, over a party whose words are given here. */
import type { MigrationView } from '@virtbus/shared';
import { firstMind, newLedger, type Deed, type Outcome } from '@virtbus/migration-saga';
import type { Saga } from './journal';
import { watched, type Watcher } from './watch';

type Phase = MigrationView['phase'];
type Answer = Outcome<MigrationView>;

const view = (phase: Phase): MigrationView => ({ phase });
const seen = (phase: Phase): Answer => ({ view: view(phase) });
const never = new Promise<never>(() => undefined);
const saga = {} as Saga;

/** One call under watch: of the deed there is no answer until `answer`; looks find `phases`, the last of them from then on. */
class Watched {
  looks = 0;
  readonly shown: Phase[] = [];
  readonly waited: number[] = [];
  answer!: (answer: Answer) => void;
  readonly outcome: Promise<Answer>;

  constructor(
    deed: Deed,
    before: { source?: Phase; target?: Phase },
    look: (nth: number) => Answer | Promise<Answer>,
    onLook: Watcher['onLook'] = async () => undefined,
  ) {
    const answered = new Promise<Answer>((resolve) => (this.answer = resolve));
    const parties = {
      ask: async (_saga: Saga, _mind: unknown, asked: Deed): Promise<Answer> =>
        asked.do === 'look' ? look(++this.looks) : answered,
    };
    const mind = firstMind(newLedger({ postcopy: false }), view('absent'));
    if (before.source) mind.source = view(before.source);
    if (before.target) mind.target = view(before.target);
    this.outcome = watched(parties, saga, mind, deed, {
      onView: ({ phase }) => this.shown.push(phase),
      onLook: async (waitedMs) => {
        this.waited.push(waitedMs);
        return onLook(waitedMs);
      },
    });
  }
}

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

const seconds = (count: number) => jest.advanceTimersByTimeAsync(count * 1_000);
/** What the call has come to, or that it is waited for still. */
const now = (call: Watched) => Promise.race([call.outcome, Promise.resolve('waits')]);

test('an answer is the outcome, and nobody is asked beside it', async () => {
  const call = new Watched({ do: 'perform' }, { source: 'begun' }, () => never);
  call.answer(seen('performed'));
  await expect(call.outcome).resolves.toEqual(seen('performed'));
  expect(call.looks).toBe(0);
});

test('a transfer that has begun is waited for as long as it lasts, and shown at every look', async () => {
  const call = new Watched({ do: 'perform' }, { source: 'begun' }, () => seen('performing'));
  await seconds(600);
  expect(await now(call)).toBe('waits');
  expect(call.shown).toHaveLength(600);
  expect(call.waited).toHaveLength(600);
  call.answer(seen('performed'));
  await expect(call.outcome).resolves.toEqual(seen('performed'));
});

test.each<[Deed, { source?: Phase; target?: Phase }, Phase]>([
  [{ do: 'perform' }, { source: 'begun' }, 'begun'],
  [{ do: 'finish' }, { source: 'performed', target: 'prepared' }, 'prepared'],
])('a call that its side has not written down after five looks was lost: %j', async (deed, before, phase) => {
  const call = new Watched(deed, before, () => seen(phase));
  await seconds(4);
  expect(await now(call)).toBe('waits');
  await seconds(1);
  expect(await now(call)).toEqual(seen(phase));
});

describe('of a target that prepares nothing is written down:', () => {
  const prepare = (look: () => Answer) =>
    new Watched({ do: 'prepare', recover: false }, { source: 'begun', target: 'absent' }, look);

  test.each<[string, MigrationView]>([
    ['one that does is waited for', { phase: 'absent', preparing: true }],
    ['one of an older release, which does not say, has until the time-out', { phase: 'absent' }],
  ])('%s', async (_why, told) => {
    const call = prepare(() => ({ view: told }));
    await seconds(50);
    expect(await now(call)).toBe('waits');
  });

  test('one that does not after five looks was started again over it', async () => {
    const told: Answer = { view: { phase: 'absent', preparing: false } };
    const call = prepare(() => told);
    await seconds(4);
    expect(await now(call)).toBe('waits');
    await seconds(1);
    expect(await now(call)).toEqual(told);
  });
});

test('other calls are left to their own time-out', async () => {
  const call = new Watched({ do: 'begin' }, {}, () => seen('absent'));
  await seconds(50);
  expect(await now(call)).toBe('waits');
});

test('where the answer was lost but the deed was done, the look tells it', async () => {
  const call = new Watched({ do: 'perform' }, { source: 'begun' }, (nth) => seen(nth < 3 ? 'performing' : 'performed'));
  await seconds(2);
  expect(await now(call)).toBe('waits');
  await seconds(1);
  expect(await now(call)).toEqual(seen('performed'));
});

test('a host where nobody listens any more is not waited for', async () => {
  const call = new Watched({ do: 'perform' }, { source: 'begun' }, (nth) => (nth < 2 ? seen('performing') : 'away'));
  await seconds(2);
  expect(await now(call)).toBe('away');
});

test('a look that was refused says nothing of the call', async () => {
  const call = new Watched({ do: 'perform' }, { source: 'begun' }, () => ({ refused: 'busy' }));
  await seconds(20);
  expect(await now(call)).toBe('waits');
  expect(call.shown).toEqual([]);
});

test('whoever asked may decide at a look that enough was waited', async () => {
  const call = new Watched(
    { do: 'perform' },
    { source: 'begun' },
    () => seen('performing'),
    async (waitedMs) => (waitedMs >= 3_000 ? 'away' : undefined),
  );
  await seconds(2);
  expect(await now(call)).toBe('waits');
  await seconds(1);
  expect(await now(call)).toBe('away');
});
