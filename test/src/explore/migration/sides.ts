/**
 * The two hosts and the registry of a migration, reduced to what the rules of `contracts/migration-host.ts` say of them:
 * phases that are on disk, what each call does in each of them, what a crash leaves.
 */
import type { Deed, Side } from '@virtbus/migration-saga';

export interface Source {
  phase: 'absent' | 'begun' | 'performing' | 'performed' | 'confirmed' | 'undone';
  /** Post-copy: its process was killed, with memory that the target may need. */
  gone?: boolean;
  /** Post-copy: the target never ran it, and here it could not go on. */
  ended?: boolean;
}

export interface Target {
  phase: 'absent' | 'prepared' | 'finishing' | 'finished' | 'undone';
  /** What the source sends: on its way, all here, or never to come. */
  stream: 'none' | 'coming' | 'arrived' | 'broken';
  /** Post-copy: the guest runs and fetches the rest. */
  memory?: 'arriving' | 'stranded' | 'awaiting' | 'whole';
  /** `awaiting`: whoever connects is let in. A listener lets in one alone. */
  listens?: boolean;
  /** The guest has ended for want of the rest. */
  lost?: boolean;
  /** It was `finished` a day ago, and says this by now. */
  forgot?: 'absent' | 'undone';
}

/** What it says of this migration; its domain lives on the target once it is `committed`. */
export type RegistryState = 'unasked' | 'promised' | 'released' | 'committed';

export interface Sides {
  source: Source;
  target: Target;
  registry: RegistryState;
  postcopy: boolean;
  /** Something has failed that a guest in post-copy cannot live without: not a message, nor a copy of the service. */
  hurt?: boolean;
}

export const copyOfSides = (sides: Sides): Sides => ({
  ...sides,
  source: { ...sides.source },
  target: { ...sides.target },
});

/** Whose guest may be running. */
export const runsAtSource = ({ source: { phase, ended } }: Sides): boolean =>
  phase !== 'performed' && phase !== 'confirmed' && !ended;
export const runsAtTarget = ({ target: { phase } }: Sides): boolean => phase === 'finishing' || phase === 'finished';

export function viewOf({ source, target, postcopy }: Sides, at: 'source' | 'target'): Side {
  if (at === 'source') {
    const { phase, gone } = source;
    return phase === 'performed' && postcopy ? { phase, postcopy, ...(gone && { lost: true }) } : { phase };
  }
  const { phase, memory, lost, forgot } = target;
  if (forgot) return { phase: forgot };
  return { phase, ...(memory !== undefined && { memory }), ...(lost && { lost }) };
}

/**
 * A call reaches its side. Changes `sides`; false when the answer has to wait for something that is under way.
 */
export function apply(sides: Sides, deed: Deed): boolean {
  const { source, target } = sides;
  switch (deed.do) {
    case 'look':
      return true;
    case 'claim':
      if (sides.registry === 'unasked') sides.registry = 'promised';
      return true;
    case 'commit':
      if (sides.registry === 'promised') sides.registry = 'committed';
      return true;
    case 'release':
      if (sides.registry !== 'committed') sides.registry = 'released';
      return true;
    case 'begin':
      if (source.phase === 'absent') source.phase = 'begun';
      return true;
    case 'prepare':
      if (deed.recover) {
        if (target.memory === 'stranded') Object.assign(target, { memory: 'awaiting', listens: true });
      } else if (target.phase === 'absent') target.phase = 'prepared';
      return true;
    case 'perform':
      if (deed.recover) {
        const there = source.phase === 'performed' && !source.gone;
        if (there && target.listens) Object.assign(target, { memory: 'arriving', listens: false });
        return true;
      }
      if (source.phase === 'begun') {
        source.phase = 'performing';
        if (target.phase === 'prepared' && target.stream === 'none') target.stream = 'coming';
      }
      return source.phase !== 'performing';
    case 'finish':
      return finish(sides);
    case 'forsake':
      if (target.memory === 'stranded' || target.memory === 'awaiting')
        Object.assign(target, { memory: 'whole', lost: true });
      return true;
    case 'confirm':
      if (source.phase === 'performed') source.phase = 'confirmed';
      return true;
    case 'undo':
      if (deed.at === 'target') undoTarget(target);
      else undoSource(sides, deed.targetUndone);
      return true;
    default:
      throw new TypeError(`nobody is asked to ${deed.do}`);
  }
}

/** From now on nothing is taken back; it waits for what is still on its way. */
function finish({ target }: Sides): boolean {
  if (target.phase === 'prepared') target.phase = 'finishing';
  return target.phase !== 'finishing';
}

function undoTarget(target: Target): void {
  if (target.forgot) target.forgot = 'undone';
  if (target.phase === 'absent' || target.phase === 'prepared') target.phase = 'undone';
}

function undoSource({ source, target, postcopy }: Sides, targetUndone: boolean): void {
  const mayRun = source.phase === 'absent' || source.phase === 'begun' || source.phase === 'performing';
  if (!mayRun && !(source.phase === 'performed' && targetUndone)) return;
  if (postcopy && source.phase === 'performed') source.ended = true;
  source.phase = 'undone';
  if (target.stream === 'coming') target.stream = 'broken';
}

/** What happens on the hosts by itself. */
export function* events(sides: Sides): Iterable<{ label: string; fault: boolean; to: Sides }> {
  const { source, target, postcopy } = sides;
  const become = (label: string, fault: boolean, change: (next: Sides) => void) => {
    const next = copyOfSides(sides);
    change(next);
    return { label, fault, to: next };
  };
  if (source.phase === 'performing') {
    const connected = target.phase === 'prepared' && target.stream === 'coming';
    if (target.phase === 'prepared' && target.stream !== 'broken')
      yield become('the source writes down that it hands over', false, (n) => (n.source.phase = 'performed'));
    yield become('the transfer fails', connected, (n) => {
      n.source.phase = 'undone';
      if (n.target.stream === 'coming') n.target.stream = 'broken';
    });
  }
  // Also before the source has written down that the last of it is on its way.
  if ((source.phase === 'performing' || source.phase === 'performed') && target.stream === 'coming') {
    yield become('everything has arrived', false, (n) => (n.target.stream = 'arrived'));
    yield become('the last of it is lost', true, (n) => {
      n.target.stream = 'broken';
      n.hurt = true;
    });
  }
  if (target.phase === 'finishing') {
    if (target.stream === 'arrived')
      yield become('the target runs', false, (n) => {
        n.target.phase = 'finished';
        if (postcopy) n.target.memory = 'arriving';
      });
    const lost = target.stream === 'broken';
    yield become('the target does not let it run', !lost, (n) => {
      n.target.phase = 'undone';
      n.target.stream = 'broken';
      n.hurt = true;
    });
  }
  if (target.memory === 'arriving') {
    if (!source.gone) yield become('the memory is whole', false, (n) => (n.target.memory = 'whole'));
    yield become('the link breaks', !source.gone, (n) => (n.target.memory = 'stranded'));
  }
  if (target.memory === 'awaiting') {
    if (target.listens) yield become('the link breaks at once', true, (n) => (n.target.listens = false));
    else yield become('nobody has come for long', false, (n) => (n.target.memory = 'stranded'));
  }
  if (postcopy && source.phase === 'performed' && !source.gone) {
    yield become('the process on the source is killed', true, (n) => {
      n.source.gone = true;
      n.hurt = true;
      if (n.target.stream === 'coming') n.target.stream = 'broken';
    });
  }
  // In every other phase it goes on where it was.
  if (source.phase === 'performing') {
    yield become('the source driver is killed and comes back', true, (n) => {
      n.source.phase = 'undone';
      if (n.target.stream === 'coming') n.target.stream = 'broken';
    });
  }
  if (target.phase === 'prepared') {
    yield become('the process that waits on the target is killed', true, (n) => {
      n.target.phase = 'undone';
      n.hurt = true;
    });
  }
}
