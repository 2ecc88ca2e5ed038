/** Limits of a running container: its document is changed, and what that changes is written into its cgroup. */
import { lxcLimits, type CgroupController, type Domain, type LxcLimit } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import type { ContainerCgroup } from '../cgroups';
import { deviceAt } from '../configuration';
import { rebooting } from '../freezer';
import type { LxcGuest } from '../guest';
import { liftedLimits, unlimitedDevice } from '../lifted-limits';
import type { Machine } from '../machine';
import { textFrom } from '../start-log';

/**
 * Make `tuned` the live document and hold the container to it; what fails leaves all as it was. Throws
 * `OPERATION_INVALID` without a controller, between two boots, or for less memory than is in use; `OPERATION_FAILED` when the kernel
 * refuses, `CONFIG_UNSUPPORTED` for what this host cannot do.
 */
export function holdTo(guest: LxcGuest, { capabilities: { cgroups } }: Machine, tuned: Domain): void {
  const limitsOf = (domain: Domain): LxcLimit[] => lxcLimits(domain, { cgroups, device: deviceAt });
  const [before, after] = [limitsOf(guest.live), limitsOf(tuned)];
  const fresh = changes(before, after);
  checkMemory(guest, fresh);
  const undone = [...presentOf(guest, fresh, before).reverse(), ...changes(after, before)];
  try {
    for (const limit of fresh) write(guest, limit);
  } catch (error) {
    for (const limit of undone) {
      try {
        write(guest, limit);
      } catch (err) {
        guest.log.warn({ err, file: limit.file }, 'a limit cannot be put back');
      }
    }
    throw error;
  }
  guest.live = tuned;
}

/**
 * Hold a container that has rebooted to its document: liblxc has made its cgroups anew, with the limits of the start. What cannot be
 * written is logged, and the rest is written.
 */
export function holdAgain(guest: LxcGuest, { capabilities: { cgroups } }: Machine): void {
  const limits = lxcLimits(withoutGone(guest.live), { cgroups, device: deviceAt });
  const memory = memoryLimit(limits);
  const booted = memory && guest.cgroup.read('memory', memory.file, memory.file);
  // What is without limit comes first: memory with swap is in the way of memory that grows.
  const lifted = liftedLimits(textFrom(guest.place.config, 0), limits);
  for (const limit of [...lifted, ...inOrder(limits, Number(booted) < Number(memory?.value))]) {
    if (isHeld(guest, limit)) continue;
    try {
      write(guest, limit);
    } catch (err) {
      guest.log.warn({ err, file: limit.file }, 'a limit cannot be set again after a reboot');
    }
  }
}

/** A device that the host has no longer cannot be named, and nobody reads from it. */
function withoutGone(live: Domain): Domain {
  const { blkiotune } = live;
  if (!blkiotune) return live;
  const devices = blkiotune.devices.filter(({ path }) => path.startsWith('/dev/block/') || deviceAt(path));
  return { ...live, blkiotune: { ...blkiotune, devices } };
}

/** Its file says it, or one of the lines there. */
const isHeld = ({ cgroup }: LxcGuest, { controller, file, value }: LxcLimit): boolean =>
  cgroup.read(controller, file, file)?.split('\n').includes(value) === true;

/** What takes back limits that the document did not set before: what their files have; of a device, none. */
function presentOf({ cgroup }: LxcGuest, fresh: readonly LxcLimit[], before: readonly LxcLimit[]): LxcLimit[] {
  const isAbout = ({ file, value }: LxcLimit): string => `${file} ${deviceIn(value) ?? ''}`;
  const known = new Set(before.map(isAbout));
  return fresh.flatMap((limit) => {
    if (known.has(isAbout(limit))) return [];
    const { controller, file } = limit;
    const device = deviceIn(limit.value);
    const value =
      device === undefined ? cgroup.read(controller, file, file)?.trim() : unlimitedDevice(String(limit.value));
    return value === undefined ? [] : [{ ...limit, value }];
  });
}

/** Limits of devices have a line each in their file: `7:0 rbps=1048576`, on version 1 `7:0 1048576`. */
const deviceIn = (value: LxcLimit['value']): string | undefined => /^\d+:\d+(?= )/.exec(String(value))?.[0];

/** Writing one limit, on whichever version its controller is. */
export function writeLimit(
  cgroup: ContainerCgroup,
  controller: CgroupController,
  v1: readonly [file: string, value: string | number],
  v2: typeof v1,
): void {
  const version = cgroup.version(controller);
  if (version === undefined) {
    throw new VirtError('OPERATION_INVALID', { detail: `cgroup ${controller} controller is not mounted` });
  }
  const [file, value] = version === 1 ? v1 : v2;
  try {
    cgroup.write(controller, file, String(value));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    // A file that is not in a cgroup is refused as one that may not be made.
    if (code === 'ENOENT' || !cgroup.isThere(controller)) throw rebooting(cause);
    const why = code === 'EINVAL' ? 'the kernel does not take this value' : message;
    throw new VirtError('OPERATION_FAILED', { detail: `cannot set ${file} to ${value}: ${why}` }, { cause });
  }
}

function write({ cgroup }: LxcGuest, { controller, file, value }: LxcLimit): void {
  writeLimit(cgroup, controller, [file, value], [file, value]);
}

/** Limits that are new or different, in the order in which they can be written. */
function changes(before: readonly LxcLimit[], after: readonly LxcLimit[]): readonly LxcLimit[] {
  const fresh = after.filter(({ file, value }) => !before.some((one) => one.file === file && one.value === value));
  const [now, next] = [before, after].map((limits) => Number(memoryLimit(limits)?.value));
  return inOrder(fresh, now! < next!);
}

/** Version 1 wants memory with swap, which comes after memory, to be no less than memory at every moment. */
const inOrder = (limits: readonly LxcLimit[], memoryGrows: boolean): readonly LxcLimit[] =>
  memoryGrows ? [...limits].reverse() : limits;

const memoryLimit = (limits: readonly LxcLimit[]): LxcLimit | undefined =>
  limits.find(({ file }) => file === 'memory.limit_in_bytes' || file === 'memory.max');

/** Less than is in use: version 2 would kill for it, version 1 refuse. */
function checkMemory({ cgroup, live }: LxcGuest, fresh: readonly LxcLimit[]): void {
  const wanted = Number(memoryLimit(fresh)?.value ?? Number.POSITIVE_INFINITY);
  const used = Number(cgroup.read('memory', 'memory.usage_in_bytes', 'memory.current') ?? 0);
  if (wanted >= used) return;
  const kib = (bytes: number): number => Math.ceil(bytes / 1024);
  const detail = `the container '${live.name}' uses ${kib(used)} KiB of memory; it cannot be limited to ${kib(wanted)} KiB`;
  throw new VirtError('OPERATION_INVALID', { detail });
}
