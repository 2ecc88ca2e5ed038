/**
 * The hosts as their heartbeats tell them, one row a driver. A row that was heard once stays: an offline host is listed
 * with its last known status. Time is this process's own; hosts' clocks are not compared.
 */
import { VirtError, type HostStatus } from '@virtbus/shared';

/** A host is online while its last heartbeat is younger than this, milliseconds (heartbeats come every two seconds). */
export const onlineMs = 7_000;

export interface At {
  host: string;
  driver: string;
}

export type Listed = HostStatus & { online: boolean; cordoned: boolean };

/** What a heartbeat tells beyond its figures. */
export type Heard = 'new' | 'returned' | 'restarted' | 'steady';

interface Row {
  status: HostStatus;
  /** Of the last heartbeat; -Infinity when it is only remembered. */
  heardAt: number;
  /** It was taken off the list, by somebody who has not heard it for long enough; we may have to wait for that. */
  forgotten?: true;
}

export const hostKey = ({ host, driver }: At): string => `${host}.${driver}`;

export class Hosts {
  private readonly rows = new Map<string, Row>();
  private readonly closed = new Set<string>();
  /** Called when a driver was started again. */
  private readonly listeners = new Set<{ key: string; restarted: () => void }>();

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** A heartbeat came in, or an inventory with its status. */
  hear(status: HostStatus): Heard {
    const key = hostKey(status);
    const row = this.rows.get(key);
    const heard =
      !row || row.forgotten
        ? 'new'
        : row.status.startedAt !== status.startedAt
          ? 'restarted'
          : this.isFresh(row)
            ? 'steady'
            : 'returned';
    this.rows.set(key, { status, heardAt: this.now() });
    if (heard === 'restarted') for (const listener of this.listeners) if (listener.key === key) listener.restarted();
    return heard;
  }

  /** Resolves when the driver is heard to have been started again; listens while the result is held. */
  nextRestart(at: At): Disposable & { heard: Promise<void> } {
    const key = hostKey(at);
    const listener = { key, restarted: (): void => undefined };
    const heard = new Promise<void>((resolve) => (listener.restarted = resolve));
    this.listeners.add(listener);
    return { heard, [Symbol.dispose]: () => void this.listeners.delete(listener) };
  }

  /** A status from the registry: that the host exists, not that it is there. */
  remember(status: HostStatus): void {
    const key = hostKey(status);
    if (!this.rows.has(key)) this.rows.set(key, { status, heardAt: -Infinity });
  }

  /** The driver is gone for good: it is listed no more once it is offline here too, until it is heard again. */
  forget(at: At): void {
    const row = this.rows.get(hostKey(at));
    if (row) row.forgotten = true;
  }

  /** Nothing new is to be placed there, or domains may be again. */
  cordon(host: string, cordoned: boolean): void {
    if (cordoned) this.closed.add(host);
    else this.closed.delete(host);
  }

  /** Names of hosts on which nothing new is placed. */
  cordoned(): string[] {
    return [...this.closed];
  }

  list(): Listed[] {
    return this.known()
      .map((row) => ({ ...row.status, online: this.isFresh(row), cordoned: this.closed.has(row.status.host) }))
      .sort((a, b) => (hostKey(a) < hostKey(b) ? -1 : 1));
  }

  /** Names of all hosts, away or not. */
  names(): string[] {
    return [...new Set(this.known().map(({ status }) => status.host))];
  }

  isOnline(at: At): boolean {
    const row = this.rows.get(hostKey(at));
    return row !== undefined && this.isFresh(row);
  }

  /** Names of hosts with a driver that does not answer now. */
  offline(): string[] {
    const away = this.known().filter((row) => !this.isFresh(row));
    return [...new Set(away.map(({ status }) => status.host))].sort();
  }

  /** Drivers of one host, those online first. Throws `HOST_NOT_FOUND`. */
  driversOf(host: string): Listed[] {
    const found = this.list().filter((status) => status.host === host);
    if (found.length === 0) throw new VirtError('HOST_NOT_FOUND', { host });
    return found.sort((a, b) => Number(b.online) - Number(a.online));
  }

  /** Throws `INVALID_ARG` for a driver that no host has. Before any host was heard of nobody can tell. */
  refuseUnknownDriver(driver: string): void {
    const known = [...new Set(this.known().map(({ status }) => status.driver))].sort();
    if (known.length === 0 || known.includes(driver)) return;
    throw new VirtError('INVALID_ARG', { detail: `no host has driver '${driver}' (there are ${known.join(', ')})` });
  }

  private known(): Row[] {
    for (const [key, row] of this.rows) if (row.forgotten && !this.isFresh(row)) this.rows.delete(key);
    return [...this.rows.values()];
  }

  private isFresh(row: Row): boolean {
    return this.now() - row.heardAt < onlineMs;
  }
}
