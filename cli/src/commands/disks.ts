/** Disks: what there are, adding, removing, changing media. */
import { affectOf, affectOptions, persistently } from '../affect';
import { disks, element, formatElement, type DiskDevice } from '../device-xml';
import { printDisks } from '../print/devices';
import type { Session } from '../session';
import { argument, choice, command, domain, example, flag, optional, UsageError, value } from '../spec';
import { definitionFor, isActive } from '../target-document';
import { fail } from '../failure';

export const domblklist = command({
  name: 'domblklist',
  group: 'monitor',
  summary: "List a domain's disks",
  args: { domain },
  options: { inactive: flag('those of the definition'), details: flag('their type and kind too') },
  examples: [example('domblklist web1 --details', 'targets and sources')],
  async run({ args, options, session, out }) {
    const { xml = '' } = await session.call('getDomainXml', { inactive: options.inactive }, args.domain);
    const found = disks(xml);
    const told = found.map(({ type, device, target, source }) => ({ type, device, target, source: source ?? null }));
    out.show(told, () => printDisks(found, options.details, out.paint));
  },
});

interface DiskOptions {
  driver: string | undefined;
  subdriver: string | undefined;
  cache: string | undefined;
  io: string | undefined;
  targetbus: string | undefined;
  type: string | undefined;
  mode: string | undefined;
  sourcetype: string | undefined;
  serial: string | undefined;
  wwn: string | undefined;
  readonly: boolean;
  shareable: boolean;
}

const buses = [
  ['vd', 'virtio'],
  ['sd', 'scsi'],
  ['hd', 'ide'],
  ['xvd', 'xen'],
  ['fd', 'fdc'],
] as const;

/** The element that attach-disk's options describe. An empty source is an empty drive. */
export function diskXml(source: string, target: string, options: Partial<DiskOptions>): string {
  const device = options.type ?? 'disk';
  const block = options.sourcetype ? options.sourcetype === 'block' : source.startsWith('/dev/');
  const bus = options.targetbus ?? buses.find(([prefix]) => target.startsWith(prefix))?.[1];
  const readonly = options.readonly || options.mode === 'readonly';
  const { driver, subdriver, cache, io } = options;
  const driven = driver ?? subdriver ?? cache ?? io;
  return formatElement(
    element(
      'disk',
      { type: block ? 'block' : 'file', device },
      driven ? element('driver', { name: driver ?? 'qemu', type: subdriver, cache, io }) : undefined,
      source ? element('source', block ? { dev: source } : { file: source }) : undefined,
      element('target', { dev: target, bus }),
      readonly ? element('readonly') : undefined,
      options.shareable || options.mode === 'shareable' ? element('shareable') : undefined,
      options.serial ? { name: 'serial', text: options.serial } : undefined,
      options.wwn ? { name: 'wwn', text: options.wwn } : undefined,
    ),
  );
}

export const attachDisk = command({
  name: 'attach-disk',
  group: 'device',
  summary: 'Add a disk',
  args: {
    domain,
    source: argument("image or block device on the host; '' is an empty drive", 'file'),
    target: argument('what the guest calls it: vdb, sda, hdc'),
  },
  options: {
    targetbus: value('BUS', 'virtio, scsi, sata, usb, ide; told by the target when left out'),
    driver: value('NAME', 'qemu'),
    subdriver: value('FORMAT', 'format of the image: raw, qcow2; name it, nothing is guessed'),
    cache: value('MODE', 'none, writeback, writethrough, directsync, unsafe'),
    io: value('MODE', 'threads, native, io_uring'),
    type: choice(['disk', 'cdrom', 'floppy', 'lun'], 'kind of drive'),
    mode: choice(['readonly', 'shareable'], 'the same as the flags'),
    sourcetype: choice(['file', 'block'], 'told by the source when left out'),
    serial: value('TEXT', 'serial number'),
    wwn: value('HEX', 'world wide name'),
    readonly: flag('the guest may not write'),
    shareable: flag('other guests use it too'),
    printXml: flag('print the element and do nothing'),
    ...persistently,
  },
  gives: 'attachDevice',
  queue: true,
  examples: [
    example('attach-disk web1 /var/lib/virtbus/images/data.qcow2 vdb --subdriver qcow2 --persistent', 'now and later'),
    example('attach-disk web1 /dev/sdc vdc --config', 'from the next start on'),
  ],
  async run({ args, options, session, out }) {
    const xml = diskXml(args.source, args.target, options);
    if (options.printXml) return out.show({ xml }, () => xml);
    const affect = await affectOf(options, () => isActive(session, args.domain));
    await session.give('attachDevice', { xml, affect }, args.domain, () => 'Disk attached successfully');
  },
});

export const detachDisk = command({
  name: 'detach-disk',
  group: 'device',
  summary: 'Remove a disk',
  about: 'A running guest is asked to let go of it; the device event tells when it has.',
  args: { domain, target: argument('its target: vdb') },
  options: { printXml: flag('print the element and do nothing'), ...persistently },
  gives: 'detachDevice',
  queue: true,
  examples: [example('detach-disk web1 vdb --persistent', 'now and for good')],
  async run({ args, options, session, out }) {
    const affect = await affectOf(options, () => isActive(session, args.domain));
    const disk = await findDisk(session, args.domain, affect, (each) => each.target === args.target, args.target);
    const xml = formatElement(disk.element);
    if (options.printXml) return out.show({ xml }, () => xml);
    await session.give('detachDevice', { xml, affect }, args.domain, () => 'Disk detached successfully');
  },
});

export const changeMedia = command({
  name: 'change-media',
  group: 'device',
  summary: 'Insert, eject or change the medium of a CD-ROM or floppy drive',
  args: {
    domain,
    path: argument("the drive's target (hdc, sda), or its present source"),
    source: optional('image', 'file'),
  },
  options: {
    eject: flag('take it out'),
    insert: flag('put one in'),
    update: flag('change it (default with a source)'),
    block: flag('the source is a block device'),
    printXml: flag('print the element and do nothing'),
    ...affectOptions,
  },
  gives: 'updateDevice',
  queue: true,
  examples: [
    example('change-media web1 sda /srv/iso/debian.iso', 'put it in'),
    example('change-media web1 sda --eject', 'take it out'),
  ],
  async run({ args, options, session, out }) {
    const { eject, insert, update } = options;
    if (Number(eject) + Number(insert) + Number(update) > 1) {
      throw new UsageError('--eject, --insert and --update exclude one another');
    }
    if (eject && args.source) throw new UsageError('--eject takes no source');
    if (!eject && !args.source) throw new UsageError('name the image to put in, or --eject');
    const affect = await affectOf(options, async () => false);
    const matches = (each: DiskDevice): boolean => each.target === args.path || each.source === args.path;
    const drive = await findDisk(session, args.domain, affect, matches, args.path);
    if (drive.device !== 'cdrom' && drive.device !== 'floppy') {
      throw fail('OPERATION_INVALID', {
        detail: `'${args.path}' is a ${drive.device}: only cdrom and floppy drives have media`,
      });
    }
    if (eject && drive.source === undefined)
      throw fail('OPERATION_INVALID', { detail: `the drive '${args.path}' has no medium` });
    if (insert && drive.source !== undefined) {
      throw fail('OPERATION_INVALID', {
        detail: `the drive '${args.path}' has a medium (${drive.source}): use --update`,
      });
    }
    const xml = withMedium(drive, args.source, options.block || (args.source?.startsWith('/dev/') ?? false));
    if (options.printXml) return out.show({ xml }, () => xml);
    const done = eject ? 'ejected' : insert ? 'inserted' : 'updated';
    await session.give('updateDevice', { xml, affect }, args.domain, () => `Successfully ${done} media.`);
  },
});

/** The drive as it is, with another medium or none. */
function withMedium(drive: DiskDevice, source: string | undefined, block: boolean): string {
  const { name, attributes, children } = drive.element;
  const kept = children.filter((each) => each.name !== 'source' && each.name !== 'backingStore');
  const medium = source ? [element('source', block ? { dev: source } : { file: source })] : [];
  const at = kept.findIndex((each) => each.name === 'target');
  const type = source ? (block ? 'block' : 'file') : attributes.type;
  return formatElement({
    name,
    attributes: { ...attributes, type },
    children: [...kept.slice(0, at), ...medium, ...kept.slice(at)],
  });
}

async function findDisk(
  session: Session,
  target: string,
  affect: Parameters<typeof definitionFor>[2],
  matches: (disk: DiskDevice) => boolean,
  named: string,
): Promise<DiskDevice> {
  const found = disks(await definitionFor(session, target, affect)).find(matches);
  if (found) return found;
  throw fail('DEVICE_MISSING', { detail: `domain '${target}' has no disk '${named}'` });
}
