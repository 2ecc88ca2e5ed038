/** An operation on a domain as its driver serves it: what it needs, which job it takes, what it does. */
import { VirtError, type Contract, type ImageNeed, type Prepared, type Request, type Response } from '@virtbus/shared';
import type { Call } from '@virtbus/shared/bus';
import { stepsTaken } from '@virtbus/shared/tracing';
import type { Actor } from '../actor';
import type { Cause } from '../telling';
import type { Guest } from '../driver';
import { mustBeHere } from '../handed-over';
import type { DriverHost } from '../host';
import type { AsyncJob, NormalJob, Wait } from '../jobs';
import { begin } from '../images';

/** What state a call is legal in (libvirt's API × state table). */
export type Needs = 'any' | 'active' | 'running' | 'inactive' | 'persistent';

export interface Context<G extends Guest = Guest> {
  host: DriverHost<G>;
  actor: Actor<G>;
  call: Call;
  /** What storage has prepared for a command that opens images. */
  prepared?: Prepared | undefined;
}

export interface Op<C extends Contract = Contract, G extends Guest = Guest> {
  contract: C;
  needs: Needs;
  /** `none` for what must never wait: queries, and `destroy`. */
  job: NormalJob | 'agent' | { async: AsyncJob } | 'none';
  /** `once`: the same command id is applied once. What only looks, or may be done twice, is not kept. */
  once: boolean;
  /** The command is there, though it may yet wait for its turn, or be refused: what the machine takes its time over begins. */
  foresee?(context: Context<G>): void;
  /**
   * The images that the command needs beside what the disks stand on; nothing is changed. There for each contract that
   * `plansImages`. Throws what is wrong with the request. What was prepared comes with the context of `run`.
   */
  plan?(request: Request<C>, context: Context<G>): readonly ImageNeed[] | Promise<readonly ImageNeed[]>;
  run(request: Request<C>, context: Context<G>): Promise<Response<C>>;
}

/** Binds the types of a contract to its operation. */
export function op<C extends Contract>(spec: Op<C>): Op {
  return spec;
}

/** A command that changes the domain: applied once, under a modify job. */
export function change<C extends Contract>(
  contract: C,
  needs: Needs,
  run: Op<C>['run'],
  job: Op['job'] = 'modify',
): Op {
  return op({ contract, needs, job, once: true, run });
}

/** A change that plans which images it needs. */
export function planned<C extends Contract>(
  contract: C,
  needs: Needs,
  how: Pick<Required<Op<C>>, 'plan' | 'run'>,
  job: Op['job'] = 'modify',
): Op {
  return op({ contract, needs, job, once: true, ...how });
}

/** A query: takes no job. */
export function look<C extends Contract>(contract: C, needs: Needs, run: Op<C>['run']): Op {
  return op({ contract, needs, job: 'none', once: false, run });
}

/** The guest of an active domain. */
export function guestOf<G extends Guest>(actor: Actor<G>): G {
  if (!actor.guest) throw notRunning();
  return actor.guest;
}

export const notRunning = (): VirtError => new VirtError('OPERATION_INVALID', { detail: 'domain is not running' });

export function checkNeeds(actor: Actor, needs: Needs): void {
  const { state } = actor.record;
  if (needs === 'active' && !actor.active) throw notRunning();
  if (needs === 'running' && state !== 'running') throw notRunning();
  if (needs === 'inactive' && actor.active) {
    throw new VirtError('OPERATION_INVALID', { detail: 'domain is already running' });
  }
  if (needs === 'persistent' && !actor.record.persistent) {
    throw new VirtError('OPERATION_INVALID', { detail: 'cannot do this to a transient domain' });
  }
}

/** The command that a call gives, for what it causes. */
export function causeOf({ id, traceparent, caller }: Call, operation: string): Cause {
  return { id, operation, traceparent, caller, steps: stepsTaken() };
}

/** Serve one call: jobs, legality, once per id. */
export async function perform(operation: Op, request: unknown, context: Context): Promise<unknown> {
  const { host, actor, call } = context;
  const cause = causeOf(call, operation.contract.operation);
  operation.foresee?.(context);
  const work = async (): Promise<unknown> => {
    using _job = await take(operation, actor, call).catch((error: unknown) => {
      // Whoever waits says more than who is in the way.
      mustBeHere(actor);
      throw error;
    });
    host.mustHave(actor);
    checkNeeds(actor, operation.needs);
    using _images = begin(host, actor, context.prepared);
    const run = (): Promise<unknown> => operation.run(request, context);
    // Awaited here: returned as it is, the job would be let go before the work is done.
    return operation.once ? await actor.as(cause, run) : await run();
  };
  return operation.once ? actor.once(cause, work) : work();
}

async function take({ job, contract }: Op, actor: Actor, call: Call): Promise<Disposable> {
  const wait = turn(call);
  if (job === 'none') return { [Symbol.dispose]: () => undefined };
  if (job === 'agent') return actor.jobs.agent(contract.operation, wait);
  if (typeof job === 'object') return actor.jobs.async(job.async, contract.operation, wait);
  return actor.jobs.normal(job, contract.operation, wait);
}

/** Left of a caller's time to tell it who was in its way, milliseconds. */
const toTellMs = 100;

/** A call waits for its turn almost until its deadline: the error then names the job that was in the way. */
export function turn(call: Call): Wait {
  return { signal: call.signal, forMs: call.deadline - performance.now() - toTellMs };
}
