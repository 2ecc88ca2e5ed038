/** When a command that is planned first and done later began: what both name after the time has one name. */
import type { Actor } from './actor';

const beginnings = new WeakMap<Actor, Map<string, number>>();
/** Commands remembered, the latest of a domain. */
const kept = 16;

/**
 * Seconds since 1970; no two commands of a domain began in the same one, for files and snapshots have their names of it.
 * @param id of the command
 */
export function beganAt(actor: Actor, id: string): number {
  const known = beginnings.get(actor) ?? new Map<string, number>();
  beginnings.set(actor, known);
  const now = known.get(id) ?? Math.max(Math.floor(Date.now() / 1_000), 1 + Math.max(0, ...known.values()));
  known.set(id, now);
  if (known.size > kept) known.delete([...known.keys()][0]!);
  return now;
}
