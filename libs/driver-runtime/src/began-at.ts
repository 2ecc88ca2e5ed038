/** When a command that is planned first and done later began: what both name after the time has one name. */
import type { Actor } from './actor';

const beginnings = new WeakMap<Actor, Map<string, number>>();
/** Commands remembered, the latest of a domain. */
const kept = 16;

/** Seconds since 1970. @param id of the command */
export function beganAt(actor: Actor, id: string): number {
  const known = beginnings.get(actor) ?? new Map<string, number>();
  beginnings.set(actor, known);
  const now = known.get(id) ?? Math.floor(Date.now() / 1_000);
  known.set(id, now);
  if (known.size > kept) known.delete([...known.keys()][0]!);
  return now;
}
