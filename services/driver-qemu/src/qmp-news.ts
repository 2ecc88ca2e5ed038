/** QEMU's events as news of the guest: which ones matter, and what each means for state and for listeners. */
import { isEvent, type NetworkEndpoint, type QmpEvent } from './qmp';
import type { QemuGuest } from './guest';
import { thresholdExceeded } from './write-threshold';

/** A second reset within this time belongs to the first: SeaBIOS resets again on a warm boot. Seconds. */
const oneResetSeconds = 2;
const lastReset = new WeakMap<QemuGuest, number>();

/** An event as it is remembered of what it led to: `QMP SHUTDOWN guest-shutdown`. */
export function wordsOf({ event, data }: QmpEvent): string {
  const { reason } = (data ?? {}) as { reason?: unknown };
  return typeof reason === 'string' ? `QMP ${event} ${reason}` : `QMP ${event}`;
}

export function newsOf(guest: QemuGuest, event: QmpEvent): void {
  if (isEvent(event, 'RESUME')) return guest.becomeRunning();
  if (isEvent(event, 'STOP')) return guest.becomePaused();
  if (isEvent(event, 'SHUTDOWN')) {
    const panicked = event.data.reason === 'guest-panic';
    return guest.powerOff(event.data.guest ? 'guest' : 'host', panicked);
  }
  if (isEvent(event, 'RESET')) return reset(guest, event);
  if (isEvent(event, 'SUSPEND')) {
    return guest.tell({
      kind: 'state',
      to: { state: 'pmsuspended', reason: 'unknown' },
      event: { type: 'pmsuspended', detail: 'memory' },
    });
  }
  if (isEvent(event, 'WAKEUP')) {
    return guest.tell({
      kind: 'state',
      to: { state: 'running', reason: 'wakeup' },
      event: { type: 'started', detail: 'wakeup' },
    });
  }
  if (isEvent(event, 'GUEST_PANICKED')) return panic(guest, event.data.action);
  if (isEvent(event, 'WATCHDOG')) {
    if (event.data.action === 'pause') guest.expectPause('watchdog');
    return guest.tell({ kind: 'event', class: 'watchdog', type: 'fired', data: { action: event.data.action } });
  }
  if (isEvent(event, 'BLOCK_IO_ERROR')) {
    const { action, reason, nospace } = event.data;
    if (action === 'stop') guest.expectPause('ioerror');
    return guest.tell({
      kind: 'event',
      class: 'io-error',
      type: action === 'stop' ? 'pause' : action,
      detail: nospace ? 'enospc' : '',
      data: { node: event.data['node-name'], operation: event.data.operation, reason },
    });
  }
  return details(guest, event);
}

/** Events that change no state. */
function details(guest: QemuGuest, event: QmpEvent): void {
  if (isEvent(event, 'BALLOON_CHANGE')) {
    const kib = Math.floor(event.data.actual / 1024);
    guest.live = { ...guest.live, currentMemory: kib };
    guest.tellLive();
    return guest.tell({ kind: 'event', class: 'balloon', type: 'change', data: { actualKiB: kib } });
  }
  if (isEvent(event, 'RTC_CHANGE')) {
    return guest.tell({ kind: 'event', class: 'rtc', type: 'change', data: { offset: event.data.offset } });
  }
  if (isEvent(event, 'JOB_STATUS_CHANGE')) return guest.blockJobs.heard(event.data.id, event.data.status);
  if (isEvent(event, 'DEVICE_DELETED')) {
    if (event.data.device) guest.departures.heard(event.data.device);
    return;
  }
  if (isEvent(event, 'DEVICE_UNPLUG_GUEST_ERROR')) {
    if (!event.data.device) return;
    return guest.tell({ kind: 'event', class: 'device', type: 'removal-failed', data: { alias: event.data.device } });
  }
  if (isEvent(event, 'DEVICE_TRAY_MOVED')) {
    const type = event.data['tray-open'] ? 'open' : 'close';
    return guest.tell({ kind: 'event', class: 'tray', type, data: { alias: event.data.id || event.data.device } });
  }
  if (isEvent(event, 'BLOCK_WRITE_THRESHOLD')) return thresholdExceeded(guest, event.data);
  if (isEvent(event, 'VSERPORT_CHANGE')) return guest.portChanged(event.data.id, event.data.open);
  if (isEvent(event, 'VNC_CONNECTED') || isEvent(event, 'SPICE_CONNECTED'))
    return graphics(guest, 'connect', event.data);
  if (isEvent(event, 'VNC_INITIALIZED') || isEvent(event, 'SPICE_INITIALIZED')) {
    return graphics(guest, 'initialize', event.data);
  }
  if (isEvent(event, 'VNC_DISCONNECTED') || isEvent(event, 'SPICE_DISCONNECTED')) {
    return graphics(guest, 'disconnect', event.data);
  }
}

function graphics(guest: QemuGuest, phase: string, data: { server: NetworkEndpoint; client: NetworkEndpoint }): void {
  guest.tell({ kind: 'event', class: 'graphics', type: phase, data: { server: data.server, client: data.client } });
}

function reset(guest: QemuGuest, event: QmpEvent): void {
  if (guest.state.reason === 'starting-up') return;
  const { seconds } = event.timestamp;
  const before = lastReset.get(guest);
  lastReset.set(guest, seconds);
  if (before !== undefined && seconds - before <= oneResetSeconds) return;
  guest.tell({ kind: 'event', class: 'reboot', type: 'reboot' });
}

/** What happens then is `on_crash`; with `preserve` the guest stays for its owner to look at. */
function panic(guest: QemuGuest, action: string): void {
  if (action === 'run') return;
  guest.tell({
    kind: 'state',
    to: { state: 'crashed', reason: 'panicked' },
    event: { type: 'crashed', detail: 'panicked' },
  });
  if (action !== 'pause') return; // SHUTDOWN follows.
  const onCrash = guest.live.on_crash ?? 'destroy';
  if (onCrash === 'restart') void guest.restart();
  else if (onCrash !== 'preserve') guest.powerOff('guest', true);
}
