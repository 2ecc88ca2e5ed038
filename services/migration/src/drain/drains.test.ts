/** What a copy of the service does about drains that another has left. */
import { DrainLimits, DrainOptions, type DrainEvent } from '@virtbus/shared';
import { Drains, type DrainParts } from './drains';
import { DrainRecord, type DrainEntry } from './record';

const drained = DrainRecord.parse({
  ...{
    id: 'd1',
    host: 'h1',
    cause: 'c1',
    state: 'drained',
    begun: 0,
    stopping: false,
    copy: 'gone',
    started: 1,
    ended: 2,
  },
  ...{ limits: DrainLimits.parse({}), options: DrainOptions.parse({}), guests: [] },
});

class Fleet {
  readonly told: DrainEvent[] = [];
  /** Whether the stream has taken what was told. */
  published = Promise.resolve();
  private readonly written: DrainRecord[] = [];
  private readonly drains: Drains;

  constructor(private entry: DrainEntry) {
    const journal: Partial<DrainParts['journal']> = {
      all: async () => [this.entry],
      get: async () => this.entry,
      write: async ({ key, revision }, value) => {
        this.written.push(value);
        return (this.entry = { key, value, revision: revision + 1 });
      },
    };
    const parts = {
      ...{ journal, copies: { own: 'mine', isThere: async () => false }, patienceMs: 1_000 },
      story: { tell: (event: DrainEvent) => void this.told.push(event), told: () => this.published },
      log: { info: () => undefined, warn: () => undefined, debug: () => undefined },
    };
    this.drains = new Drains(parts as unknown as DrainParts);
  }

  get record(): DrainRecord {
    return this.entry.value;
  }

  async look(): Promise<void> {
    await this.drains.begin();
    await new Promise((resolve) => setImmediate(resolve));
  }

  [Symbol.dispose](): void {
    this.drains.stop();
  }
}

const entryOf = (value: DrainRecord): DrainEntry => ({ key: 'h1', value, revision: 1 });

test('the end of a drain that a copy has written down and not told is told by the next one, under the same id', async () => {
  using fleet = new Fleet(entryOf({ ...drained, untold: true }));
  await fleet.look();
  expect(fleet.told).toMatchObject([{ id: 'd1.ended', type: 'ended', state: 'drained', drain: 'd1', commandId: 'c1' }]);
  expect(fleet.record).toEqual({ ...drained, copy: 'mine' });
});

test('until the stream has it, it is not written down as told', async () => {
  using fleet = new Fleet(entryOf({ ...drained, untold: true }));
  fleet.published = new Promise(() => undefined);
  await fleet.look();
  expect(fleet.told).toHaveLength(1);
  expect(fleet.record.untold).toBe(true);
});

test("one whose end was told is nobody's any more", async () => {
  using fleet = new Fleet(entryOf(drained));
  await fleet.look();
  expect(fleet.told).toEqual([]);
  expect(fleet.record).toEqual(drained);
});
