/**
 * After a power cut the host's disk does not know what was told in the last seconds (ext4 writes five seconds later what nobody
 * flushes): the log may have told that a guest runs which the disk has as shut off. Whoever reads the log hears of its end, too.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isActive, type DomainEvent } from '@virtbus/shared';
import type { Actor } from './actor';
import { againMs } from './died-over';
import type { Guest } from './driver';
import type { DriverHost } from './host';

/** Domains that the log is asked about at a time. */
const width = 16;

/** The last event of a domain that the log has from this host. Throws while it cannot be read. */
type LastTold = (uuid: string) => Promise<DomainEvent | undefined>;

/** Resolves when the log has been asked about all that this boot had not seen before, or on `signal`. */
export async function tellEndsOfLastBoot<G extends Guest>(
  host: DriverHost<G>,
  lastTold: LastTold,
  signal: AbortSignal,
): Promise<void> {
  while (host.ofEarlierBoot.size > 0 && !signal.aborted) {
    const open = [...host.ofEarlierBoot];
    const work = async (): Promise<void> => {
      for (let next = open.pop(); next; next = open.pop()) await tellEnd(host, next[0], next[1], lastTold);
    };
    await Promise.all(Array.from({ length: width }, work)).catch(async (err: unknown) => {
      host.log.debug({ err }, 'what was told before the host booted is not known yet');
      await sleep(againMs, undefined, { ref: false });
    });
  }
}

async function tellEnd<G extends Guest>(
  host: DriverHost<G>,
  actor: Actor<G>,
  { onDisk, loaded }: { onDisk: number; loaded: number },
  lastTold: LastTold,
): Promise<void> {
  const last = (await lastTold(actor.uuid))?.domain;
  host.ofEarlierBoot.delete(actor);
  const { epoch, revision } = actor.record;
  const isUntouched = host.find(actor.uuid) === actor && !actor.active && revision === loaded;
  if (!last || !isUntouched || last.epoch !== epoch || last.revision <= onDisk || !isActive(last.state)) return;
  actor.enter({ state: 'shutoff', reason: 'crashed' });
  actor.lifecycle('stopped', 'failed', null);
}
