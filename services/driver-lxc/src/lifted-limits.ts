/**
 * Limits that a container was started with and has no longer. Its document says nothing of them, as of all that it never had; what
 * it boots with says them still.
 */
import type { CgroupController, LxcLimit } from '@virtbus/domain-xml';

const limitLine = /^lxc\.(cgroup2?)\.((memory|blkio|io)\.\S+) = (.*)$/gm;

/**
 * What takes them off, in the words of their files.
 * @param config of the start, as liblxc reads it
 * @param limits that it has now
 */
export function liftedLimits(config: string, limits: readonly LxcLimit[]): LxcLimit[] {
  const kept = new Set(limits.map(subjectOf));
  return [...config.matchAll(limitLine)].flatMap(([, key, file, group, value]) => {
    const none = unlimited(file!, value!);
    if (none === undefined || kept.has(subjectOf({ file: file!, value: value! }))) return [];
    const controller = (group === 'io' ? 'blkio' : group) as CgroupController;
    return [{ controller, version: key === 'cgroup' ? 1 : 2, file: file!, value: none }];
  });
}

/** Undefined for what can only be changed: memory itself, weights. */
function unlimited(file: string, value: string): string | undefined {
  if (/^memory\.(soft_limit|memsw\.limit)_in_bytes$/.test(file)) return '-1';
  if (/^memory\.(high|swap\.max)$/.test(file)) return 'max';
  return /^blkio\.throttle\.|^io\.max$/.test(file) ? unlimitedDevice(value) : undefined;
}

/** A file of limits has a line for each device, that of version 2 a word for each kind: `7:0 1048576`, `7:0 rbps=1048576`. */
export function unlimitedDevice(value: string): string {
  const [device, ...words] = value.split(' ');
  return [device, ...words.map((word) => (word.includes('=') ? word.replace(/=.*/, '=max') : '0'))].join(' ');
}

/** What a limit is about, whatever it is. */
const subjectOf = ({ file, value }: Pick<LxcLimit, 'file' | 'value'>): string =>
  `${file} ${/^\d+:\d+ (\w+=)?/.exec(value)?.[0] ?? ''}`;
