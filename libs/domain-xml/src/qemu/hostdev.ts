/** Devices of the host that the guest gets: USB, PCI, SCSI, mediated. The caller has found and detached them. */
import { VirtError } from '@virtbus/shared';
import type { Hostdev } from '../elements/hostdev';
import type { Interface } from '../elements/interface';
import { findController } from '../passes/controllers';
import { emptySource, type Image } from './block-chain';
import { bootProps } from './boot-order';
import { aliasOf, unsupported, type Guest, type ObjectProps } from './context';
import { addressProps, controllerAlias } from './device-address';
import { onOrOff, props, type Props } from './props';
import { romProps } from './rom';
import { secretObject } from './secrets';
import { hostPciAddress, protocolProps } from './storage-protocols';
import { virtioProps } from './virtio';
import type { CommandWords } from './words';

/** `firstIndex` numbers the nodes of SCSI devices. Returns the next number. */
export function addHostdevs(out: CommandWords, guest: Guest, firstIndex: number): number {
  let next = firstIndex;
  for (const network of guest.domain.devices.interfaces)
    if (network.type === 'hostdev') out.device(hostInterfaceProps(guest, network));
  for (const hostdev of guest.domain.devices.hostdevs) {
    // Listed, but not given to the guest.
    if (hostdev.address?.type === 'unassigned') continue;
    if (hostdev.mode !== 'subsystem') unsupported(`hostdev mode '${hostdev.mode}' is not supported by QEMU`);
    switch (hostdev.type) {
      case 'usb':
        out.device(usbHostProps(guest, hostdev));
        break;
      case 'pci':
        out.device(pciHostProps(guest, hostdev));
        break;
      case 'mdev':
        out.device(mediatedProps(guest, hostdev));
        break;
      case 'scsi': {
        const { objects, node, device } = scsiHost(guest, hostdev, next++);
        out.objects(objects);
        out.blockdev(node);
        out.device(device);
        break;
      }
      case 'scsi_host': {
        const fd = out.descriptor({ kind: 'vhost-scsi', alias: aliasOf(hostdev) });
        out.device(vhostScsiProps(guest, hostdev, String(fd)));
        break;
      }
      default:
        unsupported(`hostdev type '${hostdev.type}' is not supported by QEMU`);
    }
  }
  return next;
}

export function usbHostProps(guest: Guest, hostdev: Hostdev): Props {
  const { address, missing, guestReset } = hostdev.source ?? {};
  const number = (value: number | undefined): string => String(value ?? 0).padStart(3, '0');
  if (!missing && address?.device === undefined)
    throw new VirtError('INTERNAL_ERROR', { detail: 'a USB host device has to be found on its bus before it is used' });
  return props(
    {
      driver: 'usb-host',
      hostdevice: missing ? undefined : `/dev/bus/usb/${number(address?.bus)}/${number(address?.device)}`,
      'guest-reset': guestReset && guestReset !== 'off' ? true : guestReset === 'off' ? false : undefined,
      'guest-resets-all': guestReset && guestReset === 'on' ? true : guestReset === 'uninitialized' ? false : undefined,
      id: aliasOf(hostdev),
      ...bootProps(guest, hostdev),
    },
    addressProps(guest, hostdev),
  );
}

export function pciHostProps(guest: Guest, hostdev: Hostdev): Props {
  const { ramfb, display, teaming } = hostdev;
  return props(
    {
      // A firmware's framebuffer can not be unplugged.
      driver: ramfb ? 'vfio-pci-nohotplug' : 'vfio-pci',
      host: hostPciAddress(hostdev.source?.address),
      id: aliasOf(hostdev),
      failover_pair_id: teaming?.type === 'transient' ? teaming.persistent : undefined,
      display: onOrOff(display),
      ramfb: ramfb || undefined,
      ...bootProps(guest, hostdev),
    },
    addressProps(guest, hostdev),
    romProps(hostdev),
  );
}

/** An interface that is a PCI device of the host. */
export function hostInterfaceProps(guest: Guest, network: Interface): Props {
  return props(
    {
      driver: 'vfio-pci',
      host: hostPciAddress(network.source?.hostAddress),
      id: aliasOf(network),
      failover_pair_id: network.teaming?.type === 'transient' ? network.teaming.persistent : undefined,
      ...bootProps(guest, network),
    },
    addressProps(guest, network),
    romProps(network),
  );
}

export function mediatedProps(guest: Guest, hostdev: Hostdev): Props {
  const model = hostdev.model ?? unsupported('a mediated device needs a model');
  const { ramfb, display } = hostdev;
  return props(
    {
      driver: ramfb ? `${model}-nohotplug` : model,
      id: aliasOf(hostdev),
      sysfsdev: `/sys/bus/mdev/devices/${hostdev.source?.address?.uuid ?? ''}`,
      display: onOrOff(display),
      ramfb: ramfb || undefined,
      ...bootProps(guest, hostdev),
    },
    addressProps(guest, hostdev),
    romProps(hostdev),
  );
}

export function vhostScsiProps(guest: Guest, hostdev: Hostdev, fd: string): Props {
  return props(
    virtioProps('vhost-scsi', hostdev, {}, hostdev.model),
    { wwpn: hostdev.source?.wwpn, vhostfd: fd, id: aliasOf(hostdev) },
    addressProps(guest, hostdev),
  );
}

/** A SCSI LUN of the host or of an iSCSI server: its node and the device that passes commands through. */
export function scsiHost(
  guest: Guest,
  hostdev: Hostdev,
  index: number,
): { objects: ObjectProps[]; node: Props; device: Props } {
  const name = `libvirt-${index}-backend`;
  const { source } = hostdev;
  const image = scsiImage(guest, hostdev, index);
  const auth = source?.auth;
  const secret = `${name}-secret0`;
  const opened = protocolProps(guest, image, { storage: name, top: name });
  return {
    objects: auth
      ? [secretObject(guest, secret, { type: 'iscsi', uuid: auth.secret.uuid, usage: auth.secret.usage })]
      : [],
    node: props(opened, auth ? { 'password-secret': secret } : {}, {
      'node-name': name,
      'read-only': hostdev.readonly === true,
    }),
    device: scsiGenericProps(guest, hostdev, name),
  };
}

function scsiImage(guest: Guest, hostdev: Hostdev, index: number): Image {
  const source = hostdev.source ?? unsupported('a SCSI host device needs a source');
  const common = {
    name: `libvirt-${index}`,
    format: 'raw',
    readOnly: hostdev.readonly === true,
    below: 'end',
  } as const;
  if (source.protocol === 'iscsi')
    return {
      ...common,
      type: 'network',
      source: {
        ...emptySource(),
        protocol: 'iscsi',
        name: source.name,
        hosts: source.hosts.map(({ name, port }) => ({ name, port, transport: 'tcp' as const })),
        initiator: source.initiator,
      },
      auth: source.auth,
    };
  const device =
    guest.context.scsiGeneric?.(source.adapter?.name ?? '', source.address ?? {}) ??
    unsupported(`the SCSI device on adapter '${source.adapter?.name ?? ''}' was not looked up on the host`);
  return { ...common, type: 'block', source: { ...emptySource(), dev: device } };
}

function scsiGenericProps(guest: Guest, hostdev: Hostdev, node: string): Props {
  const { address } = hostdev;
  if (address?.type !== 'drive') return unsupported('a SCSI host device sits on a SCSI controller');
  const isLsi = findController(guest.domain, 'scsi', address.controller)?.model === 'lsilogic';
  return props({
    driver: 'scsi-generic',
    drive: node,
    id: aliasOf(hostdev),
    ...bootProps(guest, hostdev),
    bus: `${controllerAlias(guest, 'scsi', address.controller)}.0`,
    ...(isLsi ? { 'scsi-id': address.unit } : { channel: address.bus, 'scsi-id': address.target, lun: address.unit }),
  });
}
