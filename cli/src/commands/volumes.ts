/** Storage volumes: which there are, what they are, and how they are called. */
import { printVolume, printVolumes } from '../print/storage';
import { safe } from '../print/table';
import { argument, command, example, flag, value } from '../spec';
import { hostOfPool, hostOfVolume, onHost } from '../storage-host';
import { pool } from './pools';

export const volume = argument('name of the volume in its pool, or its path or key');
/** Where a volume is looked for. */
export const inPool = { pool: value('POOL', 'its pool; left out, the volume is named by path or key'), ...onHost };

export const refOf = (name: string, { pool: of }: { pool: string | undefined }) => ({
  volume: name,
  ...(of === undefined ? {} : { pool: of }),
});

export const volList = command({
  name: 'vol-list',
  group: 'volume',
  summary: 'List the volumes of a pool',
  args: { pool },
  options: { details: flag('with formats and sizes'), ...onHost },
  examples: [example('vol-list default --details', 'what lies there')],
  async run({ args, options, session, out }) {
    const answer = await session.call('listVolumes', args, await hostOfPool(session, options.host, args.pool));
    out.show(answer, () => printVolumes(answer.volumes, options, out.paint));
  },
});

export const volInfo = command({
  name: 'vol-info',
  group: 'volume',
  summary: 'Show what a volume is',
  args: { volume },
  options: { bytes: flag('sizes in bytes'), ...inPool },
  examples: [example('vol-info web1.qcow2 --pool default', 'format, capacity, what it stands on')],
  async run({ args, options, session, out }) {
    const ref = refOf(args.volume, options);
    const answer = await session.call('getVolume', ref, await hostOfVolume(session, options.host, ref));
    out.show(answer, () => printVolume(answer.volume, options));
  },
});

export const volDumpxml = command({
  name: 'vol-dumpxml',
  group: 'volume',
  summary: "Print a volume's document",
  args: { volume },
  options: inPool,
  examples: [example('vol-dumpxml web1.qcow2 --pool default', 'XML')],
  async run({ args, options, globals, session, out }) {
    const ref = refOf(args.volume, options);
    const format = globals.json ? ('json' as const) : ('xml' as const);
    const host = await hostOfVolume(session, options.host, ref);
    const answer = await session.call('getVolumeXml', { ...ref, format }, host);
    out.show(answer.document, () => answer.xml ?? '');
  },
});

/** Prints one of the names that a volume has. */
const naming = (name: string, key: 'name' | 'key' | 'path' | 'pool', summary: string, line: string) =>
  command({
    name,
    group: 'volume',
    summary,
    args: { volume },
    options: inPool,
    examples: [example(`${name} ${line}`, 'one line')],
    async run({ args, options, session, out }) {
      const ref = refOf(args.volume, options);
      const { volume: found } = await session.call('getVolume', ref, await hostOfVolume(session, options.host, ref));
      out.show({ [key]: found[key] }, () => safe(found[key]));
    },
  });
export const volPath = naming('vol-path', 'path', "Print a volume's path on its host", 'web1.qcow2 --pool default');
export const volKey = naming('vol-key', 'key', "Print a volume's key", 'web1.qcow2 --pool default');
export const volName = naming('vol-name', 'name', "Print a volume's name", '/srv/images/web1.qcow2');
export const volPool = naming('vol-pool', 'pool', 'Print the pool that a volume is in', '/srv/images/web1.qcow2');
