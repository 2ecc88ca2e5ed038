/** What our services ask a driver, or the storage service, of one host: declared like the public operations, and private. */
import type { z } from 'zod';

/** A private operation of a driver: its subject is `virtbus.v1.host.<host>.<driver>.<operation>`. */
export interface DriverContract<Req extends z.ZodType = z.ZodType, Res extends z.ZodType = z.ZodType> {
  readonly operation: string;
  readonly request: Req;
  readonly response: Res;
  readonly timeoutMs: number;
  readonly doc: string;
}

export const driverContract = <Req extends z.ZodType, Res extends z.ZodType>(
  spec: DriverContract<Req, Res>,
): DriverContract<Req, Res> => Object.freeze(spec);
