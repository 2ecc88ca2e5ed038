/**
 * What is written down of a migration while it runs, as far as decisions need it.
 *
 * Safety does not rest on it: who may let the guest run follows from the phases of the two sides alone
 * (`contracts/migration-host.ts` of libs/shared). A ledger that was lost, or is written by two copies of the service at
 * once, costs time and nothing else.
 */
import { MigrationState, MigrationStep } from '@virtbus/shared';
import { z } from 'zod';

export const Ledger = z.object({
  /** What is being done, or was done last. */
  step: MigrationStep,
  /** Who was asked for anything. One who never was is owed nothing; it says nothing about what may be done. */
  sourceAsked: z.boolean().optional(),
  targetAsked: z.boolean().optional(),
  /** Post-copy is allowed: from when the source is asked to send the guest it may have begun. */
  postcopy: z.boolean().optional(),
  performAsked: z.boolean().optional(),
  /** The epoch that the registry has promised on the target. */
  promised: z.number().int().nonnegative().optional(),
  /** It is not to go on, or cannot. */
  givenUp: z
    .object({
      as: MigrationState.extract(['cancelled', 'failed']),
      reason: z.string(),
      /** Somebody vouches that the target's host is off: it is not asked. */
      targetIsOff: z.boolean().optional(),
    })
    .optional(),
  /** The registry has the domain on the target. */
  committed: z.boolean().optional(),
  /** The registry has taken the promise back; the epoch under which the domain lives on at its source. */
  released: z.number().int().nonnegative().optional(),
  /** Post-copy: the guest has ended, on the target for want of its memory, or at the source because the target was gone; why. */
  lost: z.string().optional(),
  /** How it ended, and who has yet to be told. */
  settled: MigrationState.exclude(['running']).optional(),
  owes: z.enum(['source', 'target']).optional(),
  /** Whose host the fleet knows no more, while it is owed that. */
  forgotten: z.enum(['source', 'target']).optional(),
  /** Nobody is owed anything, or who is was forgotten, and `owes` says whom to tell when it is back. */
  closed: z.boolean().optional(),
});
export type Ledger = z.infer<typeof Ledger>;

export const newLedger = ({ postcopy }: { postcopy: boolean }): Ledger => ({
  step: 'claim',
  ...(postcopy && { postcopy }),
});
