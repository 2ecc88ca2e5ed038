/** The ways in which a guest is moved. */
import { makeCertificates } from '../integration/certificates';
import { disks } from '../block-stand/writing-guest';
import { copied } from './copies';
import type { MovingGuest, Wish } from './moving-guest';
import type { MigrationStand } from './stand';

export interface Kind {
  name: string;
  /** What is asked for, once all that it needs is there. */
  wish(guest: MovingGuest): Promise<Wish> | Wish;
  /** The guest is off while it moves, and boots afterwards. */
  offline?: boolean;
}

const mib = 1024 * 1024;

export const kinds: readonly Kind[] = [
  { name: 'live', wish: () => ({}) },
  { name: 'paused', wish: () => ({ live: false }) },
  { name: 'top layers copied', wish: async (guest) => ({ storage: 'top', ...(await copied(guest, disks, 'top')) }) },
  {
    name: 'one disk copied',
    wish: async (guest) => ({ storage: 'full', disks: ['vdb'], ...(await copied(guest, ['vdb'], 'full')) }),
  },
  { name: 'all copied', wish: async (guest) => ({ storage: 'full', ...(await copied(guest, disks, 'full')) }) },
  {
    name: 'post-copy',
    wish: () => ({ postcopy: true, bandwidth: 16 * mib, timeout: { afterMs: 100, action: 'postcopy' } }),
  },
  { name: 'multifd', wish: () => ({ parallel: 2 }) },
  { name: 'xbzrle', wish: () => ({ compression: { method: 'xbzrle', cacheBytes: 16 * mib } }) },
  { name: 'auto-converge', wish: () => ({ autoConverge: { initial: 30, increment: 20 } }) },
  { name: 'TLS', wish: ({ stand }) => ({ tls: { directory: certificatesOf(stand) } }) },
  { name: 'offline', wish: () => ({ live: false, offline: true }), offline: true },
];

const made = new WeakMap<MigrationStand, string>();

function certificatesOf(stand: MigrationStand): string {
  const addresses = stand.hosts.map((host) => stand.namespaces.address(host));
  const folder = made.get(stand) ?? makeCertificates(stand.shared.file('certificates'), ...addresses);
  made.set(stand, folder);
  return folder;
}
