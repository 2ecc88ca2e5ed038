/**
 * Applying queued commands: the same handlers as for commands that wait for an answer, under the id they were queued
 * with. What can only be done later is tried again until the queue's age limit; how it ended is told as an event, once.
 *
 * The commands on one domain are applied one after the other, in a copy. If this process dies in the middle, another copy
 * gets the command again, and the host gives the first answer again.
 */
import { contracts, decodeToken, outcomeSubject, VirtError, type CommandOutcome, type Contract } from '@virtbus/shared';
import { consumeQueue, decode, Encoded, encode, type Endpoint, type Queued } from '@virtbus/shared/bus';
import { meter, metrics } from '@virtbus/shared/metrics';
import { inScope, span } from '@virtbus/shared/tracing';
import { applyCommand } from './command';
import type { Fleet } from './fleet';

const firstPauseMs = 2_000;
const longestPauseMs = 30_000;

export class Queue {
  private readonly stopping = new AbortController();
  private readonly tails = new Map<string, Promise<void>>();
  private consuming: Promise<void> | undefined;

  constructor(
    private readonly fleet: Fleet,
    private readonly endpoints: ReadonlyMap<Contract, Endpoint>,
  ) {}

  start(): void {
    this.consuming = consumeQueue(this.fleet.bus, {
      name: 'domain',
      entity: 'domain',
      timeoutMs: (subject) => read(subject)?.contract.timeoutMs ?? 30_000,
      handle: (message) => this.take(message),
      signal: this.stopping.signal,
      onTrouble: (err) => this.fleet.log.debug({ err }, 'the work queue is away'),
    });
  }

  /** Take no more, and finish what was begun. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.consuming;
    await Promise.all(this.tails.values());
  }

  private take(message: Queued): void {
    const target = read(message.subject)?.target;
    const key = (target && (this.fleet.projection.find(target)?.uuid ?? target)) ?? message.context.id;
    const tail = (this.tails.get(key) ?? Promise.resolve()).then(() => this.work(message));
    this.tails.set(key, tail);
    void tail.then(() => {
      if (this.tails.get(key) === tail) this.tails.delete(key);
    });
  }

  private async work(message: Queued): Promise<void> {
    if (this.stopping.signal.aborted) return message.again(0);
    const { id, traceparent: parent } = message.context;
    const found = read(message.subject);
    const operation = found?.contract.name ?? 'unknown';
    const attributes = { 'virtbus.command_id': id, 'virtbus.attempt': message.attempt };
    return inScope({ commandId: id, operation, traceparent: parent }, () =>
      span(operation, { kind: 'consumer', parent, attributes }, (traceparent) =>
        this.finish({ ...message, context: { ...message.context, traceparent, caller: 'queue' } }, operation),
      ),
    );
  }

  private async finish(message: Queued, operation: string): Promise<void> {
    const { id } = message.context;
    const domain = read(message.subject)?.target;
    const log = this.fleet.log.child({ ...(domain && { domain }), queued: message.subject, attempt: message.attempt });
    try {
      const outcome = await this.apply(message);
      const code = outcome === 'later' ? 'LATER' : (outcome.error?.code ?? 'OK');
      meter.count(metrics.queued, { operation, code });
      if (outcome === 'later') return message.again(pause(message.attempt));
      const subject = outcomeSubject(id, outcome.error ? 'failed' : 'completed');
      await this.fleet.bus.js.publish(subject, encode(outcome, 'json'), { msgID: `${id}.outcome` });
      message.done();
      log.info({ error: outcome.error?.code }, 'queued command ended');
    } catch (err) {
      log.warn({ err }, 'the outcome of a queued command could not be told; it will be tried again');
      message.again(pause(message.attempt));
    }
  }

  private async apply(message: Queued): Promise<CommandOutcome | 'later'> {
    const { subject, context } = message;
    const found = read(subject);
    const told = {
      commandId: context.id,
      operation: found?.contract.name ?? subject,
      ...(found?.target ? { domain: found.target } : {}),
    };
    try {
      if (!found)
        throw new VirtError('INVALID_ARG', { detail: `no command that can be queued has subject '${subject}'` });
      const { contract, target } = found;
      const endpoint = this.endpoints.get(contract)!;
      const answer = await applyCommand(endpoint, { contract, target, ...message }, this.fleet.log);
      const response = answer instanceof Encoded ? decode(answer.body) : answer;
      return { ...told, time: new Date().toISOString(), response };
    } catch (thrown) {
      const error = VirtError.from(thrown);
      if (error.retry === 'later') {
        this.fleet.log.debug({ code: error.code, reason: error.message }, 'queued command waits');
        return 'later';
      }
      if (error.code === 'INTERNAL_ERROR') this.fleet.log.error({ err: error }, 'queued command failed');
      return { ...told, time: new Date().toISOString(), error: error.toBody() };
    }
  }
}

/** `virtbus.v1.queue.domain[.<target>].<operation>`: which command it is, and about which domain. */
function read(subject: string): { contract: Contract; target: string | undefined } | undefined {
  const tokens = subject.split('.').slice(3);
  const [entity, operation] = [tokens[0], tokens.at(-1)];
  const on = tokens.length === 2 ? 'all' : 'one';
  const contract = contracts.find((c) => c.queue && c.entity === entity && c.operation === operation && c.on === on);
  if (!contract || tokens.length > 3) return undefined;
  return { contract, target: on === 'one' ? decodeToken(tokens[1]!) : undefined };
}

/** Two seconds, growing to thirty. */
function pause(attempt: number): number {
  return Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(attempt - 1, 10));
}
