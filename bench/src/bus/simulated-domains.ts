/** Defining many simulated domains, several at a time, spread over the hosts. */
import { defineDomain } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';

/** Asked for at the same time. */
const inParallel = 16;

/** @returns their uuids */
export async function defineMany(bus: Bus, count: number): Promise<string[]> {
  const uuids: string[] = [];
  await inTurn(count, inParallel, async (n) => {
    const xml = `<domain type='test'><name>bench-${n}</name><memory>65536</memory><os><type>hvm</type></os></domain>`;
    uuids.push((await call(bus, defineDomain, { xml })).domain.uuid);
  });
  return uuids;
}

/** Work on 0, 1, … `count - 1`, so many at a time. */
export async function inTurn(count: number, width: number, work: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
