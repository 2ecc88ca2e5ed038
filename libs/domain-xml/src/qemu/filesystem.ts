/** Folders of the host in the guest: 9p, virtiofs, MTP. */
import type { Filesystem } from '../elements/filesystem';
import { bootProps } from './boot-order';
import { aliasOf, unsupported, type Guest } from './context';
import { addressProps } from './device-address';
import { vhostUserChardevId } from './disk';
import { props, words, type Props } from './props';
import { virtioProps } from './virtio';
import type { CommandWords } from './words';

export function addFilesystems(out: CommandWords, guest: Guest): void {
  for (const filesystem of guest.domain.devices.filesystems) {
    switch (filesystem.driver?.type) {
      case 'virtiofs':
        out.add(
          '-chardev',
          words('socket', { id: vhostUserChardevId(filesystem), path: virtiofsSocket(guest, filesystem) }),
        );
        out.device(virtiofsProps(guest, filesystem));
        break;
      case 'mtp':
        out.device(mtpProps(guest, filesystem));
        break;
      default:
        out.add('-fsdev', fsdevWords(filesystem));
        out.device(ninepProps(guest, filesystem));
    }
  }
}

/** The socket of the daemon that serves the folder. */
export const virtiofsSocket = ({ context }: Guest, filesystem: Filesystem): string =>
  filesystem.source?.socket ?? `${context.domainDir}/${aliasOf(filesystem)}-fs.sock`;

export function virtiofsProps(guest: Guest, filesystem: Filesystem): Props {
  return props(
    virtioProps('vhost-user-fs', filesystem, filesystem.driver, filesystem.model),
    {
      id: aliasOf(filesystem),
      chardev: vhostUserChardevId(filesystem),
      'queue-size': filesystem.driver?.queue,
      tag: filesystem.target?.dir,
      ...bootProps(guest, filesystem),
    },
    addressProps(guest, filesystem),
  );
}

function mtpProps(guest: Guest, filesystem: Filesystem): Props {
  return props(
    {
      driver: 'usb-mtp',
      id: aliasOf(filesystem),
      rootdir: filesystem.source?.dir,
      desc: filesystem.target?.dir,
      readonly: filesystem.readonly === true,
    },
    addressProps(guest, filesystem),
  );
}

const securityModels = { passthrough: 'passthrough', mapped: 'mapped', squash: 'none' } as const;

function fsdevWords(filesystem: Filesystem): string {
  const { driver, accessmode = 'passthrough', multidevs, fmode, dmode } = filesystem;
  const octal = (mode: number | undefined): string | undefined => mode?.toString(8).padStart(4, '0');
  const isHandle = driver?.type === 'handle';
  if (isHandle && accessmode !== 'passthrough')
    return unsupported("only passthrough access mode is supported for the 'handle' filesystem driver");
  return words(isHandle ? 'handle' : 'local', {
    security_model: isHandle ? undefined : securityModels[accessmode],
    multidevs: multidevs === 'default' ? undefined : multidevs,
    fmode: octal(fmode),
    dmode: octal(dmode),
    writeout: driver?.wrpolicy,
    id: fsdevId(filesystem),
    path: filesystem.source?.dir,
    readonly: filesystem.readonly || undefined,
  });
}

const fsdevId = (filesystem: Filesystem): string => `fsdev-${aliasOf(filesystem)}`;

function ninepProps(guest: Guest, filesystem: Filesystem): Props {
  return props(
    virtioProps('virtio-9p', filesystem, filesystem.driver, filesystem.model),
    { id: aliasOf(filesystem), fsdev: fsdevId(filesystem), mount_tag: filesystem.target?.dir },
    addressProps(guest, filesystem),
  );
}
