/**
 * A client as a careful program is one: what it asks for has an id, and while nobody can tell what became of it, it asks
 * again under the same id. So a command is carried out once, whatever dies meanwhile, and has one final answer.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isVirtError, type Contract, type RequestInput, type Response } from '@virtbus/shared';
import { call, newId, type Bus } from '@virtbus/shared/bus';

/** For everything that a restart takes, on a busy machine. */
const patienceMs = 90_000;
const pauseMs = 100;
/** An answer that was lost is missed after this time. */
const answerMs = 8_000;

export class PatientClient {
  constructor(
    readonly bus: Bus,
    private readonly target: string,
    /** Called with each answer that is not the final one. */
    private readonly onRefusal: (error: Error) => void = () => undefined,
  ) {}

  /** The final answer to the command of this id. Throws the `VirtError` that is one, or the last that was none when patience is over. */
  async ask<C extends Contract>(contract: C, request: RequestInput<C>, id = newId()): Promise<Response<C>> {
    const until = Date.now() + patienceMs;
    for (;;) {
      try {
        return await call(this.bus, contract, request, { target: this.target, id, timeoutMs: answerMs });
      } catch (error) {
        if (!isVirtError(error) || error.retry === 'never' || Date.now() > until) throw error;
        this.onRefusal(error);
        await sleep(pauseMs);
      }
    }
  }
}
