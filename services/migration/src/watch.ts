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
/**
 * What a side is in until a call is there: it writes down at once that it sends, or lets run, and says itself whether it
 * prepares. Of other calls the answer is not waited for long, and asking again is left to their time-out.
 */
const untouched: Partial<Record<Deed['do'], MigrationView['phase']>> = {
  prepare: 'absent',
  perform: 'begun',
  finish: 'prepared',
};
/** Looks after which such a call was lost on its way. */
const lostAfter = 5;
const passing: ReadonlySet<MigrationView['phase']> = new Set(['performing', 'finishing']);

export interface Watcher {
  onView: (view: MigrationView) => void;
  /** Called at each look; what it gives ends the wait. */
  onLook: (waitedMs: number) => Promise<Outcome<MigrationView> | undefined>;
}

/** The outcome of a deed: its answer, or what the side tells when the answer does not come. */
export async function watched(
  parties: Pick<Parties, 'ask'>,
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
    const view = viewOf(look);
    if (view) onView(view);
    const arrived = view !== undefined && isNews(view, before);
    // Nobody listens there: whoever took the call is gone.
    if (look === 'away' || arrived) return look;
    // It is asked anew. A call that only was late is joined by the second.
    if (looks >= lostAfter && view && isUntouched(deed, view)) return look;
    const decided = await onLook(performance.now() - began);
    if (decided !== undefined) return decided;
  }
}

const isUntouched = ({ do: what }: Deed, { phase, preparing }: MigrationView): boolean =>
  phase === untouched[what] && (what !== 'prepare' || preparing === false);

const viewOf = (seen: Outcome<MigrationView>): MigrationView | undefined =>
  typeof seen === 'object' && 'view' in seen ? seen.view : undefined;

const isNews = ({ phase }: MigrationView, before: MigrationView['phase'] | undefined): boolean =>
  phase !== before && !passing.has(phase);

const later = (): Promise<undefined> => new Promise((resolve) => setTimeout(resolve, everyMs, undefined).unref());
