/**
 * The journal of migrations: one entry of a bucket each, written with compare-and-set by whichever copy drives it, and by
 * any copy where somebody gives it up.
 */
import {
  buckets,
  DomainSummary,
  type Migration,
  MigrationEnd,
  MigrationId,
  MigrationOptions,
  Uuid,
} from '@virtbus/shared';
import type { Bus, Entry } from '@virtbus/shared/bus';
import { Ledger } from '@virtbus/migration-saga';
import { z } from 'zod';
import { Bucket } from './bucket';

const ms = z.number().describe('milliseconds since 1970');

export const Saga = z.object({
  id: MigrationId,
  domain: Uuid,
  /** On the source. */
  name: z.string(),
  /** Of the domain on the source, when it was asked for. */
  epoch: DomainSummary.shape.epoch,
  source: MigrationEnd,
  target: MigrationEnd,
  options: MigrationOptions,
  /** The command that it came of. */
  cause: z.string().optional(),
  timeout: z.object({ afterMs: z.number(), action: z.enum(['suspend', 'postcopy', 'abort']) }).optional(),
  /** When the source was first asked to send the guest: a time-out counts from there, whoever drives. */
  sending: ms.optional(),
  ledger: Ledger,
  /** What keeps it from its next step, since the ledger was last written. */
  waitsFor: z.string().optional(),
  /** The copy of the service that drives it. */
  copy: z.string(),
  started: ms,
  ended: ms.optional(),
});
export type Saga = z.infer<typeof Saga>;

export type SagaEntry = Entry<Saga>;

export class SagaJournal extends Bucket<Saga> {
  constructor(bus: Bus, replicas: number) {
    super(bus, buckets.migrations, Saga, ({ id }) => id, replicas);
  }
}

/** Why it comes, or came, to nothing. */
export const reasonOf = ({ lost, settled, givenUp }: Ledger): string | undefined =>
  lost ?? (settled === 'completed' ? undefined : givenUp?.reason);

/** Who was not told, and why not. */
function untold({ ledger: { owes, closed }, ...ends }: Saga): string | undefined {
  if (!owes || !closed) return undefined;
  return `the fleet does not know host '${ends[owes].host}' any more: its ${owes} is told of it when it is back`;
}

/** What users are told of it. */
export function told(saga: Saga): Migration {
  const { id, domain, name, source, target, ledger, options, waitsFor, started, ended } = saga;
  const { bandwidth, postcopyBandwidth, downtimeMs } = options;
  const { step, settled, owes } = ledger;
  const reasons = [reasonOf(ledger), untold(saga) ?? waitsFor].filter((one) => one !== undefined);
  return {
    id,
    domain,
    name,
    source,
    target,
    state: settled ?? 'running',
    step,
    ...(reasons.length > 0 && { reason: reasons.join('; ') }),
    started,
    ...(ended !== undefined && { ended }),
    owed: owes ? [owes] : [],
    limits: { bandwidth, postcopyBandwidth, downtimeMs },
  };
}
