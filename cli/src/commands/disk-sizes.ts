/** Sizes of disks, thresholds of what is written to them, and what went wrong with them. */
import { printDiskSizes } from '../print/devices';
import { fields } from '../print/table';
import { formatBytes, parseBytes, parseKiB } from '../sizes';
import { argument, command, domain, example, flag, optional, UsageError } from '../spec';

const disk = argument('target of the disk (vda), or the path of its image');

export const blockresize = command({
  name: 'blockresize',
  group: 'device',
  summary: "Change the size of a running domain's disk",
  about: 'A size without a unit is KiB.',
  args: { domain, path: disk, size: optional('the new size: 10G') },
  options: {
    capacity: flag('all of the device or file that a raw disk lies in, which has grown'),
    shrink: flag('allow that the end of the disk is cut off'),
  },
  gives: 'resizeDisk',
  queue: true,
  examples: [
    example('blockresize web1 vda 10G', 'the guest sees it at once'),
    example('blockresize web1 vdb --capacity', 'the volume below it was extended'),
  ],
  async run({ args, options, session }) {
    const { path, size } = args;
    const { capacity, shrink } = options;
    if (size === undefined && !capacity) throw new UsageError('blockresize: give a size, or --capacity');
    const bytes = size === undefined ? undefined : parseSize(size);
    const request = { disk: path, ...(bytes === undefined ? {} : { bytes }), capacity, shrink };
    await session.give('resizeDisk', request, args.domain, () => `Block device '${path}' is resized`);
  },
});

/** KiB when there is no unit, otherwise to the byte. */
const parseSize = (text: string): number =>
  /^\d+$/.test(text.trim()) ? parseKiB(text, 'size') * 1_024 : parseBytes(text, 'size');

export const domblkthreshold = command({
  name: 'domblkthreshold',
  group: 'device',
  summary: 'Be told, once, when a disk is written to beyond an offset of its image',
  about: "The event is 'block-threshold'. 0 takes the threshold away.",
  args: { domain, dev: argument('vda, or vda[3] for the image with number 3'), threshold: argument('offset: 8G') },
  options: {},
  gives: 'setDiskThreshold',
  queue: true,
  examples: [example('domblkthreshold web1 vda 8G', 'time to extend the volume below it')],
  async run({ args, session }) {
    const bytes = parseBytes(args.threshold, 'threshold');
    await session.give('setDiskThreshold', { image: args.dev, bytes }, args.domain, () => '');
  },
});

export const domblkinfo = command({
  name: 'domblkinfo',
  group: 'monitor',
  summary: "Print the sizes of a domain's disks",
  args: { domain, device: optional('target or path of one disk') },
  options: { all: flag('all disks'), human: flag('sizes for people') },
  examples: [
    example('domblkinfo web1 vda --human', 'what the guest sees, what it takes up'),
    example('domblkinfo web1 --all', 'every disk'),
  ],
  async run({ args, options, session, out }) {
    const { device } = args;
    if ((device === undefined) !== options.all) throw new UsageError('domblkinfo: name a disk, or say --all');
    const { disks } = await session.call('getDiskSizes', device === undefined ? {} : { disk: device }, args.domain);
    const shown = (bytes: number | undefined): string =>
      bytes === undefined ? '-' : options.human ? formatBytes(bytes) : String(bytes);
    out.show(options.all ? disks : disks[0], () =>
      options.all
        ? printDiskSizes(disks, shown, out.paint)
        : fields([
            ['Capacity', shown(disks[0]?.capacity)],
            ['Allocation', shown(disks[0]?.allocation)],
            ['Physical', shown(disks[0]?.physical)],
          ]),
    );
  },
});

export const domblkerror = command({
  name: 'domblkerror',
  group: 'monitor',
  summary: "Print which of a running domain's disks have failed it",
  args: { domain },
  options: {},
  examples: [example('domblkerror web1', 'why it is paused')],
  async run({ args, session, out }) {
    const { errors } = await session.call('getDiskErrors', {}, args.domain);
    const words = { 'no-space': 'no space', unspecified: 'unspecified error' } as const;
    out.show(errors, () =>
      errors.length === 0
        ? 'No errors found\n'
        : errors.map(({ disk: target, error }) => `${target}: ${words[error]}\n`).join(''),
    );
  },
});
