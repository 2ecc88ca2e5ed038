/** The limits in a domain document, read and changed: `<cputune>`, `<memtune>`, `<blkiotune>`. */
import { unlimitedKib, type Domain } from '@virtbus/domain-xml';
import type { BlockIoTuning, MemoryTuning, SchedulerTuning, Tuning } from '@virtbus/shared';

type Memtune = NonNullable<Domain['memtune']>;
type Blkiotune = NonNullable<Domain['blkiotune']>;
type TunedDevice = Blkiotune['devices'][number];

/** What a document says; what it leaves open is absent. */
export function tuningOf({ cputune, memtune, blkiotune }: Domain): Required<Tuning> {
  return {
    cpu: {
      ...(cputune?.shares && { shares: cputune.shares }),
      ...(cputune?.period && { periodUs: cputune.period }),
      ...(cputune?.quota && { quotaUs: cputune.quota }),
    },
    memory: {
      ...kibOf('hardKiB', memtune?.hard_limit),
      ...kibOf('softKiB', memtune?.soft_limit),
      ...kibOf('swapHardKiB', memtune?.swap_hard_limit),
    },
    blockIo: {
      ...(blkiotune?.weight && { weight: blkiotune.weight }),
      devices: (blkiotune?.devices ?? []).map(deviceOf),
    },
  };
}

const kibOf = (name: keyof MemoryTuning, kib: number | undefined): MemoryTuning =>
  kib === undefined ? {} : { [name]: kib >= unlimitedKib ? null : kib };

export function withScheduler(domain: Domain, { shares, periodUs, quotaUs }: SchedulerTuning): Domain {
  const none = { vcpupins: [], iothreadpins: [], vcpuscheds: [], iothreadscheds: [], cachetunes: [], memorytunes: [] };
  const cputune = {
    ...(domain.cputune ?? none),
    ...(shares !== undefined && { shares }),
    ...(periodUs !== undefined && { period: periodUs }),
    ...(quotaUs !== undefined && { quota: quotaUs }),
  };
  return { ...domain, cputune };
}

/** Without a hard limit a guest has what its `<memory>` says. */
export function withMemoryLimits(domain: Domain, { hardKiB, softKiB, swapHardKiB }: MemoryTuning): Domain {
  const memtune: Memtune = { ...domain.memtune };
  if (hardKiB === null) delete memtune.hard_limit;
  else if (hardKiB !== undefined) memtune.hard_limit = hardKiB;
  if (softKiB !== undefined) memtune.soft_limit = softKiB ?? unlimitedKib;
  if (swapHardKiB !== undefined) memtune.swap_hard_limit = swapHardKiB ?? unlimitedKib;
  return { ...domain, memtune };
}

export function withBlockIo(domain: Domain, { weight, devices: wishes }: BlockIoTuning): Domain {
  const devices = [...(domain.blkiotune?.devices ?? [])];
  for (const wish of wishes) {
    const at = devices.findIndex(({ path }) => path === wish.path);
    const tuned = withRates(devices[at] ?? { path: wish.path }, wish);
    if (at < 0) devices.push(tuned);
    else devices[at] = tuned;
  }
  const before: Omit<Blkiotune, 'devices'> = domain.blkiotune ?? {};
  return { ...domain, blkiotune: { ...before, ...(weight !== undefined && { weight }), devices } };
}

/** Members of a device in the document, and what the same is called on the bus. */
const rates = [
  ['weight', 'weight'],
  ['read_iops_sec', 'readIops'],
  ['write_iops_sec', 'writeIops'],
  ['read_bytes_sec', 'readBytes'],
  ['write_bytes_sec', 'writeBytes'],
] as const;

function withRates(device: TunedDevice, wish: BlockIoTuning['devices'][number]): TunedDevice {
  const tuned = { ...device };
  for (const [member, name] of rates) {
    const value = wish[name];
    if (value !== undefined) tuned[member] = value;
  }
  return tuned;
}

function deviceOf(device: TunedDevice): BlockIoTuning['devices'][number] {
  const told = rates.flatMap(([member, name]) => (device[member] ? [[name, device[member]] as const] : []));
  return { path: device.path, ...Object.fromEntries(told) };
}
