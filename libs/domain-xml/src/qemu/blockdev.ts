/**
 * Block nodes of images and disks, in the order in which they are added: objects, protocol, slice, format, from the deepest image
 * upward, then the disk's filters. The same for `-blockdev` and for `blockdev-add`.
 */
import type { Disk } from '../elements/disk';
import { canHaveBacking, imageOf, type Image } from './block-chain';
import { isEncryptedHere, layersOf, type Layers } from './block-layers';
import { authSecret, cookieSecret, encryptionSecret, tlsObject } from './block-secrets';
import { unsupported, type DescriptorUse, type Guest, type ObjectProps } from './context';
import { props, type JsonValue, type LooseProps, type Props } from './props';
import { secretObject, tlsCredentials } from './secrets';
import { isServedByNbdkit, managerAlias, protocolProps } from './storage-protocols';

/** One thing to add before a device can be plugged in; to be taken away in the reverse order. */
export type BlockStep =
  | { readonly kind: 'object'; readonly props: ObjectProps }
  | { readonly kind: 'node'; readonly props: Props }
  /** Descriptors, to be known to QEMU as `/dev/fdset/N`. */
  | { readonly kind: 'descriptors'; readonly set: number; readonly members: readonly { fd: number; opaque: string }[] };

/** Hands out numbers: of sets of descriptors, and of descriptors that the caller passes. */
export interface Passing {
  nextFdSet(): number;
  descriptor(use: DescriptorUse): number;
}

/** A running guest takes no descriptors. */
export const nothingPassed: Passing = { nextFdSet: refuseDescriptors, descriptor: refuseDescriptors };

export function refuseDescriptors(): never {
  return unsupported('descriptors cannot be handed to a running guest');
}

/** All that has to be added for one disk, and the node its device then uses. */
export interface DiskBlocks {
  readonly steps: readonly BlockStep[];
  /** Undefined for an empty drive. */
  readonly top: string | undefined;
}

/**
 * The steps for a disk whose images are numbered.
 * @param filters numbers of its throttle filters
 */
export function diskBlocks(guest: Guest, disk: Disk, filters: readonly number[], passing: Passing): DiskBlocks {
  const image = imageOf(disk);
  if (image === undefined) return { steps: [], top: undefined };
  const steps = chainSteps(guest, image, passing);
  let { top } = layersOf(guest, image);
  const filter = (node: LooseProps & { 'node-name': string }): void => {
    steps.push({ kind: 'node', props: props(node) });
    top = node['node-name'];
  };
  if (disk.driver?.copy_on_read)
    filter({
      driver: 'copy-on-read',
      'node-name': `libvirt-CoR-${disk.target.dev ?? ''}`,
      file: top,
      discard: 'unmap',
    });
  disk.throttlefilters?.filters.forEach(({ group }, index) =>
    filter({
      driver: 'throttle',
      'node-name': `libvirt-${filters[index] ?? index}-filter`,
      'throttle-group': throttleGroupId(group),
      file: top,
    }),
  );
  return { steps, top };
}

/** The object id of a throttle group that the document names. */
export const throttleGroupId = (name: string): string => `throttle-${name}`;

/** The steps for an image and all below it, deepest first. */
export function chainSteps(guest: Guest, image: Image, passing: Passing): BlockStep[] {
  // Descriptor sets are numbered from the top down, although the deepest is added first.
  const images: Image[] = [];
  for (let one: Image['below'] = image; typeof one === 'object'; one = one.below) images.push(one);
  const steps = images.map((one) => [
    ...(one.dataStore ? chainSteps(guest, one.dataStore, passing) : []),
    ...imageSteps(guest, one, passing),
  ]);
  return steps.reverse().flat();
}

/** The steps for an image alone, without its data file and what lies below. */
export function imageSteps(guest: Guest, image: Image, passing: Passing): BlockStep[] {
  const layers = layersOf(guest, image);
  const steps: BlockStep[] = imageObjects(guest, image, layers).map((object) => ({ kind: 'object', props: object }));
  const members = passedFiles(guest, image, layers, passing);
  const set = members && passing.nextFdSet();
  if (members && set !== undefined) steps.push({ kind: 'descriptors', set, members });
  const path = set === undefined ? undefined : `/dev/fdset/${set}`;
  steps.push({ kind: 'node', props: storageNode(guest, image, layers, path) });
  if (layers.slice !== undefined) steps.push({ kind: 'node', props: sliceNode(guest, image, layers, layers.slice) });
  if (layers.format !== undefined) steps.push({ kind: 'node', props: formatNode(guest, image, layers, layers.format) });
  return steps;
}

/** The image's file as descriptors: handed in by the client, or a device that the caller opens. */
function passedFiles(guest: Guest, image: Image, { storage }: Layers, passing: Passing) {
  const { type, source } = image;
  if (type === 'vhostvdpa') {
    const fd = passing.descriptor({ kind: 'vhost-vdpa', alias: storage, path: source.dev ?? '' });
    return [{ fd, opaque: `${storage}-vdpa` }];
  }
  return fdGroup(guest, image)?.fds.map((fd, index) => ({ fd, opaque: `${storage}${index}` }));
}

function fdGroup({ context }: Guest, { source }: Image) {
  if (source.fdgroup === undefined) return undefined;
  return (
    context.fdGroups?.get(source.fdgroup) ??
    unsupported(`file descriptor group '${source.fdgroup}' was not associated with the domain`)
  );
}

function storageNode(guest: Guest, image: Image, layers: Layers, path: string | undefined): Props {
  return props(
    protocolProps(guest, image, layers, path),
    common(guest, image, layers.storage, layers.top === layers.storage),
  );
}

function sliceNode(guest: Guest, image: Image, layers: Layers, name: string): Props {
  const [slice] = image.source.slices?.slices ?? [];
  return props(
    { driver: 'raw', file: layers.storage, offset: slice?.offset, size: slice?.size },
    common(guest, image, name, layers.top === name),
  );
}

/** Properties that any node has; `isTop` says that this one stands for the image. */
function common(guest: Guest, image: Image, name: string, isTop: boolean): LooseProps {
  const cache = cacheProps(image.cache);
  if (isTop)
    return {
      'node-name': name,
      'read-only': image.readOnly,
      discard: image.discard,
      'detect-zeroes': image.detectZeroes,
      cache,
    };
  const group = fdGroup(guest, image);
  return {
    'node-name': name,
    // One descriptor has one access mode, which QEMU cannot change later.
    ...(group?.fds.length === 1 ? { 'read-only': image.readOnly && !group.writable } : { 'auto-read-only': true }),
    discard: 'unmap',
    cache,
  };
}

function cacheProps(mode: Image['cache']): JsonValue | undefined {
  switch (mode) {
    case 'none':
    case 'directsync':
      return { direct: true, 'no-flush': false };
    case 'writeback':
    case 'writethrough':
      return { direct: false, 'no-flush': false };
    case 'unsafe':
      return { direct: false, 'no-flush': true };
    default:
      return undefined;
  }
}

function formatNode(guest: Guest, image: Image, layers: Layers, name: string): Props {
  return props(
    common(guest, image, name, true),
    formatProps(guest, image, layers),
    { file: layers.slice ?? layers.storage },
    image.dataStore ? { 'data-file': layersOf(guest, image.dataStore).top } : {},
    backing(guest, image),
  );
}

function formatProps(guest: Guest, image: Image, layers: Layers): LooseProps {
  const encrypted = isEncryptedHere(image);
  const secret = encryptionSecret(layers);
  switch (image.format) {
    case 'raw':
    case 'dir':
    case 'fat':
    case 'iso':
      return encrypted ? { driver: 'luks', 'key-secret': secret } : { driver: 'raw' };
    case 'qcow2':
      return {
        driver: 'qcow2',
        'discard-no-unref': image.discardNoUnref,
        encrypt: encrypted ? { format: 'luks', 'key-secret': secret } : undefined,
        'cache-size': image.metadataCache,
      };
    case 'qcow':
    case 'qed':
    case 'vmdk':
    case 'bochs':
    case 'cloop':
    case 'dmg':
    case 'vdi':
      return { driver: image.format };
    case 'vpc':
    case 'vhd':
      return { driver: 'vpc' };
    case 'ploop':
      return { driver: 'parallels' };
    default:
      return unsupported(`'${image.format}' storage format is not supported`);
  }
}

/** Says to QEMU what lies below, so that it never looks into a header by itself. */
function backing(guest: Guest, image: Image): LooseProps {
  if (image.below === 'end') return canHaveBacking(image.format) ? { backing: null } : {};
  if (image.below === 'unknown') {
    if (guest.context.allowUnknownChain) return {};
    return unsupported(
      `the backing chain of image '${image.source.file ?? image.source.dev ?? image.source.name ?? image.name}' is not known; ` +
        'it has to be determined before the guest starts',
    );
  }
  return { backing: layersOf(guest, image.below).top };
}

function imageObjects(guest: Guest, image: Image, layers: Layers): ObjectProps[] {
  const { source, auth, encryption } = image;
  const objects: ObjectProps[] = [];
  if (source.reservations && source.reservations.managed !== true)
    objects.push(reservationHelper(managerAlias(image), source.reservations.source?.path ?? ''));
  const nbdkit = isServedByNbdkit(guest, image);
  if (auth && !nbdkit)
    objects.push(
      secretObject(guest, authSecret(image), {
        type: source.protocol === 'rbd' ? 'ceph' : 'iscsi',
        uuid: auth.secret.uuid,
        usage: auth.secret.usage,
      }),
    );
  if (source.cookies?.cookies.length && !nbdkit)
    objects.push(
      secretObject(guest, cookieSecret(image), {
        type: 'cookie',
        text: source.cookies.cookies.map(({ name, value }) => `${name}=${value ?? ''}`).join('; '),
      }),
    );
  encryption?.secret.forEach(({ uuid, usage }, index) =>
    objects.push(secretObject(guest, encryptionSecret(layers, index), { type: 'passphrase', uuid, usage })),
  );
  if (source.tls === true)
    objects.push(
      tlsCredentials({
        id: tlsObject(image),
        dir: guest.context.settings?.tlsFolders?.nbd ?? unsupported('no folder with TLS certificates for NBD is set'),
        endpoint: 'client',
        verifyPeer: true,
      }),
    );
  return objects;
}

/** The object through which QEMU asks a helper for SCSI persistent reservations. */
export const reservationHelper = (id: string, path: string): ObjectProps => ({
  'qom-type': 'pr-manager-helper',
  id,
  path,
});
