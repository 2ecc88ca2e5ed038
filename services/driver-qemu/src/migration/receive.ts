/**
 * The target's part: a QEMU that waits for the guest, listening for its memory and, where they are copied, for its disks;
 * and letting it run once all is there (facts: migration §3).
 */
import { endFailed, type MigrationAsk, type StartSpec } from '@virtbus/driver-runtime';
import { bootGuest, type BootHost } from '../boot';
import type { QemuGuest } from '../guest';
import { isRefusal } from '../monitor-failure';
import { copiedDisks, exportDisks, serveDisks, stopServing } from './copied-disks';
import { topNodes } from './nodes';
import { resetMigration, setUpMigration, tlsId } from './parameters';
import { anywhere, ownAddress, parsePlace, qemuUri } from './places';
import type { MigrationPorts } from './ports';
import { requireUserfaultfd } from './userfaultfd';
import { inTime } from './silence';
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
  if (options.postcopy) await requireUserfaultfd(boot.capabilities.emulator, boot.user);
  const guest = await bootGuest({ ...spec, paused: true, incoming: true }, boot);
  try {
    await setUpMigration(guest, options, 'target', signal);
    const at = { listen, ports, guest };
    const disks = copiedDisks(guest.live, options);
    const serve = (nbdPort: number) =>
      serveDisks(guest, { host: listen, port: nbdPort, tls: options.tls && tlsId }, signal);
    const nbdPort = disks.length === 0 ? undefined : await occupied(at, options.disksPort, serve);
    if (disks.length > 0) await exportDisks(guest, disks, await topNodes(guest, signal), signal);
    const port = await occupied(at, asked?.port, (free) =>
      guest.ask('migrate-incoming', { uri: qemuUri({ host: listen, port: free }) }, signal),
    );
    return { guest, uri: qemuUri({ host, port }), nbdPort };
  } catch (error) {
    await endFailed(guest, spec.log);
    throw error;
  }
}

/** Listen on the port that is asked for, or on one of this host's until the guest has arrived or is gone. */
async function occupied(
  { listen, ports, guest }: { listen: string; ports: MigrationPorts; guest: QemuGuest },
  asked: number | undefined,
  begin: (port: number) => Promise<unknown>,
): Promise<number> {
  if (asked !== undefined) {
    await begin(asked);
    return asked;
  }
  const port = await ports.occupy(listen, guest, begin);
  void guest.ended.then(() => ports.release(guest));
  return port;
}

/** Everything has arrived, or post-copy brings the rest: let it run, unless it is to stay paused. */
export async function finish(
  guest: QemuGuest,
  { options, signal, peer, letRun }: MigrationAsk & { letRun: (may: boolean) => void },
  { ports, silenceMs }: { ports: Pick<MigrationPorts, 'release'>; silenceMs: number },
): Promise<void> {
  const late = `the last of the memory has not arrived from host '${peer.host}'`;
  const arrived = await inTime(silenceMs + (options.downtimeMs ?? 0), late, signal, (time) =>
    reach(guest, (status) => isOver(status) || isPostcopy(status), time),
  );
  if (arrived.status === 'failed' || arrived.status === 'cancelled') throw failureOf(arrived);
  if (copiedDisks(guest.live, options).length > 0) await stopServing(guest, signal);
  // Where QEMU still listens nobody else can.
  ports.release(guest);
  if (!options.paused) await run(guest, arrived.status === 'completed' ? 'migrated' : 'post-copy', letRun);
  if (arrived.status === 'completed') await resetMigration(guest, signal);
}

/** An answer that is lost leaves open whether it runs; a refusal does not. */
async function run(guest: QemuGuest, reason: 'migrated' | 'post-copy', letRun: (may: boolean) => void): Promise<void> {
  letRun(true);
  try {
    await guest.resume(reason);
  } catch (error) {
    if (isRefusal(error)) letRun(false);
    throw error;
  }
}
