/** What the runtime reads from and writes into a domain document; it knows no more of it. */
import { isEmptyDrive, metadataElement, withMetadataElement, type Domain } from '@virtbus/domain-xml';
import { VirtError, type DomainSummary } from '@virtbus/shared';

type Described = Pick<
  DomainSummary,
  'memoryKiB' | 'maxMemoryKiB' | 'vcpus' | 'maxVcpus' | 'osType' | 'arch' | 'machine' | 'virtType' | 'images' | 'title'
>;

/** The part of a summary that the document tells. */
export function describe(domain: Domain): Described {
  const { title } = domain;
  const { machine, arch, name } = domain.os.type ?? {};
  return {
    ...memoryOf(domain),
    ...vcpusOf(domain),
    osType: name ?? 'hvm',
    arch: arch ?? 'x86_64',
    virtType: domain.type,
    images: hasImages(domain),
    ...(machine ? { machine } : {}),
    ...(title ? { title } : {}),
  };
}

/** A disk has a medium: storage prepares what opens it. */
export function hasImages(domain: Domain): boolean {
  return domain.devices.disks.some((disk) => !isEmptyDrive(disk));
}

export function memoryOf(domain: Domain): { memoryKiB: number; maxMemoryKiB: number } {
  const maxMemoryKiB = domain.memory.kib;
  return { memoryKiB: domain.currentMemory ?? maxMemoryKiB, maxMemoryKiB };
}

export function vcpusOf(domain: Domain): { vcpus: number; maxVcpus: number } {
  return { vcpus: domain.vcpu.current ?? domain.vcpu.count, maxVcpus: domain.vcpu.count };
}

/** With a lower maximum the balloon target is cut to it. */
export function withMemory(domain: Domain, kib: number, maximum: boolean): Domain {
  if (!maximum) return { ...domain, currentMemory: kib };
  const currentMemory = Math.min(domain.currentMemory ?? kib, kib);
  return { ...domain, memory: { ...domain.memory, kib }, currentMemory };
}

export function withVcpus(domain: Domain, count: number, maximum: boolean): Domain {
  const most = maximum ? count : domain.vcpu.count;
  const current = maximum ? Math.min(domain.vcpu.current ?? count, count) : count;
  const { current: _old, ...vcpu } = domain.vcpu;
  return { ...domain, vcpu: { ...vcpu, count: most, ...(current === most ? {} : { current }) } };
}

/** The file that holds the firmware's variables. */
export function nvramOf(domain: Domain): string | undefined {
  return domain.os.nvram?.path ?? domain.os.nvram?.source?.file;
}

export type MetadataType = 'title' | 'description' | 'element';

export function metadataOf(domain: Domain, type: MetadataType, uri: string | undefined): string | undefined {
  if (type !== 'element') return domain[type];
  if (!uri) throw new VirtError('INVALID_ARG', { detail: 'an element of <metadata> is asked for by its uri' });
  return metadataElement(domain, uri);
}

export function withMetadata(
  domain: Domain,
  change: { type: MetadataType; value: string | null; key?: string | undefined; uri?: string | undefined },
): Domain {
  const { type, value, key, uri } = change;
  if (type !== 'element') {
    if (type === 'title' && value?.includes('\n')) {
      throw new VirtError('INVALID_ARG', { detail: 'a title cannot contain newlines' });
    }
    return { ...domain, [type]: value || undefined };
  }
  if (!uri) throw new VirtError('INVALID_ARG', { detail: 'an element of <metadata> is set with its uri' });
  return withMetadataElement(domain, { uri, key, value });
}
