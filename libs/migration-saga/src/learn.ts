/** How a copy's mind changes: what it writes down before a deed, and what it makes of the outcome. */
import type { MigrationStep } from '@virtbus/shared';
import type { At, Deed } from './decide';
import type { Ledger } from './ledger';
import { isIn, isKnown, isSilent, isTaken, type Mind, type Side } from './mind';

/** What came of a deed. */
export type Outcome<S extends Side = Side> =
  | { view: S }
  /** The registry's answer, with the epoch that it gives. */
  | { epoch: number }
  | 'done'
  /** Nobody answered: it may have been done. */
  | 'away'
  /** What one of the sides was to be given could not be asked of the registry. */
  | 'registry-away'
  /** Positively not done. */
  | { refused: string };

/**
 * The step that is written down before a deed. `finish` has none: it follows `perform` at once, while the guest stands still,
 * and a copy that comes back finds out from the sides that it is due.
 */
function stepOf(deed: Deed): MigrationStep | undefined {
  switch (deed.do) {
    case 'claim':
    case 'begin':
    case 'confirm':
      return deed.do;
    case 'prepare':
    case 'perform':
      return deed.recover ? 'recover' : deed.do;
    case 'forsake':
      return 'recover';
    case 'commit':
      return 'handover';
    case 'undo':
    case 'release':
      return 'withdraw';
    case 'close':
      return 'done';
    default:
      return undefined;
  }
}

/** The ledger as it must be written before the deed; the very same when there is nothing to write. */
export function before(ledger: Ledger, deed: Deed): Ledger {
  if (deed.do === 'settle') return { ...ledger, settled: deed.as, owes: deed.owes };
  if (deed.do === 'close') {
    const { owes: _paid, forgotten: _heeded, ...rest } = ledger;
    const { as, owes } = deed;
    return { ...rest, step: 'done', settled: ledger.settled ?? as, closed: true, ...(owes && { owes }) };
  }
  const step = stepOf(deed);
  if (step === undefined || step === ledger.step) return ledger;
  return {
    ...ledger,
    step,
    ...(deed.do === 'begin' && { sourceAsked: true }),
    ...(deed.do === 'prepare' && { targetAsked: true }),
    ...(deed.do === 'perform' && { performAsked: true }),
  };
}

/** Which side a deed asks; undefined for the registry, and for what asks nobody. */
export function sideOf(deed: Deed): At | undefined {
  switch (deed.do) {
    case 'look':
    case 'undo':
      return deed.at;
    case 'begin':
    case 'perform':
    case 'confirm':
      return 'source';
    case 'prepare':
    case 'finish':
    case 'forsake':
      return 'target';
    default:
      return undefined;
  }
}

export function learn<S extends Side>(mind: Mind<S>, deed: Deed, outcome: Outcome<S>): Mind<S> {
  const side = sideOf(deed);
  if (outcome === 'registry-away') return { ...mind, registryAway: true };
  if (outcome === 'away') return side ? { ...mind, [side]: 'away' } : { ...mind, registryAway: true };
  if (typeof outcome === 'object' && 'refused' in outcome) return refused(mind, deed, outcome.refused);
  if (side && typeof outcome === 'object' && 'view' in outcome) return seen(mind, deed, side, outcome.view);
  const epoch = typeof outcome === 'object' && 'epoch' in outcome ? outcome.epoch : 0;
  switch (deed.do) {
    case 'claim':
      return { ...mind, ledger: { ...mind.ledger, promised: epoch } };
    case 'commit':
      return { ...mind, ledger: { ...mind.ledger, committed: true } };
    case 'release':
      return { ...mind, ledger: { ...mind.ledger, released: epoch } };
    case 'wait':
      return askAgain(mind);
    default:
      return mind;
  }
}

function seen<S extends Side>(mind: Mind<S>, deed: Deed, side: At, told: S): Mind<S> {
  // It was confirmed once and has forgotten that, or has lost all that it had: nothing of the guest is left there.
  const isGone = deed.do === 'confirm' && told.phase === 'absent';
  const view: S = isGone ? { ...told, phase: 'confirmed' } : told;
  const now = { ...mind, [side]: view };
  // The memory is on its way again: the target can tell.
  if (deed.do === 'perform' && deed.recover) now.target = 'unknown';
  const reason = view.error?.message ?? `the ${side} has taken back what it began`;
  if (view.lost && (view.phase === 'finished' || view.phase === 'undone'))
    now.ledger = { ...mind.ledger, lost: reason };
  if (view.phase !== 'undone') return now;
  return { ...now, ledger: giveUp(now.ledger, { as: 'failed', reason }) };
}

/** On the way there a refusal is the end of it; on the way to an end what was refused is tried again later. */
function refused<S extends Side>(mind: Mind<S>, deed: Deed, reason: string): Mind<S> {
  const onward = ['claim', 'begin', 'prepare', 'perform', 'finish'].includes(deed.do);
  const arrived = isIn(mind.target, 'finishing', 'finished') || isIn(mind.source, 'confirmed');
  if (!onward || arrived || isTaken(mind.source)) return learn(mind, deed, 'away');
  return { ...mind, ledger: giveUp(mind.ledger, { as: 'failed', reason }) };
}

/** After a while those who were away are asked again, and so is a target to which memory was still to come: it may be awaited no longer. */
function askAgain<S extends Side>(mind: Mind<S>): Mind<S> {
  const { source, target } = mind;
  const needed = isKnown(target) && target.memory !== undefined && target.memory !== 'whole';
  return {
    ...mind,
    source: source === 'away' || isSilent(target) ? 'unknown' : source,
    target: target === 'away' || needed ? 'unknown' : target,
    registryAway: false,
  };
}

/** Somebody was away for too long: the way on is given up, unless the guest is handed over already. */
export function losePatience<S extends Side>(mind: Mind<S>, reason: string): Mind<S> {
  const arrived = mind.ledger.committed === true || isIn(mind.target, 'finishing', 'finished');
  return arrived || isIn(mind.source, 'performed')
    ? mind
    : { ...mind, ledger: giveUp(mind.ledger, { as: 'failed', reason }) };
}

/** The fleet does not know the host any more that is owed the word of how it ended: it is waited for no longer. */
export const forget = (ledger: Ledger): Ledger => ({ ...ledger, ...(ledger.owes && { forgotten: ledger.owes }) });

/** It is known again: from where it was closed it goes on to tell it. */
export function recall({ closed: _closed, forgotten: _forgotten, ...ledger }: Ledger): Ledger {
  return ledger;
}

/** The first reason stays; that the target is off can be said later. */
export function giveUp(ledger: Ledger, how: NonNullable<Ledger['givenUp']>): Ledger {
  const { givenUp } = ledger;
  if (!givenUp) return { ...ledger, givenUp: how };
  return how.targetIsOff ? { ...ledger, givenUp: { ...givenUp, targetIsOff: true } } : ledger;
}
