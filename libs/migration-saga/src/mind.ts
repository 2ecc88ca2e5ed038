/** What one copy of the service knows of a migration: the ledger as it last read or wrote it, and what the sides told. */
import type { MigrationView } from '@virtbus/shared';
import type { Ledger } from './ledger';

/** What decisions need of a side; the rest of its view is for the next step. */
export type Side = Pick<MigrationView, 'phase' | 'memory' | 'lost' | 'postcopy' | 'silent' | 'error'>;

/** `unknown`: not asked yet. `away`: asked, and nobody answered. */
export type Seen<S extends Side = Side> = S | 'unknown' | 'away';

export interface Mind<S extends Side = Side> {
  ledger: Ledger;
  source: Seen<S>;
  target: Seen<S>;
  registryAway: boolean;
}

/** Of a migration that was just written down: nobody has heard of it. */
export const firstMind = <S extends Side>(ledger: Ledger, absent: S): Mind<S> => ({
  ledger,
  source: absent,
  target: absent,
  registryAway: false,
});

/** Of one that somebody else, or an earlier process, has driven. */
export const freshMind = <S extends Side>(ledger: Ledger): Mind<S> => ({
  ledger,
  source: 'unknown',
  target: 'unknown',
  registryAway: false,
});

export function isKnown<S extends Side>(seen: Seen<S>): seen is S {
  return typeof seen === 'object';
}

export function isIn(seen: Seen, ...phases: Side['phase'][]): boolean {
  return isKnown(seen) && phases.includes(seen.phase);
}

/** In post-copy: its guest may stand still over memory that the source no longer has. */
export const isSilent = (target: Seen): boolean => isKnown(target) && target.silent === true;

/** Post-copy has taken its guest along: it goes on on the target, or ends. */
export const isTaken = (source: Seen): boolean =>
  isKnown(source) && source.phase === 'performed' && source.postcopy === true;
