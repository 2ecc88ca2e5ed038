/**
 * The QMP commands that we use: what they take and what they give, as QEMU's own schema has it (6.2 and later).
 *
 * Only fields that somebody reads are typed. `undefined` arguments: the command takes none.
 */
import type { ProbeCommands } from '@virtbus/domain-xml';
import {
  type BlockDevice,
  type BlockJobInfo,
  type BlockNode,
  type BlockStatsEntry,
  type HotpluggableCpu,
  type JobInfo,
  type MemoryDevice,
  type MigrationInfo,
  type RunState,
  type VcpuInfo,
} from './results';

type None = Record<string, never>;

/** A command with its arguments and its result. */
interface Command<Args, Result = None> {
  args: Args;
  result: Result;
}

type Query<Result> = Command<undefined, Result>;
type Id = { id: string };

/** An object whose further members depend on a discriminator (driver, type, qom-type). */
type Open<Known> = Known & Record<string, unknown>;

export interface QmpCommandMap extends ProbeCommands {
  qmp_capabilities: Command<{ enable?: string[] } | undefined>;

  'query-status': Query<{ status: RunState; running: boolean; singlestep?: boolean }>;
  'query-name': Query<{ name?: string }>;
  'query-uuid': Query<{ UUID: string }>;
  'query-chardev': Query<{ label: string; filename: string; 'frontend-open': boolean }[]>;
  'query-cpus-fast': Query<VcpuInfo[]>;
  'query-hotpluggable-cpus': Query<HotpluggableCpu[]>;
  'query-memory-devices': Query<MemoryDevice[]>;
  'query-memory-size-summary': Query<{ 'base-memory': number; 'plugged-memory'?: number }>;
  'query-iothreads': Query<{ id: string; 'thread-id': number }[]>;

  /** `actual` and `value` in bytes. */
  'query-balloon': Query<{ actual: number }>;
  balloon: Command<{ value: number }>;

  'query-block': Query<BlockDevice[]>;
  /** Block jobs that have not ended. */
  'query-block-jobs': Query<BlockJobInfo[]>;
  'block-job-set-speed': Command<{ device: string; speed: number }>;
  'job-dismiss': Command<Id>;
  'query-blockstats': Command<{ 'query-nodes'?: boolean } | undefined, BlockStatsEntry[]>;
  'query-named-block-nodes': Command<{ flat?: boolean } | undefined, BlockNode[]>;
  'blockdev-add': Command<Open<{ driver: string; 'node-name': string }>>;
  'blockdev-del': Command<{ 'node-name': string }>;
  'blockdev-reopen': Command<{ options: Open<{ driver: string; 'node-name': string }>[] }>;
  'blockdev-open-tray': Command<{ id: string; force?: boolean }>;
  'blockdev-close-tray': Command<Id>;
  'blockdev-insert-medium': Command<{ id: string; 'node-name': string }>;
  'blockdev-remove-medium': Command<Id>;
  block_resize: Command<{ 'node-name': string; size: number }>;
  block_set_io_throttle: Command<Open<Id>>;
  'block-set-write-threshold': Command<{ 'node-name': string; 'write-threshold': number }>;

  'query-jobs': Query<JobInfo[]>;

  device_add: Command<Open<{ driver: string; id?: string }>>;
  device_del: Command<Id>;
  netdev_add: Command<Open<{ type: string; id: string }>>;
  netdev_del: Command<Id>;
  set_link: Command<{ name: string; up: boolean }>;
  'chardev-add': Command<{ id: string; backend: { type: string; data: object } }, { pty?: string }>;
  'chardev-remove': Command<Id>;
  'object-add': Command<Open<{ 'qom-type': string; id: string }>>;
  'object-del': Command<Id>;
  getfd: Command<{ fdname: string }>;
  closefd: Command<{ fdname: string }>;

  migrate: Command<{ uri: string; detach?: boolean }>;
  'migrate-incoming': Command<{ uri: string; 'exit-on-error'?: boolean }>;
  migrate_cancel: Query<None>;
  'query-migrate': Query<MigrationInfo>;
  'migrate-set-parameters': Command<Record<string, unknown>>;
  'query-migrate-parameters': Query<Record<string, unknown>>;
  'migrate-continue': Command<{ state: 'pre-switchover' }>;
  'query-migrate-capabilities': Query<{ capability: string; state: boolean }[]>;
  'migrate-set-capabilities': Command<{ capabilities: { capability: string; state: boolean }[] }>;
  'dump-guest-memory': Command<{ paging: boolean; protocol: string; detach?: boolean; format?: string }>;

  cont: Query<None>;
  stop: Query<None>;
  system_powerdown: Query<None>;
  system_reset: Query<None>;
  system_wakeup: Query<None>;
  quit: Query<None>;
  'inject-nmi': Query<None>;
  'set-action': Command<{
    reboot?: 'reset' | 'shutdown';
    shutdown?: 'poweroff' | 'pause';
    panic?: 'pause' | 'shutdown' | 'exit-failure' | 'none';
    watchdog?: 'reset' | 'shutdown' | 'poweroff' | 'pause' | 'debug' | 'none' | 'inject-nmi';
  }>;

  /** `format` png since 7.1. */
  screendump: Command<{ filename: string; device?: string; head?: number; format?: 'ppm' | 'png' }>;
  /** `hold-time` in milliseconds. */
  'send-key': Command<{
    keys: ({ type: 'number'; data: number } | { type: 'qcode'; data: string })[];
    'hold-time'?: number;
  }>;
  set_password: Command<{ protocol: 'vnc' | 'spice'; password: string; connected?: 'keep' | 'fail' | 'disconnect' }>;
  expire_password: Command<{ protocol: 'vnc' | 'spice'; time: string }>;

  'qom-get': Command<{ path: string; property: string }, unknown>;
  'qom-set': Command<{ path: string; property: string; value: unknown }>;
  'qom-list': Command<{ path: string }, { name: string; type: string }[]>;
  'human-monitor-command': Command<{ 'command-line': string; 'cpu-index'?: number }, string>;
}

export type CommandName = keyof QmpCommandMap;
export type CommandArgs<Name extends CommandName> = QmpCommandMap[Name]['args'];
export type CommandResult<Name extends CommandName> = QmpCommandMap[Name]['result'];
