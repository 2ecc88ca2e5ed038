/** Refreshing a pool of 500 qcow2 volumes, beside libvirtd on the same folder. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createPool, listVolumes, refreshPool, stopPool } from '@virtbus/shared';
import { call } from '@virtbus/shared/bus';
import type { Bench } from '../bench';
import { figure } from '../measure/figure';
import { atMostTimes, type Row } from '../measure/row';

const volumes = 500;
/** Until nobody can have changed the volumes just now, milliseconds. */
const atRestMs = 3_000;
const pool = 'bench';

export async function poolRefresh(bench: Bench, name: string): Promise<Row[]> {
  const path = makeVolumes(bench.folder.file('pool'));
  const { bus, stack } = await bench.platform();
  const [target] = stack.storages.keys();
  const document = { type: 'dir', name: pool, target: { path } };
  await call(bus, createPool, { document }, { target });
  complete('our pool', (await call(bus, listVolumes, { pool }, { target })).volumes.length);
  const libvirt = await bench.libvirt();
  if (libvirt) complete("libvirt's pool", await libvirt.createPool(xmlOf(path)));
  const refresh = async (metric: string, runs: number, before: () => void): Promise<Row> => {
    const ours: number[] = [];
    const libvirts: number[] = [];
    for (let run = 0; run < runs; run++) {
      before();
      const began = performance.now();
      await call(bus, refreshPool, { pool }, { target });
      ours.push(performance.now() - began);
      if (libvirt) libvirts.push((await libvirt.refreshPool(pool)).reply);
    }
    const peer = { peerName: 'libvirtd, virStoragePoolRefresh', peer: libvirt && figure(libvirts) };
    return { name, metric, unit: 'ms', ours: figure(ours), ...peer };
  };
  // What has changed within the last two seconds could change again without its time telling: it is looked into each time.
  await sleep(atRestMs);
  const row = await refresh(`refresh a pool of ${volumes} qcow2`, bench.runs(50), () => undefined);
  const changed = await refresh('the same, every file changed', bench.runs(20), () => touchAll(path));
  await call(bus, stopPool, { pool }, { target });
  await libvirt?.destroyPool(pool);
  return [{ ...row, goal: atMostTimes(1) }, changed];
}

function touchAll(path: string): void {
  const now = new Date();
  for (const name of readdirSync(path)) utimesSync(join(path, name), now, now);
}

const xmlOf = (path: string): string =>
  `<pool type='dir'><name>${pool}</name><target><path>${path}</path></target></pool>`;

/** Every other one stands on the one before. */
function makeVolumes(path: string): string {
  mkdirSync(path, { mode: 0o755 });
  const [plain, overlay] = [join(path, 'volume-0.qcow2'), join(path, 'volume-1.qcow2')];
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', plain, '1G']);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', plain, '-F', 'qcow2', overlay]);
  for (let n = 2; n < volumes; n++) copyFileSync(n % 2 === 0 ? plain : overlay, join(path, `volume-${n}.qcow2`));
  return path;
}

function complete(what: string, count: number): void {
  if (count !== volumes) throw new Error(`${what} has ${count} of ${volumes} volumes`);
}
