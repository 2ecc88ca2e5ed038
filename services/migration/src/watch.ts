/**
 * Beside a call that takes its time the side is asked how far it is: its progress is shown, and a host whose driver has died
 * with our call is not waited for.
 */
import type { MigrationView } from '@virtbus/shared';
import { isKnown, sideOf, type Deed, type Mind, type Outcome } from '@virtbus/migration-saga';
import type { Saga } from './journal';
import type { Parties } from './parties';

/** Between two looks, milliseconds. */
const everyMs = 1_000;
/** Looks after which a transfer that has not begun never will: our call was lost on its way. */
const lostAfter = 5;
const passing: ReadonlySet<MigrationView['phase']> = new Set(['performing', 'finishing']);

export interface Watcher {
  onView: (view: MigrationView) => void;
  /** Called at each look; what it gives ends the wait. */
  onLook: (waitedMs: number) => Promise<Outcome<MigrationView> | undefined>;
}

/** The outcome of a deed: its answer, or what the side tells when the answer does not come. */
export async function watched(
  parties: Parties,
  saga: Saga,
  mind: Mind<MigrationView>,
  deed: Deed,
  { onView, onLook }: Watcher,
): Promise<Outcome<MigrationView>> {
  const answer = parties.ask(saga, mind, deed);
  const at = sideOf(deed);
  if (at === undefined || deed.do === 'look') return answer;
  const began = performance.now();
  const was = mind[at];
  const before = isKnown(was) ? was.phase : undefined;
  for (let looks = 1; ; looks++) {
    const first = await Promise.race([answer, later()]);
    if (first !== undefined) return first;
    const look = await Promise.race([answer, parties.ask(saga, mind, { do: 'look', at })]);
    if (typeof look === 'object' && 'view' in look) onView(look.view);
    const arrived = typeof look === 'object' && 'view' in look && isNews(look.view, before);
    // Nobody listens there: whoever took the call is gone.
    if (look === 'away' || arrived) return look;
    // Whoever takes the call writes down at once that it sends: asked again, it does so once.
    const isLost = deed.do === 'perform' && before === 'begun' && looks >= lostAfter;
    if (isLost && typeof look === 'object' && 'view' in look && look.view.phase === before) return look;
    const decided = await onLook(performance.now() - began);
    if (decided !== undefined) return decided;
  }
}

const isNews = ({ phase }: MigrationView, before: MigrationView['phase'] | undefined): boolean =>
  phase !== before && !passing.has(phase);

const later = (): Promise<undefined> => new Promise((resolve) => setTimeout(resolve, everyMs, undefined).unref());
