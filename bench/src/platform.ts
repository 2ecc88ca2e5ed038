/** Our side: a whole virtbus as real processes, one connection that commands and another that subscribes. */
import {
  defineDomain,
  destroyDomain,
  eventFilter,
  resumeDomain,
  startDomain,
  suspendDomain,
  undefineDomain,
  type DomainEvent,
} from '@virtbus/shared';
import { call, decode, tail, type Bus } from '@virtbus/shared/bus';
import { findProgram, Stack, type TemporaryFolder } from '@virtbus/testkit';
import { Arrivals } from './arrivals';
import { type CleanUp } from './cleanup';
import { MonitoredEmulator } from './peers/monitored-emulator';

const changes = {
  start: { contract: startDomain, event: 'started' },
  suspend: { contract: suspendDomain, event: 'suspended' },
  resume: { contract: resumeDomain, event: 'resumed' },
  destroy: { contract: destroyDomain, event: 'stopped' },
} as const;

export type Change = keyof typeof changes;

/** Of one command, in milliseconds since it was published; `at` and `replayedAt` are moments of `performance.now()`. */
export interface Timing {
  reply: number;
  /** Until its event was at a plain subscriber. */
  event: number;
  at: number;
  /** Until it was read from the stream, where it can be replayed from. */
  replayed: number;
  replayedAt: number;
}

export class Platform {
  private readonly events = new Arrivals();
  private readonly replayable = new Arrivals();

  private constructor(
    readonly stack: Stack,
    readonly bus: Bus,
    readonly monitored: MonitoredEmulator,
  ) {}

  static async start(folder: TemporaryFolder, cleanUp: CleanUp): Promise<Platform> {
    const emulator = findProgram('qemu-system-x86_64');
    if (!emulator) throw new Error('qemu-system-x86_64 is not installed; run: tools/bootstrap.sh --for test');
    const monitored = MonitoredEmulator.make(folder.file('ours'), emulator);
    const starting = Stack.start({ env: { VIRTBUS_QEMU_EMULATORS: `${emulator},${monitored.path}` } });
    cleanUp.add('virtbus', async () => (await starting.catch(() => undefined))?.[Symbol.asyncDispose]());
    const stack = await starting;
    const platform = new Platform(stack, await stack.connect(), monitored);
    await platform.subscribe(cleanUp);
    return platform;
  }

  /** Defines a domain and returns its uuid. */
  async define(xml: string): Promise<string> {
    return (await call(this.bus, defineDomain, { xml })).domain.uuid;
  }

  async undefine(uuid: string): Promise<void> {
    await call(this.bus, undefineDomain, {}, { target: uuid });
  }

  /** Gives a command and waits for its answer and for its event at both subscribers. */
  async change(change: Change, uuid: string): Promise<Timing> {
    const { contract, event } = changes[change];
    const arrivals = Promise.all([this.events.next(uuid, event), this.replayable.next(uuid, event)]);
    arrivals.catch(() => undefined); // told below, unless the command itself fails
    const began = performance.now();
    await call(this.bus, contract, {}, { target: uuid });
    const reply = performance.now() - began;
    const [at, replayedAt] = await arrivals;
    return { reply, event: at - began, at, replayed: replayedAt - began, replayedAt };
  }

  /** When the next block job of a guest is ready to be pivoted; ask before it begins. */
  ready(uuid: string): Promise<number> {
    return this.events.next(uuid, 'ready');
  }

  private async subscribe(cleanUp: CleanUp): Promise<void> {
    const { nc } = await this.stack.connect('reader');
    for (const kind of ['lifecycle', 'block-job'] as const) {
      nc.subscribe(eventFilter({ class: kind }), {
        callback: (_error, message) => this.events.take(decode(message.data) as DomainEvent),
      });
    }
    await nc.flush();
    const stop = new AbortController();
    cleanUp.add('the subscription', () => stop.abort());
    void this.follow(await this.stack.connect('reader'), stop.signal);
    await this.untilFollowed();
  }

  private async follow(bus: Bus, signal: AbortSignal): Promise<void> {
    const filter = eventFilter({ class: 'lifecycle' });
    for await (const { event } of tail(bus, { filter, since: 'all', signal })) this.replayable.take(event);
  }

  /** A domain is defined until both subscribers have told of it: from then on nothing is missed. */
  private async untilFollowed(): Promise<void> {
    const xml = "<domain type='qemu'><name>first</name><memory>32768</memory><os><type>hvm</type></os></domain>";
    const uuid = await this.define(xml);
    const told = Promise.all([this.events.next(uuid, 'undefined'), this.replayable.next(uuid, 'undefined')]);
    await this.undefine(uuid);
    await told;
  }
}
