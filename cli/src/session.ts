/**
 * One command's talk with the bus: connects when the first call needs it, fills in ids and deadlines from the command
 * line, and lets go at the end.
 */
import type * as Shared from '@virtbus/shared';
import type { Bus } from '@virtbus/shared/bus';
import { busModule, shared } from './lazy';
import type { Output } from './output';
import { connection } from './settings';
import { UsageError, type Globals } from './spec';
import { fail } from './failure';

type All = typeof Shared;
export type ContractName = { [K in keyof All]: All[K] extends Shared.Contract ? K : never }[keyof All];
export type ContractOf<N extends ContractName> = Extract<All[N], Shared.Contract>;
type Input<N extends ContractName> = Shared.RequestInput<ContractOf<N>>;
type Answer<N extends ContractName> = Shared.Response<ContractOf<N>>;

export interface Giving {
  /** Command id chosen with `--id`. */
  id?: string | undefined;
  /** `--queue`. */
  queue?: boolean | undefined;
}

export class Session {
  private connecting: Promise<Bus> | undefined;
  private readonly ends = new Set<() => void | Promise<void>>();

  constructor(
    private readonly globals: Globals,
    private readonly giving: Giving,
    private readonly out: Output,
  ) {}

  bus(): Promise<Bus> {
    this.connecting ??= busModule().connectBus(connection(this.globals));
    return this.connecting;
  }

  /** Ask and wait for the answer. */
  async call<N extends ContractName>(name: N, request: Input<N>, target?: string): Promise<Answer<N>> {
    const c = shared()[name] as ContractOf<N>;
    return busModule().call(await this.bus(), c, request, {
      target,
      timeoutMs: this.timeoutMs,
      ...(c.kind === 'cmd' ? { id: this.takeId() } : {}),
    });
  }

  /** Give a command, wait for its answer and print it; or put it in the work queue and print its id. */
  async give<N extends ContractName>(
    name: N,
    request: Input<N>,
    target: string | undefined,
    words: (answer: Answer<N>) => string,
  ): Promise<void> {
    if (this.giving.queue) return this.enqueue(name, request, target);
    const answer = await this.call(name, request, target);
    this.out.show(answer, () => words(answer));
  }

  get queueing(): boolean {
    return this.giving.queue === true;
  }

  private async enqueue<N extends ContractName>(name: N, request: Input<N>, target?: string): Promise<void> {
    const queued = await busModule().enqueue(await this.bus(), shared()[name] as ContractOf<N>, request, {
      target,
      timeoutMs: this.timeoutMs,
      id: this.takeId(),
    });
    const again = queued.duplicate ? ' (it was queued before)' : '';
    this.out.show(queued, () => `Command ${queued.commandId} queued${again}`);
  }

  /** An id belongs to one command: a second command of the same run gets one of its own. */
  private takeId(): string | undefined {
    const { id } = this.giving;
    this.giving.id = undefined;
    return id;
  }

  get timeoutMs(): number | undefined {
    return this.globals.timeout === undefined ? undefined : this.globals.timeout * 1_000;
  }

  /** The host that was named, or the only one there is. */
  async host(named: string | undefined): Promise<string> {
    if (named) return named;
    const { hosts } = await this.call('listHosts', {});
    const names = [...new Set(hosts.map(({ host }) => host))];
    if (names.length === 1) return names[0]!;
    if (names.length === 0) {
      throw fail('NO_SUITABLE_HOST', { detail: 'no host has joined; start a driver on one' });
    }
    throw new UsageError(`there are ${names.length} hosts: name one with --host (${names.slice(0, 8).join(', ')})`);
  }

  /** Run at the end, also when the command is interrupted. */
  atEnd(action: () => void | Promise<void>): void {
    this.ends.add(action);
  }

  async close(): Promise<void> {
    for (const end of this.ends) await end();
    await (await this.connecting?.catch(() => undefined))?.close();
  }
}
