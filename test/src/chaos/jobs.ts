/** The work on a guest's disks that is interrupted: how it is begun and ended, and what vda stands on when it went well. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  abortBlockJob,
  commitBlocks,
  copyBlocks,
  createSnapshot,
  deleteSnapshot,
  listBlockJobs,
  pullBlocks,
  type BlockJobState,
} from '@virtbus/shared';
import type { WritingGuest } from '../block-stand/writing-guest';
import { backupJobs } from './backup-jobs';
import type { PatientClient } from './patient-client';

export type Phase = 'begin' | 'end';

export interface Interrupted {
  guest: WritingGuest;
  /** Paths of vda's images, the active one first: four. */
  images: readonly string[];
  /** For names of what it makes: its own in each round. */
  tag: string;
  client: PatientClient;
  /** Called when the work comes to this point. */
  at(phase: Phase): void;
}

export interface ChaosJob {
  name: string;
  /** Names of vda's images when it went well, from those that it had. */
  after(images: readonly string[], tag: string): readonly string[];
  /** Names of files that may be there afterwards beside those that disks stood on. */
  besides?(tag: string): readonly string[];
  /** How long it may take, milliseconds: it is interrupted within that time. */
  lasts: number;
  prepare?(work: Interrupted): Promise<void>;
  run(work: Interrupted): Promise<void>;
}

const disk = 'vda';
/** Bytes per second: with it a job on these disks takes a second or two, and is still faster than the guest writes. */
const bandwidth = 4 * 1024 * 1024;

/** Jobs take seconds, restarts too. */
const patienceMs = 60_000;

/** Until there is no job that is not in this state; whether there is one that is. A refusal for good is the caller's to have. */
async function until({ client }: Interrupted, state?: BlockJobState): Promise<boolean> {
  for (const end = Date.now() + patienceMs; ; await sleep(50)) {
    const { jobs: now } = await client.ask(listBlockJobs, {});
    if (now.every((job) => job.state === state)) return now.length > 0;
    if (Date.now() > end) throw new Error(`after ${patienceMs} ms there is still ${JSON.stringify(now)}`);
  }
}

/** A job that ends by itself. */
const single =
  (begin: (work: Interrupted) => Promise<unknown>): ChaosJob['run'] =>
  async (work) => {
    work.at('begin');
    await begin(work);
    work.at('end');
    await until(work);
  };

/** A job that is told to end when it is ready. */
const double =
  (begin: (work: Interrupted) => Promise<unknown>, pivot: boolean): ChaosJob['run'] =>
  async (work) => {
    work.at('begin');
    await begin(work);
    const ready = await until(work, 'ready');
    work.at('end');
    if (ready) await work.client.ask(abortBlockJob, { disk, pivot });
    await until(work);
  };

const activeCommit = ({ client, images: [, , base] }: Interrupted): Promise<unknown> =>
  client.ask(commitBlocks, { disk, base: base!, active: true, bandwidth });

const copyName = (tag: string): string => `copy.${tag}`;
const copy =
  (shallow: boolean) =>
  ({ client, guest, tag }: Interrupted): Promise<unknown> => {
    const xml = `<disk type='file'><source file='${guest.file(copyName(tag))}'/><driver type='qcow2'/></disk>`;
    return client.ask(copyBlocks, { disk, xml, shallow, transientJob: true, bandwidth });
  };

/** @param kept with a description, or as overlays and nothing else */
export const snapshot =
  (name: string, kept = true) =>
  ({ client, guest, tag }: Pick<Interrupted, 'client' | 'guest' | 'tag'>): Promise<unknown> => {
    const overlay = (target: string): string =>
      `<disk name='${target}' snapshot='external'><source file='${guest.file(`${target}.${tag}.${name}`)}'/></disk>`;
    const disks = `<disks>${overlay('vda')}${overlay('vdb')}</disks>`;
    const xml = `<domainsnapshot><name>${tag}.${name}</name>${disks}</domainsnapshot>`;
    return client.ask(createSnapshot, { xml, diskOnly: true, noMetadata: !kept });
  };

export const jobs: readonly ChaosJob[] = [
  {
    name: 'pull everything',
    after: ([top]) => [top!],
    lasts: 2_500,
    run: single(({ client }) => client.ask(pullBlocks, { disk, bandwidth })),
  },
  {
    name: 'pull down to a base',
    after: (images) => [images[0]!, images.at(-1)!],
    lasts: 1_500,
    run: single(({ client, images }) => client.ask(pullBlocks, { disk, base: images.at(-1)!, bandwidth })),
  },
  {
    name: 'commit a middle image',
    after: ([top, , ...below]) => [top!, ...below],
    lasts: 1_000,
    run: single(({ client, images: [, top, base] }) =>
      client.ask(commitBlocks, { disk, top: top!, base: base!, bandwidth }),
    ),
  },
  {
    name: 'commit the active image and pivot',
    after: (images) => images.slice(2),
    lasts: 2_000,
    run: double(activeCommit, true),
  },
  {
    name: 'commit the active image and abort',
    after: (images) => images,
    lasts: 2_000,
    run: double(activeCommit, false),
  },
  {
    name: 'copy everything and pivot',
    after: (_, tag) => [copyName(tag)],
    besides: (tag) => [copyName(tag)],
    lasts: 3_000,
    run: double(copy(false), true),
  },
  {
    name: 'copy the active image and pivot',
    after: ([, ...below], tag) => [copyName(tag), ...below],
    besides: (tag) => [copyName(tag)],
    lasts: 1_500,
    run: double(copy(true), true),
  },
  {
    name: 'copy and abort',
    after: (images) => images,
    besides: (tag) => [copyName(tag)],
    lasts: 3_000,
    run: double(copy(false), false),
  },
  {
    name: 'snapshot of both disks',
    after: (images, tag) => [`vda.${tag}.one`, ...images],
    lasts: 400,
    run: single(snapshot('one')),
  },
  {
    name: 'delete a middle snapshot',
    after: ([top, , ...below]) => [top!, ...below],
    lasts: 800,
    prepare: async (work) => {
      await snapshot('one')(work);
      await work.guest.flushesMore(10);
      await snapshot('two')(work);
      await work.guest.flushesMore(10);
    },
    run: single(({ client, tag }) => client.ask(deleteSnapshot, { name: `${tag}.one` })),
  },
  ...backupJobs,
];
