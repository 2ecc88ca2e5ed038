/** Disks: `-device` with its drive, `-drive if=…`, and the short forms `-hda`, `-cdrom`, `-fda`. */
import { driveImage, errorPolicies, nodeImage, type DiskSketch, type ImageSketch } from './block';
import { peek, type Attempt, type DeviceSketch, type Draft } from './draft';
import type { NativeOption } from './invocation';
import { NotUnderstood } from './not-understood';
import type { Places } from './places';
import type { Values } from './values';
import { optional, threadOf, virtioDriver, virtioName } from './virtio';

type Bus = NonNullable<NonNullable<DiskSketch['target']>['bus']>;
type DiskDevice = NonNullable<DiskSketch['device']>;

/** What a guest's block device is, by the name of its driver. */
const kinds: Readonly<Record<string, { bus: Bus; device?: DiskDevice }>> = {
  'virtio-blk': { bus: 'virtio' },
  'ide-hd': { bus: 'ide' },
  'ide-cd': { bus: 'ide', device: 'cdrom' },
  'scsi-hd': { bus: 'scsi' },
  'scsi-disk': { bus: 'scsi' },
  'scsi-cd': { bus: 'scsi', device: 'cdrom' },
  'scsi-block': { bus: 'scsi', device: 'lun' },
  'usb-storage': { bus: 'usb' },
  floppy: { bus: 'fdc', device: 'floppy' },
};
const prefixes: Readonly<Partial<Record<Bus, string>>> = { virtio: 'vd', ide: 'hd', fdc: 'fd' };

export class Disks {
  constructor(
    private readonly draft: Draft,
    private readonly places: Places,
  ) {}

  read(): void {
    for (const option of this.draft.open('-device')) {
      const driver = peek(option, 'driver') ?? '';
      if (kinds[virtioName(driver).name])
        this.draft.understand(option, (attempt, values) => this.#device(attempt, values, driver));
    }
    for (const option of this.draft.line.options.filter(({ state }) => state === 'open')) this.#short(option);
  }

  #device(attempt: Attempt, values: Values, driver: string): () => void {
    const { name, model } = virtioName(driver);
    const { bus: asked, device = 'disk' } = kinds[name]!;
    values.take('driver');
    const id = values.take('id');
    const drive = values.take('drive');
    const image = drive === undefined ? emptyDrive() : this.#image(attempt, drive);
    const disk: DiskSketch = { ...frame(image, device), ...optional('model', model) };
    const bus = this.#place(disk, values, asked);
    readFrontend(disk, values, id, image);
    return () => this.#add(disk, bus, image, /^virtio-disk(\d+)$/.exec(id ?? '')?.[1]);
  }

  #image(attempt: Attempt, name: string): ImageSketch {
    const drive = attempt.find('-drive', name);
    if (!drive) return nodeImage(attempt, name);
    const use = drive.take('if');
    if (use !== undefined && use !== 'none') throw new NotUnderstood(`drive '${name}' has a device of its own`);
    drive.take('media');
    return driveImage(drive);
  }

  /** Where it sits: on PCI or USB, or by number on the bus of a controller. */
  #place(disk: DiskSketch, values: Values, bus: Bus): Bus {
    switch (bus) {
      case 'virtio':
        Object.assign(disk, this.places.address(values));
        return bus;
      case 'usb':
        Object.assign(disk, this.places.usb(values));
        return bus;
      case 'fdc':
        disk.address = drive(0, 0, 0, values.takeNumber('unit') ?? 0);
        return bus;
      case 'scsi': {
        const controller = this.places.bus(values, 'scsi');
        const [channel = 0, target = 0] = [values.takeNumber('channel'), values.takeNumber('scsi-id')];
        const lun = values.takeNumber('lun') ?? 0;
        if (controller) disk.address = drive(controller.index, channel, target, lun);
        return bus;
      }
      default:
        return this.#placeOnIde(disk, values);
    }
  }

  #placeOnIde(disk: DiskSketch, values: Values): Bus {
    const name = values.peek('bus');
    const number = Number(/\.(\d+)$/.exec(name ?? '')?.[1] ?? 0);
    const unit = values.takeNumber('unit') ?? 0;
    if (this.places.isQ35 || (name !== undefined && !name.startsWith('ide.'))) {
      const controller = this.places.bus(values, 'sata');
      if (controller) disk.address = drive(controller.index, 0, 0, number);
      return 'sata';
    }
    if (this.places.bus(values, 'ide')) disk.address = drive(0, number, 0, unit);
    return 'ide';
  }

  #add(disk: DiskSketch, bus: Bus, image: ImageSketch, wish: string | undefined): void {
    const taken = new Set((this.draft.domain.devices.disks ?? []).map(({ target }) => target?.dev));
    const prefix = prefixes[bus] ?? 'sd';
    const { address } = disk;
    const number =
      wish !== undefined
        ? Number(wish)
        : address?.type !== 'drive' || bus === 'scsi'
          ? 0
          : (address.bus ?? 0) * 2 + (address.unit ?? 0);
    let dev = '';
    for (let at = number; dev === '' || taken.has(dev); at++) dev = `${prefix}${letters(at)}`;
    disk.target = { ...disk.target, dev, bus };
    this.draft.add('disks', disk);
    if (image.hasNoFormat && disk.device !== 'cdrom')
      this.draft.warnings.push(
        `disk ${dev}: no format is given for '${image.source?.file ?? image.source?.dev ?? ''}'; it is taken for raw, because nothing is probed to run a guest`,
      );
  }

  /** Options that are a disk and its place in one. */
  #short(option: NativeOption): void {
    const { flag, value = '' } = option;
    const hd = /^-hd([a-d])$/.exec(flag)?.[1];
    const fd = /^-fd([ab])$/.exec(flag)?.[1];
    const words = value.replaceAll(',', ',,');
    if (hd) option = this.#rewritten(option, `file=${words},if=ide,index=${'abcd'.indexOf(hd)}`);
    else if (fd) option = this.#rewritten(option, `file=${words},if=floppy,index=${'ab'.indexOf(fd)}`);
    else if (flag === '-cdrom') option = this.#rewritten(option, `file=${words},if=ide,index=2,media=cdrom`);
    else if (flag === '-sd') option = this.#rewritten(option, `file=${words},if=sd,index=0`);
    else if (flag !== '-drive' || peek(option, 'if') === 'pflash') return;
    this.draft.understand(option, (_, values) => this.#drive(values));
  }

  /** The same in the long form, which is what stays when it is not understood. */
  #rewritten(option: NativeOption, value: string): NativeOption {
    const at = this.draft.line.options.indexOf(option);
    const long: NativeOption = { flag: '-drive', value, state: 'open' };
    this.draft.line.options[at] = long;
    return long;
  }

  #drive(values: Values): () => void {
    const use = values.take('if') ?? 'ide';
    if (use === 'none') throw new NotUnderstood('no device that a document can name uses it');
    const bus: Bus | undefined = (
      { ide: this.places.isQ35 ? 'sata' : 'ide', scsi: 'scsi', virtio: 'virtio', floppy: 'fdc', sd: 'sd' } as const
    )[use as 'ide'];
    if (bus === undefined) throw new NotUnderstood(`if=${use} has no place in a document`);
    values.take('id');
    const isCdrom = values.take('media') === 'cdrom';
    const image = driveImage(values);
    const disk = frame(image, use === 'floppy' ? 'floppy' : isCdrom ? 'cdrom' : 'disk');
    const index = values.takeNumber('index');
    const [number, unit] = [values.takeNumber('bus'), values.takeNumber('unit')];
    const at = index ?? (number === undefined && unit === undefined ? undefined : (number ?? 0) * 2 + (unit ?? 0));
    const serial = values.take('serial');
    if (serial !== undefined) disk.serial = serial;
    return () => this.#add(disk, bus, image, String(at ?? this.#next(bus, isCdrom)));
  }

  /** The next free index as QEMU counts: a CD-ROM of an IDE bus begins at its second channel. */
  #next(bus: Bus, isCdrom: boolean): number {
    const taken = new Set((this.draft.domain.devices.disks ?? []).map(({ target }) => target?.dev));
    let index = isCdrom && (bus === 'ide' || bus === 'sata') ? 2 : 0;
    while (taken.has(`${prefixes[bus] ?? 'sd'}${letters(index)}`)) index++;
    return index;
  }
}

const emptyDrive = (): ImageSketch => ({ type: 'file', driver: { name: 'qemu' } });
const drive = (controller: number, bus: number, target: number, unit: number) =>
  ({ type: 'drive', controller, bus, target, unit }) as const;
/** a, b, … z, aa: the names of disks after their prefix. */
const letters = (index: number): string =>
  (index < 26 ? '' : letters(Math.floor(index / 26) - 1)) + String.fromCharCode(97 + (index % 26));

function frame(image: ImageSketch, device: DiskDevice): DiskSketch {
  return {
    type: image.type,
    device,
    driver: image.driver,
    ...optional('source', image.source),
    ...optional('backingStore', image.backingStore),
    ...((image.readonly === true || device === 'cdrom') && { readonly: true }),
    ...(image.transient && { transient: {} }),
    target: {},
  };
}

/** What the guest sees of the disk. */
function readFrontend(disk: DiskSketch, values: Values, id: string | undefined, { cache }: ImageSketch): void {
  const order = values.takeNumber('bootindex');
  const geometry = (['cyls', 'heads', 'secs'] as const).map((name) => [name, values.takeNumber(name)] as const);
  const given = geometry.filter(([, number]) => number !== undefined);
  const [logical, physical] = [values.takeNumber('logical_block_size'), values.takeNumber('physical_block_size')];
  const granularity = values.takeNumber('discard_granularity');
  const serial = values.take('serial')?.replaceAll('\\ ', ' ');
  const wwn = values.take('wwn');
  const deviceId = values.take('device_id');
  if (deviceId !== undefined && deviceId !== `drive-${id}` && deviceId !== serial)
    throw new NotUnderstood(`device_id=${deviceId} has no place in a document`);
  if (values.takeFlag('scsi')) throw new NotUnderstood('scsi=on has no place in a document');
  const writesBack = values.take('write-cache');
  Object.assign(disk, {
    ...(order !== undefined && { boot: { order } }),
    ...(given.length > 0 && { geometry: Object.fromEntries(given) }),
    ...((logical ?? physical ?? granularity) !== undefined && {
      blockio: {
        ...optional('logical_block_size', logical),
        ...optional('physical_block_size', physical),
        ...optional('discard_granularity', granularity),
      },
    }),
    ...optional('serial', serial),
    ...(wwn !== undefined && { wwn: BigInt(wwn).toString(16).padStart(16, '0') }),
    ...optional('vendor', values.take('vendor')),
    ...optional('product', values.take('product', 'model')),
    ...(values.takeFlag('share-rw') && { shareable: true }),
  } satisfies Partial<DeviceSketch<'disks'>>);
  Object.assign(
    disk.target!,
    optional('rotation_rate', values.takeNumber('rotation_rate')),
    optional('removable', values.takeFlag('removable')),
  );
  if (disk.target!.removable === false) delete disk.target!.removable;
  Object.assign(
    disk.driver!,
    errorPolicies(values),
    optional('cache', cacheMode(cache, writesBack) ?? disk.driver!.cache),
    optional('ioeventfd', values.takeFlag('ioeventfd')),
    optional('event_idx', values.takeFlag('event_idx')),
    threadOf(values),
    virtioDriver(values).driver,
    optional('queues', values.takeNumber('num-queues')),
    optional('queue_size', values.takeNumber('queue-size')),
  );
}

/** libvirt's word for how an image is cached and whether the guest is told of it. */
function cacheMode(cache: ImageSketch['cache'], writesBack: string | undefined) {
  if (!cache) return undefined;
  if (cache.noFlush) return 'unsafe';
  const isThrough = writesBack === 'off' || writesBack === 'false';
  return cache.direct ? (isThrough ? 'directsync' : 'none') : isThrough ? 'writethrough' : 'writeback';
}
