/** What the storage service does all day: finding chains, looking into pools. */
import { type Benchmark } from '../bench';
import { resolveChains } from '../storage/chain';
import { poolRefresh } from '../storage/pool';

const name = 'storage';

export const storage: Benchmark = {
  name,
  doc: "resolve backing chains, beside qemu-img; refresh a large pool, beside libvirt's own refresh",
  run: async (bench) => [...(await resolveChains(bench, name)), ...(await poolRefresh(bench, name))],
};
