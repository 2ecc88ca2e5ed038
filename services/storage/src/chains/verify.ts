/** Reading the images of a running domain again: are they still what its guest was started on? */
import { describeLocation, identityKey } from '@virtbus/disk-image';
import { VirtError, type ChainLayer, type Response, type verifyChain } from '@virtbus/shared';
import type { Chains } from './handlers';
import type { Resolver } from './resolve';
import { faultOf } from './show';

type Verified = Response<typeof verifyChain>;
type Difference = Verified['disks'][number]['differences'][number];

/** Throws `OPERATION_INVALID` when no guest of the domain has been prepared. */
export async function verify(
  { chains, resolver }: Pick<Chains, 'chains' | 'resolver'>,
  domain: string,
): Promise<Verified> {
  const live = chains.of(domain)?.live ?? [];
  if (live.length === 0) {
    const detail = 'no guest of this domain has a disk open; a chain is found anew at each start';
    throw new VirtError('OPERATION_INVALID', { detail });
  }
  const disks = live.map(async ({ target, chain }) => {
    const layers = chain?.layers ?? [];
    const differences = await Promise.all(layers.map((layer) => differencesOf(resolver, layer)));
    return { target, layers: layers.length, differences: differences.flat() };
  });
  return { disks: await Promise.all(disks) };
}

/** What is known of a layer, and how it is told. */
const facts: readonly [name: string, of: (layer: ChainLayer) => string | number | undefined][] = [
  ['backing file', ({ backing }) => backing?.string],
  ['backing format', ({ backing }) => backing?.format],
  ['data file', ({ dataFile }) => dataFile && describeLocation(dataFile.location)],
  ['encryption', ({ encryption }) => encryption],
  ['capacity in bytes', ({ capacity }) => capacity],
];

async function differencesOf(resolver: Resolver, was: ChainLayer): Promise<Difference[]> {
  const path = describeLocation(was.location);
  const told = (what: string): Difference => ({ layer: was.index, path, what });
  let is: ChainLayer;
  try {
    const { location, format, dataFile } = was;
    const given = { location, format, dataFile: dataFile?.location };
    is = (await resolver.chain({ ...given, ended: true })).layers[0]!;
  } catch (error) {
    return [told(faultOf(error))];
  }
  if (was.identity && is.identity && identityKey(was.identity) !== identityKey(is.identity)) {
    return [told('another image stands there now')];
  }
  return facts.flatMap(([name, of]) => {
    const [before, now] = [of(was), of(is)];
    return before === now ? [] : [told(`${name} was ${before ?? 'not there'} and is ${now ?? 'not there'}`)];
  });
}
