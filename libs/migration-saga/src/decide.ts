/**
 * What is to be done next, from what is known: no order of events is remembered, so nothing can get out of order.
 *
 *   claim ─▶ begin ─▶ prepare ─▶ perform ─▶ finish ─▶ commit ─▶ confirm ─▶ close
 *     └────────┴────────┴──────────┴── undo both ─▶ release ─▶ close
 *
 * The way back is open until the target is `finishing`, or post-copy has begun; what the sides say decides, not what the ledger says. Three rules
 * keep the guest from running twice, or nowhere, and a fourth from ending:
 *
 * - the target is let run only when the source has said that it is `performed`;
 * - a source that is, or may be, `performed` is let run only when the target has said that it is `undone`;
 * - the source is ended only when the target has said that it is `finished`;
 * - a target to which post-copy has, or may have, taken the guest is not undone.
 */
import type { MigrationState } from '@virtbus/shared';
import { isIn, isKnown, isSilent, isTaken, type Mind, type Seen } from './mind';

export type At = 'source' | 'target';

export type Deed =
  | { do: 'look'; at: At }
  | { do: 'claim' | 'begin' | 'finish' | 'commit' | 'confirm' }
  /** `recover`: post-copy goes on after its link broke. */
  | { do: 'prepare' | 'perform'; recover: boolean }
  /** Post-copy: memory that the guest on the target needs is gone for good. */
  | { do: 'forsake' }
  | { do: 'undo'; at: 'target' }
  | { do: 'undo'; at: 'source'; targetUndone: boolean }
  | { do: 'release'; fence: boolean }
  /** How it ends is certain, though somebody who is away has yet to be told. */
  | { do: 'settle'; as: Ended; owes: At }
  /** `owes`: who was never told, and is told when it is heard of again. */
  | { do: 'close'; as: Ended; owes?: At }
  /** Nothing can be done until somebody is back, or memory has arrived. */
  | { do: 'wait'; for: At | 'registry' | 'memory' }
  | { do: 'rest' };

export type Ended = Exclude<MigrationState, 'running'>;

export function decide(mind: Mind): Deed {
  const { ledger, source, target } = mind;
  if (ledger.closed) return { do: 'rest' };
  if (isIn(target, 'finishing')) return { do: 'finish' };
  if (isIn(target, 'finished')) return conclude(mind);
  if (ledger.committed) return isWhole(mind) ? conclude(mind) : ask(target);
  // It was told once that the target was finished; a target may forget that after a day.
  if (isIn(source, 'confirmed')) return target === 'unknown' ? { do: 'look', at: 'target' } : conclude(mind);
  if (isIn(source, 'undone') || isIn(target, 'undone') || isUnwanted(mind)) return goBack(mind);
  return goOn(mind);
}

/**
 * The guest lives on the target: its source may be told so, also when the target has forgotten that, after a day, or is away by now. Whether it
 * needs the source's memory yet a target in post-copy alone can say; one that is forgotten about does not.
 */
function isWhole({ ledger, target }: Mind): boolean {
  return isKnown(target) || (target === 'away' && (ledger.settled !== undefined || ledger.postcopy !== true));
}

const ask = (target: Seen): Deed =>
  target === 'unknown' ? { do: 'look', at: 'target' } : { do: 'wait', for: 'target' };

/** Given up, and not too late: once post-copy has begun, to call the guest back would end it, whoever or whatever gave it up. */
function isUnwanted({ ledger: { givenUp }, source }: Mind): boolean {
  return givenUp !== undefined && (givenUp.targetIsOff === true || !isTaken(source));
}

function goOn({ ledger, source, target, registryAway }: Mind): Deed {
  if (ledger.promised === undefined) return registryAway ? { do: 'wait', for: 'registry' } : { do: 'claim' };
  if (source === 'away') return { do: 'wait', for: 'source' };
  if (source === 'unknown') return { do: 'look', at: 'source' };
  if (source.phase === 'absent') return { do: 'begin' };
  if (target === 'away') return { do: 'wait', for: 'target' };
  if (target === 'unknown') return { do: 'look', at: 'target' };
  if (source.phase === 'performing') return { do: 'perform', recover: false };
  if (target.phase === 'prepared') {
    return source.phase === 'performed' ? { do: 'finish' } : { do: 'perform', recover: false };
  }
  // It has lost what was sent to it.
  if (source.phase === 'performed') return { do: 'undo', at: 'target' };
  return registryAway ? { do: 'wait', for: 'registry' } : { do: 'prepare', recover: false };
}

/** The guest lives on the target: the registry and the source are told. */
function conclude({ ledger, source, target, registryAway }: Mind): Deed {
  if (!ledger.committed) {
    if (registryAway) return { do: 'wait', for: 'registry' };
    return { do: ledger.promised === undefined ? 'claim' : 'commit' };
  }
  const as = ledger.lost === undefined ? 'completed' : 'failed';
  if (isIn(source, 'confirmed')) return { do: 'close', as };
  const memory = isKnown(target) ? target.memory : undefined;
  const needed = memory === 'arriving' || memory === 'stranded' || memory === 'awaiting';
  if (source === 'away') return needed ? { do: 'wait', for: 'source' } : owing(ledger, as, 'source');
  const silent = isSilent(target);
  if (needed && silent && source === 'unknown') return { do: 'look', at: 'source' };
  if (needed && (memory !== 'arriving' || silent) && isKnown(source) && source.lost) return { do: 'forsake' };
  if (memory === 'stranded') return { do: 'prepare', recover: true };
  if (memory === 'awaiting') return { do: 'perform', recover: true };
  return memory === 'arriving' ? { do: 'wait', for: 'memory' } : { do: 'confirm' };
}

/** The guest goes on at the source: both sides and the registry are told. */
function goBack(mind: Mind): Deed {
  const { ledger, source, target, registryAway } = mind;
  const { as, targetIsOff = false } = ledger.givenUp ?? { as: 'failed' as const };
  // Also where no promise is known of: the answer to the claim may have been lost.
  const released = ledger.released !== undefined;
  const release: Deed = registryAway ? { do: 'wait', for: 'registry' } : { do: 'release', fence: targetIsOff };
  if (targetIsOff && !released) return release;
  const targetUndone = targetIsOff || isIn(target, 'undone');
  if (isIn(source, 'undone') || neverAsked(source, ledger.sourceAsked)) {
    if (!released) return release;
    if (targetUndone || neverAsked(target, ledger.targetAsked)) return { do: 'close', as };
    return target === 'away' ? owing(ledger, as, 'target') : { do: 'undo', at: 'target' };
  }
  if (targetUndone) {
    return source === 'away' ? owing(ledger, as, 'source') : { do: 'undo', at: 'source', targetUndone: true };
  }
  if (source === 'unknown') return { do: 'look', at: 'source' };
  if (source === 'away' && mayBeTaken(ledger)) return { do: 'wait', for: 'source' };
  if (source === 'away' || isIn(source, 'performed')) {
    return target === 'away' ? { do: 'wait', for: 'target' } : { do: 'undo', at: 'target' };
  }
  return { do: 'undo', at: 'source', targetUndone: false };
}

/** Whether post-copy has begun is for the source to say: to undo the target of one that it may have begun for could end the guest. */
const mayBeTaken = ({ postcopy, performAsked }: Mind['ledger']): boolean => postcopy === true && performAsked === true;

const neverAsked = (seen: Seen, asked: boolean | undefined): boolean =>
  !asked && (!isKnown(seen) || seen.phase === 'absent');

/** Its end is certain: written down once, then the one who is away is waited for, unless the fleet knows its host no more. */
function owing({ settled, forgotten }: Mind['ledger'], as: Ended, who: At): Deed {
  if (!settled) return { do: 'settle', as, owes: who };
  return forgotten === who ? { do: 'close', as, owes: who } : { do: 'wait', for: who };
}
