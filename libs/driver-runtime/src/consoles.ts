/** Sessions inside guests, streamed over the bus: consoles, one session a console at a time, ended with the guest; commands. */
import {
  commandEndText,
  type execInDomain,
  type openConsole,
  type TerminalSize,
  VirtError,
  streamSubject,
  type Response,
} from '@virtbus/shared';
import { hostStream, type Bus, type ByteStream } from '@virtbus/shared/bus';
import type { ConsoleChannel, InsideCommand } from './driver';

interface Session {
  stream: ByteStream;
  stop: () => void;
}

/** Who has opened a stream can tell the size of its window. */
interface Window {
  uuid: string;
  resize: ((size: TerminalSize) => void) | undefined;
}

/** Output that waits for a client at most, bytes. */
const mostWaiting = 4 * 1024 ** 2;

export class Consoles {
  private readonly sessions = new Map<string, Session>();
  /** By the stream's id. */
  private readonly windows = new Map<string, Window>();
  private bus: Bus | undefined;

  constructor(private readonly host: string) {}

  connect(bus: Bus): void {
    this.bus = bus;
  }

  open(ask: {
    uuid: string;
    channel: ConsoleChannel;
    session: string;
    force: boolean;
    backlog: number;
  }): Response<typeof openConsole> {
    const { uuid, channel, session, force, backlog } = ask;
    if (!this.bus) throw new VirtError('INTERNAL_ERROR', { detail: 'no bus to stream a console over' });
    const key = `${uuid} ${channel.device}`;
    const other = this.sessions.get(key);
    if (other && !force) {
      throw new VirtError('OPERATION_FAILED', {
        detail: `Active console session exists for ${channel.device}; use force to end it`,
      });
    }
    other?.stream.end('another session has taken this console over');
    // The sender goes on when the console has taken it.
    const stream = hostStream(this.bus, this.host, session, (bytes) =>
      channel.write(bytes).catch((error: unknown) => stream.end(`the console takes no input: ${String(error)}`)),
    );
    const recent = channel.backlog(backlog);
    if (recent.length > 0) void stream.write(recent);
    const stop = channel.onOutput(withinBounds(stream));
    const mine: Session = { stream, stop };
    this.sessions.set(key, mine);
    this.windows.set(session, { uuid, resize: channel.resize && ((size) => channel.resize?.(size)) });
    void stream.ended.then(() => {
      stop();
      this.windows.delete(session);
      if (this.sessions.get(key) === mine) this.sessions.delete(key);
    });
    return { host: this.host, device: channel.device, input: streamSubject(this.host, session, 'in') };
  }

  /** A command's input and output; its end ends the streams, and the loss of its listener ends the command. */
  attach(
    command: InsideCommand,
    { uuid, session, errors }: { uuid: string; session: string; errors: string },
  ): Response<typeof execInDomain> {
    const { bus, host } = this;
    if (!bus) throw new VirtError('INTERNAL_ERROR', { detail: 'no bus to stream a command over' });
    const finish = (): void => command.endInput();
    const output = hostStream(bus, host, session, (bytes) => command.write(bytes), undefined, finish);
    const failures = hostStream(bus, host, errors, () => undefined);
    let over = false;
    command.onOutput((bytes, from) => (from === 'output' ? output : failures).write(bytes));
    this.windows.set(session, { uuid, resize: command.resize });
    void command.ended.then((end) => {
      over = true;
      this.windows.delete(session);
      failures.end();
      output.end(commandEndText(end));
    });
    void Promise.race([output.ended, failures.ended]).then(() => {
      if (!over) command.kill();
    });
    return { host, input: streamSubject(host, session, 'in') };
  }

  /** False when what the stream belongs to has no size. Throws `INVALID_ARG` for a stream that is not this domain's. */
  resize(uuid: string, session: string, size: TerminalSize): boolean {
    const window = this.windows.get(session);
    if (window?.uuid !== uuid) throw new VirtError('INVALID_ARG', { detail: `the domain has no stream '${session}'` });
    window.resize?.(size);
    return window.resize !== undefined;
  }

  /** The guest is gone, and its consoles with it. */
  endOf(uuid: string): void {
    for (const [key, { stream }] of this.sessions) {
      if (key.startsWith(`${uuid} `)) stream.end('the domain has stopped');
    }
  }
}

/** What a client does not take in time is not kept without end: a guest that does not wait for it goes on without it. */
function withinBounds(stream: ByteStream): (bytes: Uint8Array) => Promise<void> {
  let waiting = 0;
  return async (bytes) => {
    if (waiting + bytes.length > mostWaiting)
      return stream.end('the console shows more than is read; connect again for what it shows by then');
    waiting += bytes.length;
    await stream.write(bytes);
    waiting -= bytes.length;
  };
}
