/** What QEMU tells of a migration, as the bus has it. */
import type { MigrationProgress } from '@virtbus/shared';
import type { MigrationInfo } from '../qmp';

/** `mbps` counts bits. */
const bytesPerSecond = (mbps: number): number => (mbps * 1_000_000) / 8;

export function progressOf(info: MigrationInfo, began: number, disks?: MigrationProgress['disks']): MigrationProgress {
  const { ram } = info;
  return {
    elapsedMs: info['total-time'] ?? Date.now() - began,
    ...(disks ? { disks } : {}),
    ...(ram && {
      memory: {
        total: ram.total,
        processed: ram.transferred,
        remaining: ram.remaining,
        rate: bytesPerSecond(ram.mbps),
      },
      dirtyRate: ram['dirty-pages-rate'] * ram['page-size'],
      pass: ram['dirty-sync-count'],
      pageSize: ram['page-size'],
      pages: {
        constant: ram.duplicate,
        normal: ram.normal,
        normalBytes: ram['normal-bytes'],
        postcopyRequests: ram['postcopy-requests'],
      },
    }),
    ...(info['expected-downtime'] === undefined ? {} : { expectedDowntimeMs: info['expected-downtime'] }),
    ...(info.downtime === undefined ? {} : { downtimeMs: info.downtime }),
    ...(info['setup-time'] === undefined ? {} : { setupMs: info['setup-time'] }),
    ...(info['cpu-throttle-percentage'] === undefined ? {} : { throttle: info['cpu-throttle-percentage'] }),
  };
}
