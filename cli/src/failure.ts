/** What a failed command tells its user and its caller: one line, and an exit code that scripts can branch on. */
import type { ErrorCode, ErrorDetails } from '@virtbus/shared';
import { shared } from './lazy';
import { UsageError } from './spec';

export const exitCodes = {
  ok: { code: 0, says: 'done' },
  failed: { code: 1, says: 'virtbus answered with an error' },
  usage: { code: 2, says: 'the command line is wrong; nothing was asked of anybody' },
  unreachable: { code: 3, says: 'the bus, the service or the host cannot be reached, or refuses the credentials' },
  timeout: { code: 4, says: 'no answer within the deadline; the work may still go on' },
  interrupted: { code: 130, says: 'ended by Ctrl-C' },
} as const;
export type Exit = keyof typeof exitCodes;

const exitOf: Partial<Record<ErrorCode, Exit>> = {
  SERVICE_OFFLINE: 'unreachable',
  HOST_OFFLINE: 'unreachable',
  RPC: 'unreachable',
  AUTH_FAILED: 'unreachable',
  OPERATION_TIMEOUT: 'timeout',
  AGENT_COMMAND_TIMEOUT: 'timeout',
};

/** An error of the table, found on this side: what virtbus answered does not allow what was asked for. */
export function fail<C extends ErrorCode>(code: C, details: ErrorDetails<C>): Error {
  return new (shared().VirtError)(code, details);
}

/** Ended by the user: not an error to explain. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

export interface Failure {
  exit: Exit;
  code: string;
  message: string;
  /** libvirt's error number, for an error that virtbus answered. */
  number?: number;
  details?: unknown;
  retry?: string;
}

interface Answered extends Error {
  code: ErrorCode;
  number: number;
  retry: string;
  details: unknown;
}

/** Sort a thrown value; what nobody threw by design is a defect of ours. */
export function failureOf(thrown: unknown): Failure {
  if (thrown instanceof UsageError) return { exit: 'usage', code: 'USAGE', message: thrown.message };
  if (thrown instanceof Interrupted) return { exit: 'interrupted', code: 'INTERRUPTED', message: thrown.message };
  if (isAnswered(thrown)) {
    const { code, number, retry, details, message } = thrown;
    return { exit: exitOf[code] ?? 'failed', code, message, number, retry, details };
  }
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  const message = `internal error: ${reason} (VIRTBUS_DEBUG=1 shows where)`;
  return { exit: 'failed', code: 'INTERNAL_ERROR', message };
}

/** A `VirtError`, told by its name so that a wrong command line need not load the class. */
function isAnswered(thrown: unknown): thrown is Answered {
  return thrown instanceof Error && thrown.name === 'VirtError';
}

/** What goes to standard error. */
export function formatFailure(failure: Failure, json: boolean): string {
  const { exit, ...error } = failure;
  if (json) return JSON.stringify({ error: { ...error, exitCode: exitCodes[exit].code } });
  return `error: ${failure.message.replace(/\s*\n\s*/g, ' ')}`;
}
