/**
 * The QMP events that we act upon, with the data they carry (QEMU ≥ 6.2). Other events arrive too, with `unknown` data.
 *
 * Names and fields are QEMU's own; what each one does to a domain's state is decided elsewhere.
 */

/** Reason of a SHUTDOWN or RESET. */
export type ShutdownCause =
  | 'none'
  | 'host-error'
  | 'host-qmp-quit'
  | 'host-qmp-system-reset'
  | 'host-signal'
  | 'host-ui'
  | 'guest-shutdown'
  | 'guest-reset'
  | 'guest-panic'
  | 'subsystem-reset'
  | 'snapshot-load';

export interface NetworkEndpoint {
  host: string;
  service: string;
  family: string;
  websocket?: boolean;
}

type GraphicsEvent = { server: NetworkEndpoint & { auth?: string }; client: NetworkEndpoint };

export interface QmpEventMap {
  RESUME: undefined;
  STOP: undefined;
  SHUTDOWN: { guest: boolean; reason: ShutdownCause };
  RESET: { guest: boolean; reason: ShutdownCause };
  POWERDOWN: undefined;
  SUSPEND: undefined;
  SUSPEND_DISK: undefined;
  WAKEUP: undefined;
  WATCHDOG: { action: 'reset' | 'shutdown' | 'poweroff' | 'pause' | 'debug' | 'none' | 'inject-nmi' };
  GUEST_PANICKED: { action: 'pause' | 'poweroff' | 'run'; info?: Record<string, unknown> };
  GUEST_CRASHLOADED: { action: string; info?: Record<string, unknown> };
  BLOCK_IO_ERROR: {
    /** Empty with -blockdev: match by `node-name`. */
    device: string;
    'node-name'?: string;
    /** Since 9.2. */
    'qom-path'?: string;
    operation: 'read' | 'write';
    action: 'ignore' | 'report' | 'stop';
    nospace?: boolean;
    /** Text for people. */
    reason: string;
  };
  BLOCK_WRITE_THRESHOLD: { 'node-name': string; 'amount-exceeded': number; 'write-threshold': number };
  BLOCK_JOB_COMPLETED: { type: string; device: string; len: number; offset: number; speed: number; error?: string };
  BLOCK_JOB_READY: { type: string; device: string; len: number; offset: number; speed: number };
  JOB_STATUS_CHANGE: { id: string; status: string };
  /** Events without `device` are about a part of one; the one with `device` ends the removal. */
  DEVICE_DELETED: { device?: string; path: string };
  DEVICE_UNPLUG_GUEST_ERROR: { device?: string; path: string };
  ACPI_DEVICE_OST: { info: { device?: string; slot: string; 'slot-type': string; source: number; status: number } };
  DEVICE_TRAY_MOVED: { device: string; id: string; 'tray-open': boolean };
  /** Bytes. */
  BALLOON_CHANGE: { actual: number };
  /** Bytes. */
  MEMORY_DEVICE_SIZE_CHANGE: { id?: string; size: number; 'qom-path': string };
  /** Seconds. */
  RTC_CHANGE: { offset: number; 'qom-path'?: string };
  MIGRATION: { status: MigrationStatus };
  MIGRATION_PASS: { pass: number };
  DUMP_COMPLETED: { result: { status: string; completed: number; total: number }; error?: string };
  VSERPORT_CHANGE: { id: string; open: boolean };
  NIC_RX_FILTER_CHANGED: { name?: string; path: string };
  VNC_CONNECTED: GraphicsEvent;
  VNC_INITIALIZED: GraphicsEvent;
  VNC_DISCONNECTED: GraphicsEvent;
  SPICE_CONNECTED: GraphicsEvent;
  SPICE_INITIALIZED: GraphicsEvent;
  SPICE_DISCONNECTED: GraphicsEvent;
  MEMORY_FAILURE: { recipient: string; action: string; flags: { 'action-required': boolean; recursive: boolean } };
}

export type MigrationStatus =
  | 'none'
  | 'setup'
  | 'cancelling'
  | 'cancelled'
  | 'active'
  | 'postcopy-active'
  | 'postcopy-paused'
  | 'postcopy-recover'
  | 'completed'
  | 'failed'
  | 'colo'
  | 'pre-switchover'
  | 'device'
  | 'wait-unplug';

export type KnownEventName = keyof QmpEventMap;

/** QEMU's clock when the event happened. */
export interface QmpTimestamp {
  seconds: number;
  microseconds: number;
}

export interface QmpEventOf<Name extends KnownEventName> {
  readonly event: Name;
  readonly data: QmpEventMap[Name];
  readonly timestamp: QmpTimestamp;
}

/** An event as it came; narrow it with `isEvent`. */
export interface QmpEvent {
  readonly event: string;
  readonly data: unknown;
  readonly timestamp: QmpTimestamp;
}

/** True for the named event; gives its data their type. */
export function isEvent<Name extends KnownEventName>(
  event: QmpEvent,
  name: Name,
): event is QmpEvent & QmpEventOf<Name> {
  return event.event === name;
}
