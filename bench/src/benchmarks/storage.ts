/** What the storage service does all day: looking into pools. */
import { type Benchmark } from '../bench';
import { poolRefresh } from '../storage/pool';

const name = 'storage';

export const storage: Benchmark = {
  name,
  doc: "refresh a large pool, beside libvirt's own refresh",
  run: (bench) => poolRefresh(bench, name),
};
