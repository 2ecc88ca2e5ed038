/**
 * The container's terminals. What the first console (/dev/console) shows is kept by liblxc in a file, from before the first
 * instruction and also while we are down: its output is read from there. Everything else goes through `lxc-console`, run
 * when it is needed: for what is typed, and for the other terminals (/dev/tty1, …).
 */
import { statSync, truncateSync } from 'node:fs';
import type { Domain } from '@virtbus/domain-xml';
import type { ConsoleChannel } from '@virtbus/driver-runtime';
import { VirtError, type TerminalSize } from '@virtbus/shared';
import type { Place } from './place';
import { bytesFrom, bytesWithin, onGrowth } from './start-log';
import { TerminalClient } from './terminal-client';
import { setWindow } from './window';

type Listener = Parameters<ConsoleChannel['onOutput']>[0];

/** Output of a further terminal that is kept for those who connect later, bytes. */
const keep = 65_536;
/** Read from the file at a time, bytes. */
const chunk = 65_536;

/** Where the first console's output is kept: in the file that the document names, or in ours. */
export const consoleLogOf = ({ devices: { consoles } }: Domain, { consoleLog }: Place): string =>
  consoles[0]?.log?.file ?? consoleLog;

/** A start begins it anew, unless the document has it go on. @returns where this start's part begins, bytes */
export function beginConsoleLog(live: Domain, place: Place): number {
  const file = consoleLogOf(live, place);
  const stat = statSync(file, { throwIfNoEntry: false });
  if (!stat?.isFile()) return 0;
  if (live.devices.consoles[0]?.log?.append) return stat.size;
  truncateSync(file);
  return 0;
}

export class Consoles {
  private readonly byDevice: Map<string, Terminal>;

  /** @param initPid of the container, as this host numbers it */
  constructor(live: Domain, place: Place, initPid: () => number) {
    this.byDevice = new Map(
      live.devices.consoles.map((console, tty) => {
        const device = console.alias?.name ?? `console${tty}`;
        return [
          device,
          tty === 0
            ? new FirstConsole(device, place, initPid, consoleLogOf(live, place))
            : new Terminal(device, place, tty, initPid),
        ];
      }),
    );
  }

  /** Throws `DEVICE_MISSING`. @param device alias; the first console when left out */
  channel(device: string | undefined): ConsoleChannel {
    const found = device === undefined ? [...this.byDevice.values()][0] : this.byDevice.get(device);
    if (found) return found;
    const known = [...this.byDevice.keys()].join(', ') || 'none';
    const detail =
      device === undefined
        ? 'the container has no console; add <console type="pty"/>'
        : `no console device '${device}'; the container has: ${known}`;
    throw new VirtError('DEVICE_MISSING', { detail });
  }

  close(): void {
    for (const terminal of this.byDevice.values()) terminal.close();
  }
}

/** A terminal that nobody reads unless somebody is connected. */
class Terminal implements ConsoleChannel {
  protected readonly listeners = new Set<Listener>();
  private client: TerminalClient | undefined;
  private kept = Buffer.alloc(0);

  constructor(
    readonly device: string,
    protected readonly place: Place,
    private readonly tty: number,
    private readonly initPid: () => number,
  ) {}

  backlog(bytes: number): Uint8Array {
    return this.kept.subarray(Math.max(0, this.kept.length - bytes));
  }

  onOutput(listener: Listener): () => void {
    const stop = (): void => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) this.close();
    };
    this.listeners.add(listener);
    try {
      this.listen();
    } catch (error) {
      stop();
      throw error;
    }
    return stop;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const client = this.connect();
    await client.connected;
    await client.write(bytes);
  }

  resize(size: TerminalSize): void {
    const path = this.tty === 0 ? '/dev/console' : `/dev/tty${this.tty}`;
    void setWindow(this.initPid(), path, size);
  }

  close(): void {
    this.client?.close();
    this.client = undefined;
  }

  /** Somebody wants to hear: without a client there is nothing to hear. */
  protected listen(): void {
    this.connect();
  }

  protected async take(bytes: Buffer): Promise<void> {
    this.kept = Buffer.concat([this.kept, bytes]).subarray(-keep);
    await this.tell(bytes);
  }

  /** Resolves when they want more. */
  protected async tell(bytes: Buffer): Promise<void> {
    await Promise.all([...this.listeners].map(async (listener) => listener(bytes)));
  }

  private connect(): TerminalClient {
    if (this.client) return this.client;
    const { lxcPath, name } = this.place;
    const client = new TerminalClient({ lxcPath, name, tty: this.tty }, (bytes) => this.take(bytes));
    this.client = client;
    void client.ended.then(() => {
      if (this.client === client) this.client = undefined;
    });
    return client;
  }
}

/** /dev/console: what it shows is in a file, whoever is connected. */
class FirstConsole extends Terminal {
  private watch: Disposable | undefined;
  private at = 0;
  private following = false;

  constructor(
    device: string,
    place: Place,
    initPid: () => number,
    private readonly file: string,
  ) {
    super(device, place, 0, initPid);
  }

  override backlog(bytes: number): Uint8Array {
    const recent = bytesFrom(this.file, 0, bytes);
    this.at = recent.end;
    return recent.bytes;
  }

  override close(): void {
    super.close();
    this.watch?.[Symbol.dispose]();
    this.watch = undefined;
  }

  protected override listen(): void {
    if (this.watch) return;
    // liblxc makes the file when the container starts; without it there is no console to follow.
    this.watch = onGrowth(this.file, () => void this.follow());
    void this.follow();
  }

  /** What lxc-console shows is in the file too. */
  protected override async take(): Promise<void> {}

  /** No further than is listened to: what is shown meanwhile stays in the file. */
  private async follow(): Promise<void> {
    if (this.following) return;
    this.following = true;
    for (let bytes = this.next(); bytes.length > 0; bytes = this.next()) await this.tell(bytes);
    this.following = false;
  }

  /** Nothing at its end, where the file is gone, and for nobody. */
  private next(): Buffer {
    if (!this.watch) return Buffer.alloc(0);
    const { bytes, end } = bytesWithin(this.file, (size) => {
      const from = size < this.at ? 0 : this.at;
      return [from, Math.min(size, from + chunk)];
    });
    this.at = end;
    return bytes;
  }
}
