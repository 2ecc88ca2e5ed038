/** Backups that are interrupted: the guest's disks stay as they are, whatever comes of them. */
import { abortJob, beginBackup, getJob } from '@virtbus/shared';
import { eventually, freePort } from '@virtbus/testkit';
import type { ChaosJob, Interrupted } from './jobs';

const over = (work: Interrupted): Promise<unknown> =>
  eventually(async () => (await work.client.ask(getJob, {})).job.type, 'none', { timeoutMs: 60_000 });

const image = (disk: string, tag: string): string => `backup-${disk}.${tag}`;

const disks = ({ guest, tag }: Interrupted, store: 'target' | 'scratch'): string =>
  ['vda', 'vdb']
    .map((disk) => `<disk name='${disk}'><${store} file='${guest.file(image(disk, tag))}'/></disk>`)
    .join('');

export const backupJobs: readonly ChaosJob[] = [
  {
    name: 'back up into files',
    after: (images) => images,
    besides: (tag) => ['vda', 'vdb'].map((disk) => image(disk, tag)),
    lasts: 1_000,
    run: async (work) => {
      const { client } = work;
      work.at('begin');
      await client.ask(beginBackup, { xml: `<domainbackup><disks>${disks(work, 'target')}</disks></domainbackup>` });
      work.at('end');
      await over(work);
    },
  },
  {
    name: 'back up over NBD and abort',
    after: (images) => images,
    lasts: 1_000,
    run: async (work) => {
      const { client } = work;
      const server = `<server transport='tcp' name='127.0.0.1' port='${await freePort()}'/>`;
      const xml = `<domainbackup mode='pull'>${server}<disks>${disks(work, 'scratch')}</disks></domainbackup>`;
      work.at('begin');
      await client.ask(beginBackup, { xml });
      work.at('end');
      await client.ask(abortJob, {});
      await over(work);
    },
  },
];
