/** Pull, commit and copy of disks of running guests, and the job that each of them is: virsh's words. */
import { jobOf, nextPhase, type Phase } from '../block-job-watch';
import { readText } from '../definition';
import { element, formatElement } from '../device-xml';
import { fail } from '../failure';
import { jobNames, printBlockJob, printRawBlockJob } from '../print/block-jobs';
import type { Output } from '../output';
import type { Session } from '../session';
import { parseBytes } from '../sizes';
import { argument, command, domain, example, flag, UsageError, value, type Globals, type Option } from '../spec';

const disk = argument('target of the disk (vda), or the path of its image');

const bandwidthOptions = {
  bandwidth: value('MIBPS', 'limit, MiB/s; with --bytes, or a unit, bytes/s'),
  bytes: flag('the limit is in bytes/s'),
};
const waitOptions = {
  wait: flag('wait until it has ended, or is ready; --timeout gives it up after so many seconds'),
  verbose: flag('tell how far it is while waiting'),
};

type Limit = { bandwidth: string | undefined; bytes: boolean };

/** Bytes per second. */
function bandwidthOf({ bandwidth, bytes }: Limit): { bandwidth?: number } {
  if (bandwidth === undefined) return {};
  if (bytes || !/^\d+$/.test(bandwidth)) return { bandwidth: parseBytes(bandwidth, '--bandwidth') };
  return { bandwidth: parseBytes(`${bandwidth}MiB`, '--bandwidth') };
}

type Begin = 'pullBlocks' | 'commitBlocks' | 'copyBlocks';

interface Waiting {
  wait: boolean;
  verbose: boolean;
  /** What to do with a job that is ready. */
  then?: 'pivot' | 'abort' | undefined;
}

interface Words {
  begun: string;
  /** By how it ended. */
  completed: string;
  ready?: string;
  pivoted?: string;
  aborted?: string;
}

/** Begin a job; wait for it when asked to. */
async function run<N extends Begin>(
  { session, out, globals }: { session: Session; out: Output; globals: Globals },
  name: N,
  target: string,
  request: Parameters<typeof session.call<N>>[1],
  { wait, verbose, then }: Waiting,
  words: Words,
): Promise<void> {
  if (!wait && then === undefined) return session.give(name, request, target, () => words.begun);
  if (session.queueing) throw new UsageError('a queued command is not waited for: leave --wait out, or --queue');
  const { asOf } = await session.call('getDomain', {}, target);
  const begun = await session.call(name, request, target);
  const { domain: found, job } = begun;
  const watch = { uuid: found.uuid, disk: job.disk, since: asOf + 1, seconds: globals.timeout, aborts: true, verbose };
  const phase = await nextPhase(session, out, watch);
  if (phase.type !== 'ready') return told(out, job.type, phase, words.completed);
  if (then === undefined) return out.show({ job, phase }, () => words.ready ?? words.completed);
  await session.call('abortBlockJob', { disk: job.disk, pivot: then === 'pivot' }, found.uuid);
  out.show({ job, phase: { type: then === 'pivot' ? 'completed' : 'canceled' } }, () => {
    return (then === 'pivot' ? words.pivoted : words.aborted) ?? words.completed;
  });
}

function told(out: Output, type: keyof typeof jobNames, phase: Phase, completed: string): void {
  if (phase.type === 'completed') return out.show({ phase }, () => completed);
  const what = `${jobNames[type]} ${phase.type === 'canceled' ? 'was aborted' : 'failed'}`;
  throw fail('OPERATION_FAILED', { detail: phase.error === undefined ? what : `${what}: ${phase.error}` });
}

export const blockpull = command({
  name: 'blockpull',
  group: 'device',
  summary: 'Copy what lies below the image of a disk into it',
  about: 'Answered when the job has begun, unless --wait; blockjob tells how far it is.',
  args: { domain, disk },
  options: {
    base: value('IMAGE', 'what stays below: a path, or vda[3]; nothing does when left out'),
    ...bandwidthOptions,
    keepRelative: flag('the header goes on naming its base relatively'),
    ...waitOptions,
  },
  gives: 'pullBlocks',
  queue: true,
  examples: [
    example('blockpull web1 vda --wait --verbose', 'it stands on nothing then'),
    example("blockpull web1 vda --base 'vda[4]' --bandwidth 50", 'it stands on that image then'),
  ],
  async run({ args, options, ...context }) {
    const { base, keepRelative: relative } = options;
    const request = { disk: args.disk, ...(base !== undefined && { base }), ...bandwidthOf(options), relative };
    const words = { begun: 'Block Pull started', completed: 'Pull complete' };
    await run(context, 'pullBlocks', args.domain, request, options, words);
  },
});

export const blockcommit = command({
  name: 'blockcommit',
  group: 'device',
  summary: 'Merge images of a disk into one below them',
  about:
    'The image that the guest writes to is merged with --active: the job becomes ready, and ends with --pivot, ' +
    "--keep-overlay or 'blockjob --pivot' and '--abort'.",
  args: { domain, disk },
  options: {
    base: value('IMAGE', 'the image to merge into: a path, or vda[3]; the lowest when left out'),
    top: value('IMAGE', 'the uppermost to merge; the active one when left out'),
    shallow: flag('the base is the image right below the top'),
    active: flag('the active image is merged'),
    pivot: flag('wait, and let the guest go over to the base; means --active'),
    keepOverlay: flag('wait, and leave the guest on its image; means --active'),
    delete: flag('remove the files of images that were merged'),
    ...bandwidthOptions,
    keepRelative: flag('headers go on naming their base relatively'),
    ...waitOptions,
  },
  gives: 'commitBlocks',
  queue: true,
  examples: [
    example('blockcommit web1 vda --active --pivot --verbose', 'the overlay goes'),
    example("blockcommit web1 vda --top 'vda[3]' --shallow --wait", 'one image of the middle goes'),
  ],
  async run({ args, options, ...context }) {
    const { base, top, shallow, pivot, keepOverlay, keepRelative: relative } = options;
    if (pivot && keepOverlay) throw new UsageError('--pivot does not go with --keep-overlay');
    const active = options.active || pivot || keepOverlay;
    const request = {
      ...{ disk: args.disk, shallow, active, relative, delete: options.delete },
      ...(base !== undefined && { base }),
      ...(top !== undefined && { top }),
      ...bandwidthOf(options),
    };
    const then = pivot ? ('pivot' as const) : keepOverlay ? ('abort' as const) : undefined;
    const words = {
      begun: active ? 'Active Block Commit started' : 'Block Commit started',
      completed: 'Commit complete',
      ready: 'Now in synchronized phase',
      pivoted: 'Successfully pivoted',
      aborted: 'Commit complete, overlay image kept',
    };
    await run(context, 'commitBlocks', args.domain, request, { ...options, then }, words);
  },
});

const power = (placeholder: string, doc: string): Option<number | undefined> => ({
  placeholder,
  doc,
  parse: parseBytes,
});

export const blockcopy = command({
  name: 'blockcopy',
  group: 'device',
  summary: 'Copy a disk while its guest uses it',
  about:
    'The job becomes ready and mirrors what the guest writes, until it ends with --pivot, --finish, ' +
    "or 'blockjob --pivot' and '--abort'.",
  args: { domain, disk },
  options: {
    dest: value('PATH', 'where the copy lies, on the host', 'file'),
    xml: value('FILE', 'or a <disk> that says it', 'file'),
    format: value('FORMAT', "the copy's: raw, qcow2; the disk's when left out"),
    blockdev: flag('the path is a block device'),
    shallow: flag('the active image alone; the copy stands on what the disk stands on'),
    reuseExternal: flag('the copy is there already, as it has to be'),
    transientJob: flag('agree that the copy does not outlive this run of a persistent domain'),
    pivot: flag('wait, and let the guest go over to the copy'),
    finish: flag('wait, and leave the copy as it is then'),
    granularity: power('BYTES', 'that one bit of what is still to copy stands for'),
    bufSize: power('BYTES', 'in flight'),
    synchronousWrites: flag('a write is done when the copy has it too'),
    ...bandwidthOptions,
    ...waitOptions,
  },
  gives: 'copyBlocks',
  queue: true,
  examples: [
    example('blockcopy web1 vda --dest /srv/fast/web1.qcow2 --transient-job --pivot', 'the disk moves'),
    example(
      'blockcopy web1 vda --dest /srv/backup/web1.img --format raw --transient-job --finish',
      'a copy of a moment',
    ),
  ],
  async run({ args, options, ...context }) {
    const { shallow, reuseExternal, transientJob, granularity, bufSize, synchronousWrites, pivot, finish } = options;
    if (pivot && finish) throw new UsageError('--pivot does not go with --finish');
    const request = {
      ...{ disk: args.disk, xml: await targetXml(options), shallow, reuseExternal, transientJob, synchronousWrites },
      ...(granularity !== undefined && { granularity }),
      ...(bufSize !== undefined && { bufferSize: bufSize }),
      ...bandwidthOf(options),
    };
    const then = pivot ? ('pivot' as const) : finish ? ('abort' as const) : undefined;
    const words = {
      begun: 'Block Copy started',
      completed: 'Successfully copied',
      ready: 'Now in mirroring phase',
      pivoted: 'Successfully pivoted',
      aborted: 'Successfully copied',
    };
    await run(context, 'copyBlocks', args.domain, request, { ...options, then }, words);
  },
});

async function targetXml(options: {
  dest: string | undefined;
  xml: string | undefined;
  format: string | undefined;
  blockdev: boolean;
}): Promise<string> {
  const { dest, xml, format, blockdev } = options;
  if ((dest === undefined) === (xml === undefined)) throw new UsageError('say where to: --dest or --xml');
  if (xml !== undefined) {
    if (format !== undefined || blockdev) throw new UsageError('--xml says the format and the kind of target itself');
    return readText(xml);
  }
  return formatElement(
    element(
      'disk',
      { type: blockdev ? 'block' : 'file' },
      element('source', { [blockdev ? 'dev' : 'file']: dest }),
      format === undefined ? undefined : element('driver', { type: format }),
    ),
  );
}

export const blockjob = command({
  name: 'blockjob',
  group: 'device',
  summary: "Show a disk's job, limit it, or end it",
  args: { domain, disk },
  options: {
    info: flag('show it; also what happens without any option'),
    raw: flag('show it in numbers'),
    watch: flag('show how far it is until it has ended'),
    abort: flag('end it: given up, or with --pivot'),
    pivot: flag('let the guest go over to its target; means --abort'),
    async: flag('do not wait for its end; means --abort'),
    ...bandwidthOptions,
  },
  gives: 'abortBlockJob',
  queue: true,
  examples: [
    example('blockjob web1 vda', 'how far is it?'),
    example('blockjob web1 vda --watch', 'a bar, until it ends'),
    example('blockjob web1 vda --pivot', 'over to the copy, or the base'),
    example('blockjob web1 vda --bandwidth 20', 'not faster than 20 MiB/s'),
  ],
  async run({ args, options, session, out, globals }) {
    const { abort, pivot, watch, raw, async } = options;
    const limit = bandwidthOf(options);
    const wishes = [abort || pivot || async, limit.bandwidth !== undefined, watch, raw || options.info];
    if (wishes.filter(Boolean).length > 1) throw new UsageError('end it, limit it, watch it or show it: one of them');
    if (abort || pivot || async) {
      const request = { disk: args.disk, pivot, wait: !async };
      return session.give('abortBlockJob', request, args.domain, () =>
        pivot ? 'Successfully pivoted' : 'Job aborted',
      );
    }
    if (limit.bandwidth !== undefined) {
      const request = { disk: args.disk, bandwidth: limit.bandwidth };
      return session.give('setBlockJobSpeed', request, args.domain, () => 'Bandwidth limit set');
    }
    const { domain: found, asOf } = await session.call('getDomain', {}, args.domain);
    const job = await jobOf(session, found.uuid, args.disk);
    if (!job) return out.show({ job: null }, () => `No current block job for ${args.disk}`);
    if (!watch) return out.show({ job }, () => (raw ? printRawBlockJob(job) : printBlockJob(job)));
    if (job.state === 'ready') return out.show({ job }, () => `${printBlockJob(job)}    ready`);
    const seen = {
      uuid: found.uuid,
      disk: job.disk,
      since: asOf + 1,
      seconds: globals.timeout,
      aborts: false,
      verbose: true,
    };
    const phase = await nextPhase(session, out, seen);
    if (phase.type === 'ready') out.show({ job, phase }, () => `${jobNames[job.type]} is ready`);
    else told(out, job.type, phase, `${jobNames[job.type]} has completed`);
  },
});
