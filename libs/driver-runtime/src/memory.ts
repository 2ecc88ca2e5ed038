/** How much memory a new guest can have on this host. */
import { readFileSync } from 'node:fs';
import type { Domain } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import { memoryOf } from './document';

/** Of `/proc/meminfo`, KiB (proc(5)). */
export function hostMemory(): { totalKiB: number; freeKiB: number } {
  const text = readFileSync('/proc/meminfo', 'utf8');
  const value = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0);
  return { totalKiB: value('MemTotal'), freeKiB: value('MemAvailable') + value('SwapFree') };
}

/** Throws when the guest cannot have its memory: better now than when it has touched it all. */
export function checkMemory(domain: Domain): void {
  const { maxMemoryKiB } = memoryOf(domain);
  const { freeKiB } = hostMemory();
  if (maxMemoryKiB <= freeKiB) return;
  const mib = (kib: number): string => `${Math.ceil(kib / 1024)} MiB`;
  throw new VirtError('OPERATION_FAILED', {
    detail: `not enough memory on this host: the domain wants ${mib(maxMemoryKiB)}, ${mib(freeKiB)} are free; lower <memory> or free some`,
  });
}
