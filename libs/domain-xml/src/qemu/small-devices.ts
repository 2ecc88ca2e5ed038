/** Devices with little to say: hubs, panic, vsock, IOMMU, crypto, shared memory, the VM generation id, persistent store. */
import type { Crypto, Hub, Iommu, Panic, Shmem, Vsock } from '../elements/small-devices';
import { aliasOf, unsupported, type Guest, type ObjectProps } from './context';
import { addressProps } from './device-address';
import { onOrOff, props, words, type Props } from './props';
import { virtioProps } from './virtio';
import type { CommandWords } from './words';

export function addHubs(out: CommandWords, guest: Guest): void {
  for (const hub of guest.domain.devices.hubs) out.device(hubProps(guest, hub));
}

export const hubProps = (guest: Guest, hub: Hub): Props =>
  props({ driver: 'usb-hub', id: aliasOf(hub) }, addressProps(guest, hub));

export function addPanics(out: CommandWords, guest: Guest): void {
  for (const panic of guest.domain.devices.panics) {
    const device = panicProps(guest, panic);
    if (device) out.device(device);
  }
}

/** Undefined for what is a feature of the CPU or of the machine. */
function panicProps(guest: Guest, panic: Panic): Props | undefined {
  switch (panic.model) {
    case 'isa':
      return props({ driver: 'pvpanic', ioport: panic.address?.type === 'isa' ? panic.address.iobase : undefined });
    case 'pvpanic':
      return props({ driver: 'pvpanic-pci' }, addressProps(guest, panic));
    default:
      return undefined;
  }
}

export function addVsock(out: CommandWords, guest: Guest): void {
  const { vsock } = guest.domain.devices;
  if (vsock === undefined) return;
  const fd = out.descriptor({ kind: 'vhost-vsock', alias: aliasOf(vsock) });
  out.device(vsockProps(guest, vsock, String(fd)));
}

/** @param fd number or name of an open `/dev/vhost-vsock` */
export function vsockProps(guest: Guest, vsock: Vsock, fd: string): Props {
  const address = vsock.cid?.address;
  if (address === undefined) return unsupported('no context id was chosen for the vsock device');
  return props(
    virtioProps('vhost-vsock', vsock, vsock.driver, vsock.model),
    { id: aliasOf(vsock), 'guest-cid': address, vhostfd: fd },
    addressProps(guest, vsock),
  );
}

export function addIommu(out: CommandWords, guest: Guest): void {
  const { iommu } = guest.domain.devices;
  // ARM's is switched on with the machine.
  if (iommu && iommu.model !== 'smmuv3') out.device(iommuProps(guest, iommu));
}

function iommuProps(guest: Guest, iommu: Iommu): Props {
  const { driver } = iommu;
  if (iommu.model === 'virtio')
    return props({ driver: 'virtio-iommu', id: aliasOf(iommu) }, addressProps(guest, iommu));
  return props({
    driver: 'intel-iommu',
    id: aliasOf(iommu),
    intremap: onOrOff(driver?.intremap),
    'caching-mode': driver?.caching_mode,
    eim: onOrOff(driver?.eim),
    'device-iotlb': driver?.iotlb,
    'aw-bits': driver?.aw_bits,
    'dma-translation': driver?.dma_translation,
  });
}

export function addCryptos(out: CommandWords, guest: Guest): void {
  for (const crypto of guest.domain.devices.cryptos) {
    out.object(cryptoObject(crypto));
    out.device(cryptoProps(guest, crypto));
  }
}

export const cryptoObject = (crypto: Crypto): ObjectProps => ({
  'qom-type': `cryptodev-backend-${crypto.backend.model}`,
  id: `obj${aliasOf(crypto)}`,
  queues: crypto.backend.queues ?? 1,
});

export const cryptoProps = (guest: Guest, crypto: Crypto): Props =>
  props(
    virtioProps('virtio-crypto', crypto, crypto.driver),
    { cryptodev: `obj${aliasOf(crypto)}`, id: aliasOf(crypto) },
    addressProps(guest, crypto),
  );

export function addShmems(out: CommandWords, guest: Guest): void {
  for (const shmem of guest.domain.devices.shmems) {
    if (shmem.model?.type === 'ivshmem-plain') out.object(shmemObject(shmem));
    out.device(shmemProps(guest, shmem));
    if (shmem.model?.type === 'ivshmem-doorbell') out.add('-chardev', shmemChardev(guest, shmem));
  }
}

/** MiB that are shared when the document does not say. */
const defaultShmemSize = 4;

const shmemObject = (shmem: Shmem): ObjectProps => ({
  'qom-type': 'memory-backend-file',
  id: `shmmem-${aliasOf(shmem)}`,
  'mem-path': `/dev/shm/${shmem.name}`,
  size: (shmem.size ?? defaultShmemSize) * 1024 ** 2,
  share: true,
});

const shmemChardev = ({ context }: Guest, shmem: Shmem): string =>
  words('socket', {
    id: `char${aliasOf(shmem)}`,
    path: shmem.server?.path ?? `${context.shmemDir ?? context.runDir}/shmem-${shmem.name}-sock`,
  });

function shmemProps(guest: Guest, shmem: Shmem): Props {
  if (shmem.address?.type !== 'pci')
    return unsupported("only 'pci' addresses are supported for the shared memory device");
  const isPlain = shmem.model?.type === 'ivshmem-plain';
  return props(
    { driver: shmem.model?.type ?? 'ivshmem', id: aliasOf(shmem) },
    isPlain
      ? { memdev: `shmmem-${aliasOf(shmem)}`, master: onOrOff(shmem.role && shmem.role === 'master') }
      : {
          chardev: `char${aliasOf(shmem)}`,
          master: onOrOff(shmem.role && shmem.role === 'master'),
          vectors: shmem.msi?.vectors,
          ioeventfd: shmem.msi?.ioeventfd,
        },
    addressProps(guest, shmem),
  );
}

/** A number by which the guest notices that it was copied or set back. */
export function addGenerationId(out: CommandWords, { domain }: Guest): void {
  if (domain.genid === undefined) return;
  if (domain.genid === '') unsupported('no generation id was chosen for the domain');
  out.device({ driver: 'vmgenid', guid: domain.genid, id: 'vmgenid0' });
}

export function addPersistentStore(out: CommandWords, guest: Guest): void {
  const { pstore } = guest.domain.devices;
  if (pstore === undefined) return;
  const id = aliasOf(pstore);
  out.object({
    'qom-type': 'memory-backend-file',
    id: `mem${id}`,
    'mem-path': pstore.path ?? unsupported('the persistent store has no path'),
    share: true,
    size: (pstore.size ?? 0) * 1024,
  });
  out.device(props({ driver: 'acpi-erst', id, memdev: `mem${id}` }, addressProps(guest, pstore)));
}
