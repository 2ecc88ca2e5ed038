/**
 * Writing the format of its backing image into an overlay that records none: what the operator states, or what is proven
 * because we made the image or another overlay records it. Never a guess, and never on an image in use.
 *
 * A crash leaves the header as it was or repaired. Only where the image below gets another name too, `qemu-img rebase -u`
 * writes it: it opens nothing but the overlay, whose header has been read and found good, and it dies with us.
 */
import {
  canHaveBacking,
  describeLocation,
  identityKey,
  readHeader,
  resolveLocation,
  setBackingFormat,
} from '@virtbus/disk-image';
import {
  VirtError,
  type ImageFormat,
  type Location,
  type repairChain,
  type Request,
  type Response,
} from '@virtbus/shared';
import type { Call } from '@virtbus/shared/bus';
import { run } from '../programs';
import type { Chains } from './handlers';
import { headersFormat } from './show';

type Known = Response<typeof repairChain>['known'];

export class Repair {
  constructor(private readonly of: Chains) {}

  async run({ overlay, format, base }: Request<typeof repairChain>, call: Call): Promise<Response<typeof repairChain>> {
    using _bar = await this.of.use.claim(overlay, 'repaired', false);
    const place: Location = { type: 'file', path: overlay };
    const own = await headersFormat(this.of.resolver, place);
    if (!canHaveBacking(own)) throw invalid(`'${overlay}' is ${own}: it has no image below`);
    if (own !== 'qcow2') {
      const detail = `a ${own} image cannot record the format of the image below; describe the layers in the domain's <backingStore>, or convert the image`;
      throw new VirtError('OPERATION_UNSUPPORTED', { detail });
    }
    const [layer] = (await this.of.resolver.chain({ location: place, format: own, ended: true })).layers;
    const recorded = layer!.backing;
    const name = base ?? recorded?.string;
    if (name === undefined) throw invalid(`'${overlay}' stands on nothing: it has no image below`);
    const { location } = resolveLocation(name, layer!.location);
    const { format: sure, known } = await this.formatOf(location, format, overlay);
    await this.checkHeader(location, sure);
    const done = { overlay, base: describeLocation(location), format: sure, known };
    if (recorded?.format === sure && recorded.string === name) return { ...done, changed: false };
    if (recorded?.string === name) await setBackingFormat(overlay, sure);
    else {
      const words = ['rebase', '-u', '-f', own, '-F', qemuName(sure), '-b', name, overlay];
      await run('qemu-img', words, { mortal: true, signal: call.signal });
    }
    this.of.host.tell({
      entity: 'chain',
      name: overlay,
      type: 'repaired',
      data: { base: name, format: sure, known },
      cause: call,
    });
    return { ...done, changed: true };
  }

  private async formatOf(
    base: Location,
    stated: ImageFormat | undefined,
    overlay: string,
  ): Promise<{ format: ImageFormat; known: Known }> {
    if (stated !== undefined) return { format: stated, known: 'stated' };
    const proven = await this.proven(base);
    if (proven) return proven;
    const detail = `nothing proves which format '${describeLocation(base)}' has, on which '${overlay}' stands; state it with --format`;
    throw new VirtError('OPERATION_INVALID', { detail });
  }

  /** What is on record elsewhere about the format of an image. */
  private async proven(base: Location): Promise<{ format: ImageFormat; known: Known } | undefined> {
    const image = await this.of.resolver.opener()(base, 'given');
    await image?.close();
    if (!image) return undefined;
    const identity = identityKey(image.identity);
    const volumes = await this.of.volumes.list();
    for (const { location, format } of volumes.filter(({ created }) => created)) {
      const [layer] =
        (await this.of.resolver.chain({ location, format, ended: true }).catch(() => undefined))?.layers ?? [];
      if (layer?.identity && identityKey(layer.identity) === identity) return { format, known: 'created' };
    }
    const layers = this.of.chains.all.flatMap(({ live }) => live.flatMap(({ chain }) => chain?.layers ?? []));
    const same = layers.find(
      ({ identity: one, formatKnown }) => formatKnown === 'recorded' && one && identityKey(one) === identity,
    );
    return same && { format: same.format, known: 'recorded' };
  }

  /** A format whose mark the image does not bear is a slip of the pen. */
  private async checkHeader(location: Location, format: ImageFormat): Promise<void> {
    const image = await this.of.resolver.opener()(location, 'given');
    try {
      if (image && image.kind !== 'dir') await readHeader(image, { image: describeLocation(location), format });
    } finally {
      await image?.close();
    }
  }
}

const invalid = (detail: string): VirtError => new VirtError('OPERATION_INVALID', { detail });

/** What QEMU calls a format, where it differs. */
function qemuName(format: ImageFormat): string {
  const names: Partial<Record<ImageFormat, string>> = { ploop: 'parallels', vhd: 'vhdx', iso: 'raw' };
  return names[format] ?? format;
}
