/** Post-copy: the guest runs on the target while the rest of its memory follows, and what is done when the link breaks. */
import type { MigrationAsk } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import type { QemuGuest } from '../guest';
import type { MigrationStatus } from '../qmp';
import { anywhere, ownAddress, parsePlace, qemuUri } from './places';
import type { MigrationPorts } from './ports';
import { failureOf, isOver, reach } from './transfer';

/** Source: QEMU goes through its `pre-switchover` and on. */
export async function startPostcopy(guest: QemuGuest, signal: AbortSignal): Promise<void> {
  const { status } = await guest.ask('query-migrate', undefined, signal);
  if (status !== 'active') {
    const detail = `post-copy can only be started while memory is sent; the migration is '${status ?? 'none'}'`;
    throw new VirtError('OPERATION_INVALID', { detail });
  }
  guest.expectPause('post-copy');
  await guest.askRaw('migrate-start-postcopy', undefined, signal);
}

/** Target: listen for the rest on another port. */
export const awaitRest =
  ({ ports, address }: { ports: MigrationPorts; address: string | undefined }) =>
  async (guest: QemuGuest, { options, signal }: MigrationAsk): Promise<{ uri: string }> => {
    const asked = options.uri === undefined ? undefined : parsePlace(options.uri);
    const host = asked?.host ?? ownAddress(address);
    const listen = options.listen ?? anywhere(host);
    const listening = {};
    const port = await ports.occupy(listen, listening, (free) =>
      guest.askRaw('migrate-recover', { uri: qemuUri({ host: listen, port: free }) }, signal),
    );
    // While QEMU listens there nobody else can; it does until somebody has come, or it is to listen anew.
    ports.release(listening);
    return { uri: qemuUri({ host, port }) };
  };

/** How long the target may take to answer a second connection, milliseconds. */
const reconnectMs = 20_000;

/** Source: send the rest. QEMU tells nobody of a connection that it could not make: it goes on being `postcopy-paused`. */
export async function resumeSending(guest: QemuGuest, { uri, signal }: MigrationAsk & { uri: string }): Promise<void> {
  await guest.askRaw('migrate', { uri: qemuUri(parsePlace(uri)), resume: true, detach: true }, signal);
  const sent = (status: MigrationStatus | undefined): boolean => status === 'postcopy-active' || isOver(status);
  const late = AbortSignal.timeout(reconnectMs);
  const on = await reach(guest, sent, AbortSignal.any([signal, late])).catch((error: unknown) => {
    if (!late.aborted) throw error;
    const detail = `the rest of the memory could not be sent to ${uri}: the target did not answer`;
    throw new VirtError('OPERATION_FAILED', { detail });
  });
  if (on.status === 'failed' || on.status === 'cancelled') throw failureOf(on);
}
