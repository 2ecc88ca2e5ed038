/** A client that never pauses: it suspends and resumes one domain in turns, and keeps what was acknowledged and what failed. */
import { eventFilter, resumeDomain, suspendDomain, type DomainEvent } from '@virtbus/shared';
import { lastSequence, newId, tail, type Bus } from '@virtbus/shared/bus';

type Turn = typeof suspendDomain | typeof resumeDomain;

export class SteadyClient implements AsyncDisposable {
  /** Ids of the commands that were answered, in order, with what they are to have caused. */
  readonly acknowledged: { id: string; type: 'suspended' | 'resumed' }[] = [];
  readonly failures: string[] = [];
  private stopping = false;
  private ended: Promise<void> = Promise.resolve();

  private constructor(
    private readonly bus: Bus,
    private readonly uuid: string,
    private readonly from: number,
    private readonly ask: (turn: Turn, id: string) => Promise<unknown>,
  ) {}

  /** The domain runs. Afterwards, too. */
  static async start(bus: Bus, uuid: string, ask: (turn: Turn, id: string) => Promise<unknown>): Promise<SteadyClient> {
    const client = new SteadyClient(bus, uuid, await lastSequence(bus), ask);
    client.ended = client.run();
    return client;
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.ended;
  }

  [Symbol.asyncDispose] = (): Promise<void> => this.stop();

  /** What the log tells of this domain since the client began, oldest first. */
  async told(): Promise<DomainEvent[]> {
    const events: DomainEvent[] = [];
    const filter = eventFilter({ uuid: this.uuid, class: 'lifecycle' });
    for await (const { event } of tail(this.bus, { filter, since: { sequence: this.from + 1 }, once: true }))
      events.push(event);
    return events;
  }

  private async run(): Promise<void> {
    for (let suspended = false; !this.stopping || suspended;) {
      const id = newId();
      try {
        await this.ask(suspended ? resumeDomain : suspendDomain, id);
        suspended = !suspended;
        this.acknowledged.push({ id, type: suspended ? 'suspended' : 'resumed' });
      } catch (error) {
        this.failures.push((error as Error).message);
        if (this.stopping || this.failures.length > 20) return;
      }
    }
  }
}
