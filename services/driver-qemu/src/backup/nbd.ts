/** A pull is read over NBD: QEMU's server, and an export for each disk. (facts: block-jobs §3.5) */
import type { BackupServer } from '@virtbus/domain-xml/backup';
import { addCredentials } from '../certificates';
import type { QemuGuest } from '../guest';
import { isRefusal } from '../monitor-failure';
import type { NbdAddress } from './saved-backup';

export function addressOf({ transport, name = 'localhost', port, socket = '' }: BackupServer): NbdAddress {
  return transport === 'unix'
    ? { type: 'unix', data: { path: socket } }
    : { type: 'inet', data: { host: name, port: `${port}` } };
}

const tlsId = 'objlibvirt_backup_tls0';

/** @param certificates their folder, when only who shows one may read, and what is read is encrypted */
export async function startServer(
  guest: QemuGuest,
  { addr, certificates }: { addr: NbdAddress; certificates: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  if (certificates !== undefined)
    await addCredentials(guest, { id: tlsId, folder: certificates, end: 'server' }, signal);
  const tls = certificates === undefined ? {} : { 'tls-creds': tlsId };
  await guest.askRaw('nbd-server-start', { addr, ...tls }, signal);
}

/** Ends all exports too. Nothing to do where no server runs. */
export async function stopServer(guest: QemuGuest): Promise<void> {
  await ignoreRefusal(guest.askRaw('nbd-server-stop'));
  if (guest.saved.backup?.tls) await ignoreRefusal(guest.ask('object-del', { id: tlsId }));
}

export interface Export {
  node: string;
  name: string;
  /** On the node or below it. */
  bitmap: string | undefined;
}

/** What is offered already stays as it is. */
export async function addExport(guest: QemuGuest, { node, name, bitmap }: Export, signal: AbortSignal): Promise<void> {
  const id = `libvirt-nbd-${node}`;
  const there = (await guest.askRaw('query-block-exports', undefined, signal)) as { id: string }[];
  if (there.some((one) => one.id === id)) return;
  const bitmaps = bitmap === undefined ? {} : { bitmaps: [bitmap] };
  await guest.askRaw(
    'block-export-add',
    { type: 'nbd', id, 'node-name': node, writable: false, name, ...bitmaps },
    signal,
  );
}

/** QEMU says that there is nothing to do. */
async function ignoreRefusal(asked: Promise<unknown>): Promise<void> {
  try {
    await asked;
  } catch (error) {
    if (!isRefusal(error)) throw error;
  }
}
