/**
 * The host's side of guest memory: anonymous, from a file, from huge pages; on which NUMA nodes, shared or not.
 *
 * One description serves the machine's RAM, NUMA cells and memory devices.
 */
import type { MemoryDevice } from '../elements/memory-device';
import { parseSet } from '../schema';
import { hasFlag, unsupported, type Guest, type HugePages, type ObjectProps } from './context';
import { props, type LooseProps } from './props';

export interface MemoryRequest {
  /** Id of the object. */
  readonly id: string;
  readonly kib: number;
  /** The guest's NUMA cell; memory that belongs to none follows no node. */
  readonly cell?: number | undefined;
  /** The machine's own RAM: its migration stream knows it under the machine's name for it. */
  readonly isMachineRam?: boolean;
  readonly device?: MemoryDevice;
}

interface Plan {
  readonly kind: 'ram' | 'file' | 'memfd';
  readonly path?: string | undefined;
  readonly pages?: HugePages | undefined;
  readonly share?: boolean | undefined;
  readonly discard?: boolean | undefined;
  readonly prealloc: boolean;
  readonly nodes?: readonly number[] | undefined;
  readonly policy?: string | undefined;
}

/** The object, after the thread that fills it on the right nodes where one is needed. */
export function hostMemoryObject(guest: Guest, request: MemoryRequest): ObjectProps[] {
  const plan = planMemory(guest, request);
  const { source, model } = request.device ?? {};
  const isVirtioMem = model === 'virtio-mem';
  const context =
    plan.prealloc && plan.nodes && !isVirtioMem && hasFlag(guest, 'thread-context') ? `tc-${request.id}` : undefined;
  const backend = props(
    { 'qom-type': `memory-backend-${plan.kind}`, id: request.id },
    plan.kind === 'memfd' && plan.pages ? { hugetlb: true, hugetlbsize: plan.pages.sizeKib * 1024 } : {},
    plan.kind === 'file' ? { 'mem-path': plan.path } : {},
    plan.kind === 'file' ? { 'discard-data': plan.discard } : {},
    plan.kind === 'ram' ? {} : { share: plan.share },
    canonicalPath(guest, request, plan),
    isVirtioMem ? { reserve: false } : preallocation(guest, plan),
    { size: request.kib * 1024 },
    {
      align: source?.alignsize === undefined ? undefined : source.alignsize * 1024,
      pmem: source?.pmem || undefined,
      'host-nodes': plan.nodes,
      policy: plan.policy,
      'prealloc-context': context,
    },
  ) as ObjectProps;
  if (context === undefined || plan.nodes === undefined) return [backend];
  return [{ 'qom-type': 'thread-context', id: context, 'node-affinity': plan.nodes }, backend];
}

/** Whether a cell's memory needs an object of its own; plain memory can be told as a number, where the machine still allows it. */
export function needsBackend(guest: Guest, request: MemoryRequest): boolean {
  const { kind, nodes } = planMemory(guest, request);
  return kind !== 'ram' || nodes !== undefined;
}

function planMemory(guest: Guest, request: MemoryRequest): Plan {
  const { memoryBacking } = guest.domain;
  const { source, model } = request.device ?? {};
  const pages = hugePagesFor(guest, request);
  const share = accessOf(guest, request);
  const placed = placement(guest, request);
  const immediate = memoryBacking?.allocation?.mode === 'immediate';
  const common = { share, discard: discardOf(guest, request), pages, ...placed };
  if (source?.path !== undefined)
    return {
      ...common,
      kind: 'file',
      path: source.path,
      pages: undefined,
      prealloc: model === 'nvdimm' && !source.pmem,
    };
  const wanted = memoryBacking?.source?.type;
  if (wanted === 'memfd') return { ...common, kind: 'memfd', prealloc: pages !== undefined || immediate };
  if (pages) return { ...common, kind: 'file', path: hugePagePath(guest, pages), prealloc: true };
  if (wanted === 'file' || share !== undefined)
    return { ...common, kind: 'file', path: memoryFile(guest, request.id), prealloc: immediate };
  return { ...common, kind: 'ram', prealloc: immediate };
}

const memoryFile = ({ context }: Guest, id: string): string => `${context.memoryDir}/${context.shortName}/${id}`;
const hugePagePath = ({ context }: Guest, { mount }: HugePages): string => `${mount}/libvirt/qemu/${context.shortName}`;

function accessOf({ domain }: Guest, { cell, device }: MemoryRequest): boolean | undefined {
  const mode =
    device?.access ??
    domain.cpu?.numa?.cells.find(({ id }) => id === cell)?.memAccess ??
    domain.memoryBacking?.access?.mode;
  return mode === undefined ? undefined : mode === 'shared';
}

/** `discard-data`: memory's content is dropped with the guest instead of being written back. */
function discardOf({ domain }: Guest, { cell, device }: MemoryRequest): boolean | undefined {
  return (
    device?.discard ??
    domain.cpu?.numa?.cells.find(({ id }) => id === cell)?.discard ??
    (domain.memoryBacking?.discard ? true : undefined)
  );
}

/** The huge pages for this memory; undefined for ordinary pages. */
function hugePagesFor({ domain, context }: Guest, { cell, device }: MemoryRequest): HugePages | undefined {
  const wish = device?.source?.pagesize;
  const { hugepages } = domain.memoryBacking ?? {};
  if (wish === undefined && hugepages === undefined) return undefined;
  const listed =
    hugepages?.pages.find(({ nodeset }) => cell !== undefined && nodeset && parseSet(nodeset)?.includes(cell)) ??
    hugepages?.pages.find(({ nodeset }) => nodeset === undefined);
  if (wish === undefined && listed === undefined && (hugepages?.pages.length ?? 0) > 0) return undefined;
  const size = wish ?? listed?.size;
  if (size === ordinaryPage) return undefined;
  const available = context.hugePages ?? [];
  const found =
    size === undefined
      ? available.find(({ isDefault }) => isDefault)
      : available.find(({ sizeKib }) => sizeKib === size);
  return (
    found ??
    unsupported(
      size === undefined ? 'the host has no huge pages mounted' : `the host has no huge pages of ${size} KiB mounted`,
    )
  );
}

/** KiB. */
const ordinaryPage = 4;

function placement({ domain, context }: Guest, { cell, device }: MemoryRequest): Pick<Plan, 'nodes' | 'policy'> {
  const own = device?.source?.nodemask;
  const { memory, memnodes } = domain.numatune ?? {};
  const memnode = memnodes?.find(({ cellid }) => cellid === cell);
  const mode = memnode?.mode ?? memory?.mode ?? 'strict';
  const policy = mode === 'strict' ? 'bind' : mode;
  if (own !== undefined) return { nodes: parseSet(own), policy };
  if (mode === 'restrictive') return {};
  const set = memnode?.nodeset ?? (memory?.placement === 'auto' ? context.autoNodeset : memory?.nodeset);
  if (set === undefined) return {};
  const nodes = parseSet(set);
  const missing = nodes?.find((node) => context.numaNodes?.includes(node) === false);
  if (missing !== undefined) return unsupported(`NUMA node ${missing} is unavailable`);
  return { nodes, policy };
}

function canonicalPath(guest: Guest, { isMachineRam }: MemoryRequest, { kind }: Plan): LooseProps {
  const applies =
    isMachineRam && kind !== 'ram' && hasFlag(guest, 'memory-backend-file.x-use-canonical-path-for-ramblock-id');
  return applies ? { 'x-use-canonical-path-for-ramblock-id': false } : {};
}

function preallocation({ domain }: Guest, { prealloc }: Plan): LooseProps {
  return prealloc ? { prealloc: true, 'prealloc-threads': domain.memoryBacking?.allocation?.threads } : {};
}
