/** What a newer manager adds to the notes of an older one: names that used to follow from the devices' aliases. */
import type { Disk } from '../elements/disk';
import type { Hostdev } from '../elements/hostdev';
import type { StorageSource } from '../elements/storage-source';
import { fillStatusDomain } from '../passes/prepare';
import type { DomainStatus } from './elements';

export interface StatusPlaces {
  /** Folder for the memory of guests that is backed by files. */
  readonly memoryDir: string;
}

/** In place. */
export function upgradeStatus(status: DomainStatus, places: StatusPlaces): void {
  const { domain } = status;
  fillStatusDomain(domain);
  status.memoryBackingDir ??= { path: `${places.memoryDir}/${domain.id}-${domain.name.slice(0, 20)}` };
  const flags = new Set(status.qemuCaps?.flags.map(({ name }) => name));
  for (const hostdev of domain.devices.hostdevs) {
    if (hostdev.type !== 'scsi') continue;
    if (flags.has('blockdev-hostdev-scsi')) nameBackend(hostdev);
    if (!flags.has('blockdev')) nameSecret(hostdev.source, hostdev.source?.auth !== undefined, hostdev.alias?.name);
  }
  // Nodes of a newer QEMU are named by their images, and every name is written down.
  if (flags.has('blockdev')) return;
  for (const disk of domain.devices.disks) nameDiskSecrets(disk);
}

function nameBackend({ source, alias }: Hostdev): void {
  if (!source || source.privateData?.nodenames) return;
  const nodenames = [{ type: 'storage', name: `libvirt-${alias?.name}-backend` }];
  source.privateData = { ...source.privateData, nodenames: { nodenames } };
}

function nameDiskSecrets({ source, alias, type }: Disk): void {
  nameSecret(source, type === 'network' && source?.auth !== undefined, alias?.name);
  if (source?.encryption?.secret.length) addSecret(source, 'encryption', `${alias?.name}-luks-secret0`);
  if (source?.tls && !source.privateData?.objects?.tls) {
    const { secrets = [] } = source.privateData?.objects ?? {};
    source.privateData = { ...source.privateData, objects: { secrets, tls: { alias: `obj${alias?.name}_tls0` } } };
  }
}

type Private = Pick<StorageSource, 'privateData'>;

function nameSecret(source: Private | undefined, has: boolean, alias: string | undefined): void {
  if (source && has) addSecret(source, 'auth', `${alias}-secret0`);
}

function addSecret(source: Private, type: 'auth' | 'encryption', alias: string): void {
  const objects = source.privateData?.objects;
  if (objects?.secrets.some((one) => one.type === type)) return;
  const secrets = [...(objects?.secrets ?? []), { type, alias }];
  source.privateData = { ...source.privateData, objects: { ...objects, secrets } };
}
