/** Following links step by step, as the kernel does, where it matters who has put them there. */
import { readlinkSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';

/** As the kernel counts (path_resolution(7)). */
const mostLinks = 40;

/**
 * Without what is not there, which is no link.
 * @param linkAt what the link at a path leads to; undefined where there is none
 * @param isEnd goes no further than this folder
 * @returns how far it came, and the steps from there
 * @throws where links lead to links without end
 */
export function follow(
  path: string,
  linkAt: (at: string) => string | undefined,
  isEnd: (at: string) => boolean = () => false,
): { at: string; left: string[] } {
  let at = '/';
  const left = stepsOf(path);
  for (let links = 0; left.length > 0 && !isEnd(at);) {
    // Above the root is the root.
    const next = join(at, left.shift()!);
    const target = linkAt(next);
    if (target === undefined) at = next;
    else if (++links > mostLinks) throw new Error(`'${path}' leads through too many links`);
    else {
      left.unshift(...stepsOf(target));
      if (isAbsolute(target)) at = '/';
    }
  }
  return { at, left };
}

const stepsOf = (path: string): string[] => path.split('/').filter((step) => step !== '' && step !== '.');

/** What the link at a path leads to; undefined where there is none. */
export function linkAt(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
