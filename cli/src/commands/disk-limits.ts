/** blkdeviotune: limits on the traffic of a disk, shown, and changed when one is given. */
import type { DiskLimits } from '@virtbus/shared';
import { affectOf, affectOptions } from '../affect';
import { safe } from '../print/table';
import { parseBytes } from '../sizes';
import { argument, command, domain, example, number, UsageError, value, type Option } from '../spec';

/** virsh's names of the limits in the order in which it shows them, and what they are called on the bus. */
const limits = [
  ['total_bytes_sec', 'totalBytes'],
  ['read_bytes_sec', 'readBytes'],
  ['write_bytes_sec', 'writeBytes'],
  ['total_iops_sec', 'totalIops'],
  ['read_iops_sec', 'readIops'],
  ['write_iops_sec', 'writeIops'],
  ['total_bytes_sec_max', 'totalBytesMax'],
  ['read_bytes_sec_max', 'readBytesMax'],
  ['write_bytes_sec_max', 'writeBytesMax'],
  ['total_iops_sec_max', 'totalIopsMax'],
  ['read_iops_sec_max', 'readIopsMax'],
  ['write_iops_sec_max', 'writeIopsMax'],
  ['size_iops_sec', 'iopsSize'],
  ['group_name', 'group'],
  ['total_bytes_sec_max_length', 'totalBytesMaxSeconds'],
  ['read_bytes_sec_max_length', 'readBytesMaxSeconds'],
  ['write_bytes_sec_max_length', 'writeBytesMaxSeconds'],
  ['total_iops_sec_max_length', 'totalIopsMaxSeconds'],
  ['read_iops_sec_max_length', 'readIopsMaxSeconds'],
  ['write_iops_sec_max_length', 'writeIopsMaxSeconds'],
] as const satisfies readonly (readonly [string, keyof DiskLimits])[];

const rate = (doc: string): Option<number | undefined> => ({ placeholder: 'SIZE', doc, parse: parseBytes });
const requests = (doc: string) => number('N', doc);
const seconds = (of: string) => number('SECONDS', `for how long ${of} may be used`);

const limitOptions = {
  totalBytesSec: rate('bytes a second, read and written; 0: no limit'),
  readBytesSec: rate('bytes read a second'),
  writeBytesSec: rate('bytes written a second'),
  totalIopsSec: requests('requests a second'),
  readIopsSec: requests('reads a second'),
  writeIopsSec: requests('writes a second'),
  totalBytesSecMax: rate('bytes a second for a short time'),
  readBytesSecMax: rate('bytes read a second for a short time'),
  writeBytesSecMax: rate('bytes written a second for a short time'),
  totalIopsSecMax: requests('requests a second for a short time'),
  readIopsSecMax: requests('reads a second for a short time'),
  writeIopsSecMax: requests('writes a second for a short time'),
  sizeIopsSec: rate('a request of more bytes counts as several'),
  groupName: value('NAME', 'disks of one group share its limits'),
  totalBytesSecMaxLength: seconds('--total-bytes-sec-max'),
  readBytesSecMaxLength: seconds('--read-bytes-sec-max'),
  writeBytesSecMaxLength: seconds('--write-bytes-sec-max'),
  totalIopsSecMaxLength: seconds('--total-iops-sec-max'),
  readIopsSecMaxLength: seconds('--read-iops-sec-max'),
  writeIopsSecMaxLength: seconds('--write-iops-sec-max'),
};

export const blkdeviotune = command({
  name: 'blkdeviotune',
  group: 'device',
  summary: 'Show or change limits on the traffic of a disk',
  about: 'Of a kind of limit that is given (bytes, requests, their maxima), what is not named is lifted.',
  args: { domain, device: argument('target of the disk (vda), or the path of its image') },
  options: { ...limitOptions, ...affectOptions },
  gives: 'setDiskLimits',
  queue: true,
  examples: [
    example('blkdeviotune web1 vda', 'what it has'),
    example('blkdeviotune web1 vda --total-bytes-sec 10M --total-iops-sec 500 --live --config', 'no more than this'),
    example('blkdeviotune web1 vda --total-bytes-sec 0 --live', 'as many bytes as it can'),
  ],
  async run({ args, options, session, out }) {
    const affect = await affectOf(options, () => Promise.resolve(false));
    const wish: DiskLimits = Object.fromEntries(
      limits.flatMap(([name, key]) => {
        const given = options[camel(name)];
        return given === undefined ? [] : [[key, given] as const];
      }),
    );
    if (Object.keys(wish).length > 0)
      return session.give('setDiskLimits', { disk: args.device, ...wish, affect }, args.domain, () => '');
    if (affect === 'both') throw new UsageError('--live and --config are two answers: ask for one of them');
    const told = await session.call('getDiskLimits', { disk: args.device, affect }, args.domain);
    out.show(told, () =>
      limits
        .map(
          ([name, key]) =>
            `${name.padEnd(15)}: ${typeof told[key] === 'string' ? safe(told[key]) : (told[key] ?? (key === 'group' ? '' : 0))}`.trimEnd() +
            '\n',
        )
        .join(''),
    );
  },
});

/** `total_bytes_sec` as the option is called here. */
const camel = (name: string): keyof typeof limitOptions =>
  name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase()) as keyof typeof limitOptions;
