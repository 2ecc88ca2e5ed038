/** Pools of type logical: an LVM volume group, and its logical volumes as block devices. */
import type { Pool, Volume } from '@virtbus/domain-xml/storage';
import { VirtError } from '@virtbus/shared';
import { run } from '../../programs';
import { deviceVolume } from '../device-volume';
import type { Backend, Contents, Space } from './backend';

interface Report {
  report: { vg?: Record<string, string>[]; lv?: Record<string, string>[] }[];
}

const inBytes = ['--units', 'b', '--nosuffix', '--reportformat', 'json'];

export const logical: Backend = {
  isUp: async (pool) => {
    // Asked for all of them: asked for one, vgs tells one that is not there as it tells any failure.
    const groups = groupsIn(await run('vgs', [...inBytes, '-o', 'vg_name']));
    return groups.some((group) => group['vg_name'] === nameOf(pool));
  },
  build: async (pool, overwrite, signal) => {
    const devices = pool.source.devices.map(({ path }) => path);
    if (devices.length === 0)
      throw new VirtError('OPERATION_FAILED', { detail: `pool '${pool.name}' names no devices to build it of` });
    const force = overwrite ? ['-ff', '-y'] : [];
    for (const device of devices) await run('pvcreate', [...force, '--', device], { signal });
    await run('vgcreate', ['--', nameOf(pool), ...devices], { signal });
  },
  start: async (pool, signal) => {
    await run('vgchange', ['-aly', '--', nameOf(pool)], { signal });
  },
  stop: async (pool) => {
    await run('vgchange', ['-aln', '--', nameOf(pool)]);
  },
  remove: async (pool) => {
    await run('vgremove', ['-f', '--', nameOf(pool)]);
    for (const { path } of pool.source.devices) await run('pvremove', ['--', path]);
  },
  look,
  space: spaceOf,
  devices: {
    create: async (pool, volume, signal) => {
      const size = `${volume.capacity ?? 0}B`;
      await run('lvcreate', ['-y', '-W', 'y', '-n', volume.name, '-L', size, '--', nameOf(pool)], { signal });
      return `/dev/${nameOf(pool)}/${volume.name}`;
    },
    identify: async (pool, path) => {
      const { volumes } = await look(pool);
      return volumes.find(({ volume }) => volume.target.path === path)?.volume.key;
    },
    remove: async (pool, volume) => {
      await run('lvremove', ['-f', '--', lvOf(pool, volume)]);
    },
    resize: async (pool, volume, bytes) => {
      await run('lvresize', ['-f', '-L', `${bytes}B`, '--', lvOf(pool, volume)]);
    },
  },
};

const nameOf = ({ source }: Pool): string => source.name ?? '';
const lvOf = (pool: Pool, { name }: Volume): string => `${nameOf(pool)}/${name}`;

async function groupOf(pool: Pool): Promise<Record<string, string>> {
  const said = await run('vgs', [...inBytes, '-o', 'vg_size,vg_free', '--', nameOf(pool)]);
  const [group] = groupsIn(said);
  if (!group) throw new VirtError('OPERATION_FAILED', { detail: `there is no volume group '${nameOf(pool)}'` });
  return group;
}

const groupsIn = (said: string): Record<string, string>[] =>
  (JSON.parse(said) as Report).report.flatMap(({ vg = [] }) => vg);

async function spaceOf(pool: Pool): Promise<Space> {
  const group = await groupOf(pool);
  const [capacity, available] = [Number(group['vg_size']), Number(group['vg_free'])];
  return { capacity, available, allocation: capacity - available };
}

async function look(pool: Pool): Promise<Contents> {
  const space = await spaceOf(pool);
  const columns = 'lv_name,lv_uuid,lv_size,lv_attr,lv_path';
  const said = await run('lvs', [...inBytes, '-o', columns, '--', nameOf(pool)]);
  const rows = (JSON.parse(said) as Report).report.flatMap(({ lv = [] }) => lv);
  const volumes = rows
    // Thin pools and what LVM keeps for itself are no disks of anybody (lvs(8): the first attribute).
    .filter((row) => /^[-osV]/.test(row['lv_attr'] ?? ''))
    .map((row) => {
      const path = row['lv_path'] || `/dev/${nameOf(pool)}/${row['lv_name']}`;
      return { volume: deviceVolume(row['lv_name'] ?? '', path, Number(row['lv_size']), row['lv_uuid']) };
    });
  return { space, volumes };
}
