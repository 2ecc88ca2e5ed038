/**
 * The target's part: a QEMU that waits for the guest, listening for its memory and, where they are copied, for its disks;
 * and letting it run once all is there (facts: migration §3).
 */
import type { MigrationAsk, StartSpec } from '@virtbus/driver-runtime';
import { bootGuest, type BootHost } from '../boot';
import type { QemuGuest } from '../guest';
import { copiedDisks, serveDisks, stopServing } from './copied-disks';
import { topNodes } from './nodes';
import { resetMigration, setUpMigration } from './parameters';
import { anywhere, ownAddress, parsePlace, qemuUri } from './places';
import type { MigrationPorts } from './ports';
import { requireUserfaultfd } from './userfaultfd';
import { failureOf, isOver, isPostcopy, reach } from './transfer';

export interface Reception {
  boot: BootHost;
  ports: MigrationPorts;
  /** How other hosts reach this one; found out when left out. */
  address: string | undefined;
}

export interface Received {
  guest: QemuGuest;
  uri: string;
  /** Where disks are copied to. */
  nbdPort: number | undefined;
}

export async function receive(
  { boot, ports, address }: Reception,
  spec: Omit<StartSpec, 'restore' | 'paused'>,
  { options, signal }: MigrationAsk,
): Promise<Received> {
  const asked = options.uri === undefined ? undefined : parsePlace(options.uri);
  const host = asked?.host ?? ownAddress(address);
  const listen = options.listen ?? anywhere(host);
  const port = asked?.port ?? (await ports.take(listen));
  const disks = copiedDisks(spec.domain, options);
  const nbdPort = disks.length === 0 ? undefined : (options.disksPort ?? (await ports.take(listen)));
  const release = (): void => ports.release(port, nbdPort);
  let guest: QemuGuest | undefined;
  try {
    if (options.postcopy) await requireUserfaultfd(boot.capabilities.emulator, boot.user);
    guest = await bootGuest({ ...spec, paused: true, incoming: true }, boot);
    void guest.ended.then(release);
    await setUpMigration(guest, options, 'target', signal);
    if (nbdPort !== undefined) {
      const served = copiedDisks(guest.live, options);
      await serveDisks(guest, served, { host: listen, port: nbdPort }, await topNodes(guest, signal), signal);
    }
    await guest.ask('migrate-incoming', { uri: qemuUri({ host: listen, port }) }, signal);
  } catch (error) {
    release();
    await guest?.destroy({ graceful: false, reason: 'failed', detail: 'failed' });
    throw error;
  }
  return { guest, uri: qemuUri({ host, port }), nbdPort };
}

/** Everything has arrived, or post-copy brings the rest: let it run, unless it is to stay paused. */
export async function finish(guest: QemuGuest, { options, signal }: MigrationAsk): Promise<void> {
  const arrived = await reach(guest, (status) => isOver(status) || isPostcopy(status), signal);
  if (arrived.status === 'failed' || arrived.status === 'cancelled') throw failureOf(arrived);
  await stopServing(guest, signal);
  if (!options.paused) await guest.resume(arrived.status === 'completed' ? 'migrated' : 'post-copy');
  if (arrived.status === 'completed') await resetMigration(guest, signal);
}
