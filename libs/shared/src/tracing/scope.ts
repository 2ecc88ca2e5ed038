/**
 * Which command the code that runs now works for: carried along through every `await`, so that each line of the log and each
 * span says it without being told.
 *
 * What a command leaves behind (a guest's monitor, a timer) outlives it in the same scope; once the command is answered its
 * scope says nothing any more, and later news of that guest is not taken for its effect.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

export interface Scope {
  /** Absent where only a trace is followed. */
  commandId?: string | undefined;
  operation?: string | undefined;
  /** W3C Trace Context: the span that the code runs in. */
  traceparent?: string | undefined;
}

interface Running extends Scope {
  /** Shared by the scopes within one another. */
  life: { over: boolean; steps: string[] };
}

/** Steps of a command that are remembered: the first ones. */
const maxSteps = 32;

const storage = new AsyncLocalStorage<Running>();

/** The scope of the code that runs now; undefined outside of any, and when its command is over. */
export function currentScope(): Scope | undefined {
  const scope = storage.getStore();
  return scope?.life.over ? undefined : scope;
}

/** Run the work of a command; its scope ends with it. */
export async function inScope<T>(scope: Scope, work: () => Promise<T>): Promise<T> {
  const running: Running = { ...scope, life: { over: false, steps: [] } };
  try {
    return await storage.run(running, work);
  } finally {
    running.life.over = true;
  }
}

/** Run a part of it, in a span of its own. */
export function inSpan<T>(traceparent: string, work: () => Promise<T>): Promise<T> {
  const scope = storage.getStore();
  const above = scope && !scope.life.over ? scope : { life: { over: false, steps: [] } };
  return storage.run({ ...above, traceparent }, work);
}

/** The steps taken in the present scope, as a list that grows with it. */
export function stepsTaken(): readonly string[] {
  const scope = storage.getStore();
  return scope && !scope.life.over ? scope.life.steps : [];
}

export function noteStep(name: string): void {
  const scope = storage.getStore();
  if (!scope || scope.life.over || scope.life.steps.length >= maxSteps) return;
  if (scope.life.steps.at(-1) !== name) scope.life.steps.push(name);
}

/** The trace that a `traceparent` belongs to: 32 hexadecimal digits. */
export function traceIdOf(traceparent: string | undefined): string | undefined {
  return traceparent === undefined ? undefined : /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(traceparent)?.[1];
}
