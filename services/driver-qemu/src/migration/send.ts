/**
 * The source's part: copies to ready, memory to the switch, and there nothing more is written here.
 *
 *   set up ─▶ disks ready ─▶ migrate ─▶ pre-switchover ─▶ copies end ─▶ handOver() ─▶ migrate-continue ─▶ completed
 *                               │                                                                    └▶ postcopy-active
 *                               └▶ memory alone: STOP ─▶ handOver() while the last of it is sent ─▶ completed
 *
 * Until `handOver` everything can be taken back, and the guest runs on (facts: migration §3, §6, §8).
 */
import type { MigrationAsk } from '@virtbus/driver-runtime';
import { VirtError, type MigrationProgress } from '@virtbus/shared';
import type { QemuGuest } from '../guest';
import { isEvent, type MigrationInfo, type MigrationStatus } from '../qmp';
import { copiedDisks, copyProgress, disksBeingCopied, endCopies, mirrorDisks } from './copied-disks';
import { untilIoError } from './io-errors';
import { topNodes } from './nodes';
import { pausesBeforeSwitchover, resetMigration, setUpMigration, tlsId } from './parameters';
import { parsePlace, qemuUri } from './places';
import { progressOf } from './progress';
import { inTime, watchdog } from './silence';
import { failureOf, isOver, isPostcopy, isUnderWay, reach } from './transfer';

export interface Sending extends MigrationAsk {
  uri: string;
  /** Where the target takes copied disks. */
  nbdPort?: number | undefined;
  /** `certain`: from now on the guest can run here, or there, whatever fails; see `setUpMigration`. */
  handOver: (atSwitch: MigrationInfo, how: { certain: boolean }) => void;
  progress: (now: MigrationProgress) => void;
  /** How long nothing may get through, milliseconds. */
  silenceMs: number;
}

export async function send(guest: QemuGuest, given: Sending): Promise<void> {
  using untilError = untilIoError(guest, given);
  const { signal } = untilError;
  const ask = { ...given, signal };
  const { options, silenceMs } = ask;
  const began = Date.now();
  const disks = copiedDisks(guest.live, options);
  const place = parsePlace(ask.uri);
  let handedOver = false;
  const handOver: Sending['handOver'] = (atSwitch, how) => {
    ask.handOver(atSwitch, how);
    handedOver = true;
    untilError[Symbol.dispose]();
  };
  // What happens to the domain from then on is the target's to tell.
  using _passes = guest.watch((event) => {
    if (!handedOver && isEvent(event, 'MIGRATION_PASS')) tellPass(guest, event.data.pass);
  });
  try {
    await setUpMigration(guest, options, 'source', signal);
    if (disks.length > 0) {
      if (ask.nbdPort === undefined) {
        throw new VirtError('OPERATION_FAILED', { detail: 'the target has not said where it takes copied disks' });
      }
      guest.saved.migration!.copies = disks.map(({ target }) => target.dev ?? '');
      guest.tell({ kind: 'saved' });
      const nodeOf = await topNodes(guest, signal);
      const to = { host: place.host, port: ask.nbdPort, tls: options.tls && tlsId };
      await mirrorDisks(guest, disks, to, options, nodeOf, signal);
      await copiesReady(guest, disks, ask, began);
    }
    if (!options.live && guest.state.state === 'running') await guest.suspend('migration', signal);
    const switched = new Promise<void>((resolve) => guest.expectPause('migration', resolve));
    await guest.ask('migrate', { uri: qemuUri(place), detach: true }, signal);
    const seen = (info: MigrationInfo): void => ask.progress(progressOf(info, began));
    const moving = watchdog(place.host, silenceMs);
    const onTheWay = (info: MigrationInfo): void => {
      seen(info);
      moving(info.ram?.transferred ?? 0);
    };
    if (!pausesBeforeSwitchover(options)) return await sendAtOnce(guest, switched, { ...ask, handOver }, onTheWay);
    const atSwitch = await reach(guest, atSwitchover, signal, onTheWay, silenceMs);
    if (atSwitch.status !== 'pre-switchover') throw failureOf(atSwitch);
    await inTime(silenceMs, 'the copies of disks could not be ended', signal, (time) =>
      endCopies(guest, disks, { force: false }, time),
    );
    handOver(atSwitch, { certain: !options.postcopy });
    await guest.ask('migrate-continue', { state: 'pre-switchover' });
    const end = await reach(guest, (status) => isOver(status) || isPostcopy(status), noSignal, seen);
    if (end.status !== 'completed' && !isPostcopy(end.status)) throw failureOf(end);
  } catch (error) {
    throw signal.aborted ? (signal.reason as Error) : error;
  }
}

/**
 * Memory alone: QEMU goes through the switch by itself. That it has stopped the guest says that the last is on its way,
 * and all that is left to do here is done meanwhile. One that was paused already is handed over when all is sent.
 */
async function sendAtOnce(
  guest: QemuGuest,
  switched: Promise<void>,
  { signal, handOver, silenceMs }: Sending,
  onTheWay: (info: MigrationInfo) => void,
): Promise<void> {
  let latest: MigrationInfo = {};
  const over = reach(guest, isOver, signal, (info) => onTheWay((latest = info)), silenceMs);
  over.catch(() => undefined); // told below
  const first = await Promise.race([switched, over]);
  if (first && first.status !== 'completed') throw failureOf(first);
  handOver(latest, { certain: true });
  const end = await over;
  if (end.status !== 'completed') throw failureOf(end);
}

const atSwitchover = (status: MigrationStatus | undefined): boolean => status === 'pre-switchover' || isOver(status);

/** The memory is gone over once more. */
function tellPass(guest: QemuGuest, iteration: number): void {
  guest.tell({ kind: 'event', class: 'migration-iteration', type: 'pass', data: { iteration } });
}

/** From the switch on the transfer is let go to its end, whoever asks to give it up. */
const noSignal = new AbortController().signal;

async function copiesReady(
  guest: QemuGuest,
  disks: ReturnType<typeof copiedDisks>,
  { uri, signal, progress, silenceMs }: Sending,
  began: number,
): Promise<void> {
  const moving = watchdog(parsePlace(uri).host, silenceMs);
  for (;;) {
    signal.throwIfAborted();
    const { ready, ...done } = await copyProgress(guest, disks, signal);
    progress({ elapsedMs: Date.now() - began, disks: done });
    if (ready) return;
    moving(done.processed);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/**
 * Stop sending and put everything back as it was; the guest is let run by whoever paused it. QEMU lets it run itself when
 * it had paused it for the switch.
 *
 * QEMU gives up once a connection that it is making has come about or failed; and 7.2 never does when it makes several to a
 * target that is killed meanwhile. The guest need not wait for that: what cannot be put back yet, the next migration sets anew.
 * @param patienceMs how long QEMU may take
 */
export async function withdraw(guest: QemuGuest, patienceMs: number): Promise<void> {
  const { status } = await guest.ask('query-migrate');
  let gaveUp = true;
  if (isUnderWay(status)) {
    guest.expectRun('migration-canceled');
    if (status !== 'cancelling') await guest.ask('migrate_cancel');
    const late = AbortSignal.timeout(patienceMs);
    gaveUp = await reach(guest, isOver, late).then(
      () => true,
      (error: unknown) => {
        if (!late.aborted) throw error;
        return false;
      },
    );
    if (!gaveUp) guest.log.warn('QEMU does not give its migration up; until it has, this guest cannot be moved');
  }
  await endCopies(guest, disksBeingCopied(guest), { force: true });
  if (gaveUp) await resetMigration(guest);
}
