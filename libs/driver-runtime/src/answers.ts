/** A command whose id was seen before. */
import { VirtError, type driverAnswer } from '@virtbus/shared';
import type { z } from 'zod';
import type { Cause } from './telling';
import type { Answered } from './record';

/** Another operation was asked for under the same id. */
export function reused(id: string, operation: string): Promise<never> {
  const detail = `the command id ${id} was used for ${operation} before`;
  return Promise.reject(new VirtError('INVALID_ARG', { detail }));
}

/** What is told of a command to whoever asks what became of it. */
export type Became = z.output<typeof driverAnswer.response>;

export const answered = ({ response, error }: Answered): Became => ({
  state: 'answered',
  ...(error ? { error } : { response }),
});

/** The first answer again. */
export function replay<T>(known: Answered, cause: Cause): Promise<T> {
  if (known.operation !== cause.operation) return reused(known.id, known.operation);
  return known.error ? Promise.reject(VirtError.fromBody(known.error)) : Promise.resolve(known.response as T);
}
