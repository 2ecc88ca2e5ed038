/** How long a migration waits for who is away, over parties whose words are given here. */
import { MigrationOptions, type MigrationView } from '@virtbus/shared';
import { newLedger, type Deed, type Mind, type Outcome } from '@virtbus/migration-saga';
import { Drive, type DriveOptions } from './drive';
import type { Saga, SagaEntry, SagaJournal } from './journal';
import type { Parties } from './parties';

type Answer = Outcome<MigrationView>;

const patienceMs = 60_000;
const options = MigrationOptions.parse({ live: true });
const saga: Saga = {
  ...{ id: 'm1', domain: '11111111-1111-4111-8111-111111111111', name: 'web1', epoch: 1, copy: 'a', started: 0 },
  ...{ source: { host: 'h1', driver: 'qemu' }, target: { host: 'h2', driver: 'qemu' }, options },
  ledger: {
    ...newLedger(options),
    promised: 2,
    sourceAsked: true,
    targetAsked: true,
    performAsked: true,
    step: 'perform',
  },
};
const log = { info: () => undefined, warn: () => undefined } as unknown as DriveOptions['log'];

/** One whose guest is being sent, or is to be, driven until it ends, or the test. */
class Driven {
  /** What the source says to a look. */
  source: () => Answer | Promise<Answer> = () => ({ view: { phase: 'performing' } });
  confirm: Answer = { view: { phase: 'confirmed' } };
  private entry: SagaEntry = { key: saga.id, value: saga, revision: 1 };
  private readonly drive: Drive;

  /** What the target says to a look. */
  target: MigrationView;

  /** @param call what `prepare` or `perform` comes to */
  constructor(
    private readonly call: (deed: Deed) => Answer | Promise<Answer> = () => new Promise(() => undefined),
    target: 'absent' | 'prepared' | MigrationView = 'prepared',
    ledger: Partial<Saga['ledger']> = {},
  ) {
    this.target = typeof target === 'string' ? { phase: target } : target;
    this.entry.value = { ...saga, ledger: { ...saga.ledger, ...ledger } };
    const journal: Pick<SagaJournal, 'write'> = {
      write: async ({ key, revision }, value) => (this.entry = { key, value, revision: revision + 1 }),
    };
    const parties: Pick<Parties, 'ask'> = { ask: async (_saga, _mind, deed) => this.ask(deed) };
    const first: Mind<MigrationView> = {
      ...{ ledger: this.entry.value.ledger, registryAway: false },
      ...{ source: { phase: target === 'absent' ? 'begun' : 'performing' }, target: this.target },
    };
    const driven = { copy: 'a', patienceMs, onWritten: () => undefined, told: async () => undefined, log };
    this.drive = new Drive(this.entry, journal as SagaJournal, parties as Parties, driven, first);
    void this.drive.run();
  }

  get reason(): string | undefined {
    return this.entry.value.ledger.givenUp?.reason;
  }

  get waitsFor(): string | undefined {
    return this.entry.value.waitsFor;
  }

  stop(): void {
    this.drive.stop();
  }

  private ask(deed: Deed): Answer | Promise<Answer> {
    if (deed.do === 'look') return deed.at === 'source' ? this.source() : { view: this.target };
    if (deed.do === 'prepare' || deed.do === 'perform') return this.call(deed);
    if (deed.do === 'confirm') return this.confirm;
    return deed.do === 'release' ? { epoch: 3 } : { view: { phase: 'undone' } };
  }
}

let driven: Driven;
beforeEach(() => jest.useFakeTimers());
afterEach(() => {
  driven.stop();
  jest.useRealTimers();
});

const seconds = (count: number) => jest.advanceTimersByTimeAsync(count * 1_000);
const performing = (): Answer => ({ view: { phase: 'performing' } });

test('who is away for longer than patience lasts is the end of the way there', async () => {
  driven = new Driven();
  driven.source = () => 'away';
  await seconds(patienceMs / 1_000 - 10);
  expect(driven.reason).toBeUndefined();
  await seconds(30);
  expect(driven.reason).toBe('source was away for more than 60000 ms');
});

test('two short absences of one side, further apart than patience lasts, are no long one', async () => {
  driven = new Driven();
  for (let blip = 0; blip < 3; blip++) {
    driven.source = () => 'away';
    await seconds(5);
    driven.source = performing;
    await seconds(2 * (patienceMs / 1_000));
  }
  expect(driven.reason).toBeUndefined();
});

test('a call that takes longer than it may, again and again, is no absence of who answers every look', async () => {
  const hour = 3_600_000;
  driven = new Driven(() => new Promise((resolve) => setTimeout(() => resolve('away'), hour)));
  await seconds((3 * hour) / 1_000);
  expect(driven.reason).toBeUndefined();
});

test('a registry that does not tell what a side is given is the one that is away, though both sides answer', async () => {
  driven = new Driven(() => 'registry-away', 'absent');
  await seconds(patienceMs / 1_000 + 30);
  expect(driven.reason).toBe('registry was away for more than 60000 ms');
});

test('a step that is refused and has to come is asked less and less often, and it is told why; once it is taken that is over', async () => {
  let refused: string | undefined = 'the target did not answer';
  const asked: number[] = [];
  const resume = (deed: Deed): Answer => {
    if (deed.do === 'prepare') return { view: { phase: 'finished', memory: 'awaiting' } };
    asked.push(Date.now());
    if (refused !== undefined) return { refused };
    driven.target = { phase: 'finished', memory: 'arriving' };
    return { view: { phase: 'performed', postcopy: true } };
  };
  driven = new Driven(resume, { phase: 'finished', memory: 'stranded' }, { postcopy: true, committed: true });
  driven.source = () => ({ view: { phase: 'performed', postcopy: true } });
  await seconds(300);
  expect(driven.waitsFor).toBe(refused);
  // Some ten seconds apart, after the first few.
  expect(asked.length).toBeGreaterThan(20);
  expect(asked.length).toBeLessThan(50);
  refused = undefined;
  await seconds(30);
  expect(driven.waitsFor).toBeUndefined();
});

test('of who does not answer for long that is told', async () => {
  driven = new Driven(undefined, { phase: 'finished' }, { committed: true, settled: 'completed', owes: 'source' });
  driven.confirm = 'away';
  await seconds(5);
  expect(driven.waitsFor).toBeUndefined();
  await seconds(60);
  expect(driven.waitsFor).toBe("nobody answers on host 'h1'");
});
