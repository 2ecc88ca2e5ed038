/** Sets of small numbers as libvirt writes them: `0-3,^2,8` in, `0-1,3,8` out. */
import type { Value } from './value';

/** A bitmap has at most this many bits, as in libvirt. */
const limit = 16384;

/** The numbers of a set in rising order; undefined when it is not one. */
export function parseSet(raw: string): number[] | undefined {
  const members = new Set<number>();
  const parts = raw.split(',').map((part) => part.trim());
  for (const part of parts) {
    const match = /^(\^)?(\d+)(?:-(\d+))?$/.exec(part);
    if (!match) return undefined;
    const from = Number(match[2]);
    const to = match[3] === undefined ? from : Number(match[3]);
    if (from > to || to >= limit || (match[1] && match[3] !== undefined)) return undefined;
    for (let n = from; n <= to; n++) {
      if (match[1]) members.delete(n);
      else members.add(n);
    }
  }
  return [...members].sort((a, b) => a - b);
}

export function formatSet(members: readonly number[]): string {
  const ranges: string[] = [];
  for (let i = 0; i < members.length;) {
    let j = i;
    while (j + 1 < members.length && members[j + 1] === (members[j] ?? 0) + 1) j += 1;
    ranges.push(j === i ? `${members[i]}` : `${members[i]}-${members[j]}`);
    i = j + 1;
  }
  return ranges.join(',');
}

/** A set of CPU or NUMA node numbers, kept as canonical text. */
export const cpuset: Value<string> = {
  parse: (raw) => {
    const members = parseSet(raw);
    return members && formatSet(members);
  },
  format: (value) => value,
  json: { type: 'string', pattern: '^[0-9,\\-]*$' },
  expects: "a set of numbers such as '0-3,^2,8'",
};
