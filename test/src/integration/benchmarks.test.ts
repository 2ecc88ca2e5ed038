/** Benchmarks are commands of users': those whose peers are given what is ours break unseen when that changes. */
import { readFileSync } from 'node:fs';
import { needsContainers, startProcess, temporaryFolder } from '@virtbus/testkit';

interface Row {
  name: string;
  peerName: string;
  peer: number | null;
}

needsContainers().test(
  'containers and block jobs are measured beside bare liblxc and bare QEMU',
  async () => {
    using folder = temporaryFolder();
    const json = folder.file('rows.json');
    const words = ['bench/dist/main.js', 'lxc', 'blockjobs', '--runs', '1', '--without-libvirt', '--json', json];
    await using bench = await startProcess([process.execPath, ...words], { name: 'bench' });
    const exit = await bench.exited;
    if (exit.code !== 0) throw new Error(`the benchmarks ended with ${JSON.stringify(exit)}; ${bench.log.tail()}`);
    const rows = JSON.parse(readFileSync(json, 'utf8')) as Row[];
    const measured = rows.filter(({ peer }) => peer !== null).map(({ peerName }) => peerName);
    expect(new Set(measured)).toEqual(new Set(['lxc-start and lxc-wait', 'lxc-stop -k', 'bare QEMU']));
  },
  300_000,
);
