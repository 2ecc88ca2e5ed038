/**
 * A steady load of commands: suspend and resume in turn, one on its way a domain, each asked again under its id until it
 * has its final answer. So every command that was acknowledged must be in the log, once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isVirtError, resumeDomain, suspendDomain, type DomainSummary } from '@virtbus/shared';
import { call, newId, type Bus } from '@virtbus/shared/bus';

/** A command that has its final answer. */
export interface Given {
  id: string;
  uuid: string;
  operation: 'suspend' | 'resume';
  /** How often it was sent. */
  attempts: number;
  /** From the first sending to the answer, milliseconds. */
  tookMs: number;
}

const tickMs = 20;
const pauseMs = 100;
/** An answer that was lost is missed after this time. */
const answerMs = 8_000;
/** For everything that is away at the end, on a busy machine. */
const lastWordMs = 120_000;

export class Load {
  readonly given: Given[] = [];
  readonly faults: string[] = [];
  private readonly underWay = new Set<Promise<void>>();
  private readonly idle: { uuid: string; paused: boolean }[];
  private timer: NodeJS.Timeout | undefined;
  private due = Infinity;

  constructor(
    private readonly bus: Bus,
    domains: readonly DomainSummary[],
    private readonly perSecond: number,
  ) {
    this.idle = domains.map(({ uuid }) => ({ uuid, paused: false }));
  }

  start(): void {
    const began = performance.now();
    let sent = 0;
    this.timer = setInterval(() => {
      const owed = ((performance.now() - began) / 1_000) * this.perSecond;
      for (; sent < owed; sent++) {
        const next = this.idle.shift();
        if (!next) return;
        const work = this.give(next).finally(() => this.underWay.delete(work));
        this.underWay.add(work);
      }
    }, tickMs);
  }

  /** Sends no more, and waits for the answers that are owed. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    this.due = performance.now() + lastWordMs;
    await Promise.all(this.underWay);
  }

  private async give(domain: { uuid: string; paused: boolean }): Promise<void> {
    const { uuid } = domain;
    const operation = domain.paused ? 'resume' : 'suspend';
    const id = newId();
    const began = performance.now();
    for (let attempts = 1; ; attempts++) {
      try {
        const contract = operation === 'resume' ? resumeDomain : suspendDomain;
        await call(this.bus, contract, {}, { target: uuid, id, timeoutMs: answerMs });
        this.given.push({ id, uuid, operation, attempts, tookMs: performance.now() - began });
        this.idle.push({ uuid, paused: !domain.paused });
        return;
      } catch (error) {
        const final = !isVirtError(error) || error.retry === 'never';
        if (!final && performance.now() < this.due) {
          await sleep(pauseMs);
          continue;
        }
        this.faults.push(`${operation} of ${uuid}, sent ${attempts} times: ${String(error)}`);
        return;
      }
    }
  }
}
