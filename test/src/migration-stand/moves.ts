/** Moves of one guest from host to host, and what is to be said of each: how long it was not heard, and what is wrong. */
import { readdirSync, rmSync } from 'node:fs';
import { imagesOf } from './copies';
import type { Kind } from './kinds';
import type { MovingGuest } from './moving-guest';
import { faultsOfRunning } from './sound';
import { longestSilence } from './ticks';

export interface MoveResult {
  kind: string;
  from: string;
  to: string;
  /** From the request until nobody is owed anything, milliseconds. */
  tookMs: number;
  /** The longest that the guest was not heard on the network, milliseconds; undefined for one that was off. */
  silentMs: number | undefined;
  faults: string[];
}

/** How long a guest may not be heard, milliseconds: one that is paused before its memory is sent stands still longest. */
const silenceLimitMs = 30_000;

/** To the next host of its stand. */
export async function moveOn(guest: MovingGuest, kind: Kind): Promise<MoveResult> {
  const { hosts } = guest.stand;
  const from = guest.host;
  const to = hosts[(hosts.indexOf(from) + 1) % hosts.length]!;
  const wish = await kind.wish(guest);
  if (kind.offline) await guest.destroy();
  else await guest.isHeard();
  const began = performance.now();
  const last = guest.heardSince(0).at(-1)!;
  await guest.move(to, wish);
  const tookMs = performance.now() - began;
  if (kind.offline) await guest.boot();
  await guest.isHeard();
  const faults = guest.host === to ? [] : [`it lives on ${guest.host}, not on ${to}`];
  if (!guest.answers()) faults.push('it does not answer on the network');
  const silentMs = kind.offline ? undefined : longestSilence([last, ...guest.heardSince(began)]);
  if (silentMs !== undefined && silentMs > silenceLimitMs)
    faults.push(`it was not heard for ${Math.round(silentMs)} ms`);
  faults.push(...guest.countingFaults(), ...(await faultsOfRunning(guest, { leaks: kind.offline === true })));
  await tidy(guest);
  return { kind: kind.name, from, to, tookMs, silentMs, faults };
}

/** Images that no disk stands on any more go. */
export async function tidy(guest: MovingGuest): Promise<void> {
  const used = new Set(Object.values(await imagesOf(guest)).flat());
  for (const name of readdirSync(guest.disks.folder)) if (!used.has(name)) rmSync(guest.disks.file(name));
}
