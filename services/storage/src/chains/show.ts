/** The chains of a domain's disks, as its guest has them or as a start would find them now; or of one image. */
import { probeFormat } from '@virtbus/disk-image';
import {
  isVirtError,
  VirtError,
  type ChainDocument,
  type ImageFormat,
  type Location,
  type Request,
  type Response,
  type showChain,
} from '@virtbus/shared';
import type { Chains } from './handlers';
import type { Resolver } from './resolve';

type Shown = Response<typeof showChain>['chains'][number];

export async function show(
  { chains, resolver }: Pick<Chains, 'chains' | 'resolver'>,
  { domain, disks = [], image, format }: Request<typeof showChain>,
): Promise<Response<typeof showChain>> {
  if ((image === undefined) === (domain === undefined)) {
    throw new VirtError('INVALID_ARG', { detail: 'give either a domain or an image' });
  }
  if (image !== undefined) return { chains: [{ running: false, ...(await fileChain(resolver, image, format)) }] };
  const live = chains.of(domain!)?.live ?? [];
  if (live.length > 0) return { chains: live.map((disk) => ({ ...disk, running: true })) };
  return { chains: await Promise.all(disks.map((xml) => atNextStart(resolver, xml))) };
}

async function atNextStart(resolver: Resolver, xml: string): Promise<Shown> {
  try {
    const { target, chain } = await resolver.disk(xml);
    return { target, running: false, ...(chain ? { chain } : {}) };
  } catch (error) {
    const { target } = await resolver.named(xml);
    return { target, running: false, fault: faultOf(error) };
  }
}

/** Nothing runs on what is only shown: a format that nobody gave may be told by the header. */
async function fileChain(
  resolver: Resolver,
  path: string,
  given: ImageFormat | undefined,
): Promise<{ chain: ChainDocument } | { fault: string }> {
  const location: Location = { type: 'file', path };
  const format = given ?? (await headersFormat(resolver, location));
  try {
    const chain = await resolver.chain({ location, format });
    const [top, ...below] = chain.layers;
    const formatKnown = given === undefined ? 'probed' : top!.formatKnown;
    return { chain: { ...chain, layers: [{ ...top!, formatKnown }, ...below] } };
  } catch (error) {
    return { fault: faultOf(error) };
  }
}

export async function headersFormat(resolver: Resolver, location: Location): Promise<ImageFormat> {
  const image = await resolver.opener()(location, 'given');
  try {
    return image && image.kind !== 'dir' ? await probeFormat(image, 'path' in location ? location.path : '') : 'raw';
  } finally {
    await image?.close();
  }
}

/** What keeps an image from being used, in words; a defect of ours is not one. */
export function faultOf(error: unknown): string {
  if (isVirtError(error) && error.code !== 'INTERNAL_ERROR') return error.message;
  throw error;
}
