/** A driver that comes up on a disk that is full: what became of its guests could neither be told nor written down. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '@virtbus/shared/log';

/** What taking up guests writes, bytes; rather more. */
const neededBytes = 256 * 1024;
const againMs = 1_000;

/** Resolves when there is room in the folder. What else keeps files from being written is for who writes them to tell. */
export async function untilThereIsRoom(folder: string, log: Log): Promise<void> {
  for (let isTold = false; isFull(folder); isTold = true) {
    if (!isTold)
      log.error({ folder }, 'no space left on the device: guests run on, and are taken up as soon as there is room');
    await sleep(againMs);
  }
}

function isFull(folder: string): boolean {
  const probe = join(folder, 'room.part');
  try {
    writeFileSync(probe, Buffer.alloc(neededBytes), { mode: 0o600 });
    return false;
  } catch (error) {
    return ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');
  } finally {
    rmSync(probe, { force: true });
  }
}
