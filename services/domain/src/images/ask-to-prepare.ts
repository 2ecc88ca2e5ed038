/** Storage is asked to prepare, and asked again where its process has died over that: the same claim takes nothing twice. */
import { setTimeout as sleep } from 'node:timers/promises';
import { storageLeases, storagePrepare } from '@virtbus/shared';
import { callDriver, type Bus, type CallContext } from '@virtbus/shared/bus';
import type { z } from 'zod';

/** Between two looks whether storage is at it still, milliseconds. Most are answered before the first. */
const lookMs = 2_000;
/** Looks that find the same until it is believed: an answer may be on its way. */
const believedAfter = 2;

export type Found = z.output<typeof storagePrepare.response>;

/** @param context of each try: what is left of the caller's time */
export async function askToPrepare(
  bus: Bus,
  host: string,
  request: z.input<typeof storagePrepare.request>,
  context: () => CallContext & { domain: string },
): Promise<Found> {
  const at = { host, driver: 'storage' };
  for (;;) {
    const over = new AbortController();
    try {
      const asked = callDriver(bus, at, storagePrepare, request, context());
      asked.catch(() => undefined);
      const found = await Promise.race([asked, untilLost(bus, at, request.claim, context().domain, over.signal)]);
      if (found) return found;
    } finally {
      over.abort();
    }
  }
}

/** Resolves when the process that is there knows nothing of the claim: it was another's. Not while none is there, or it hangs. */
async function untilLost(
  bus: Bus,
  at: { host: string; driver: string },
  claim: string,
  domain: string,
  signal: AbortSignal,
): Promise<undefined> {
  for (let times = 0; times < believedAfter;) {
    await sleep(lookMs, undefined, { ref: false, signal }).catch(() => undefined);
    if (signal.aborted) return;
    const { preparing } = await callDriver(bus, at, storageLeases, { domain }, { domain }).catch(
      (): { preparing?: string[] } => ({}),
    );
    times = preparing?.includes(claim) === false ? times + 1 : 0;
  }
}
