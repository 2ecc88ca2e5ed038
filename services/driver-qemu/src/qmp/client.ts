/**
 * One conversation with one QEMU over its QMP socket.
 *
 * - Commands go out one at a time, as QEMU does them: one that is sent before the last is answered meets a monitor that
 *   QEMU has suspended meanwhile, and in rare cases reaches it without its beginning. One that QEMU says it could not
 *   read (an error without an id; QEMU's docs/interop/qmp-spec) has not been done, and is said again.
 * - Commands carry ids; an answer that comes after its time-out is recognised by its id and dropped. What was not sent by
 *   then never is.
 * - Events are handed over in QEMU's order and before the answers that follow them on the wire. Those that arrive before
 *   the first listener is there are held for it.
 * - Words that are not QMP break the monitor: `controlError` once, no further commands, the socket kept, so that QEMU
 *   is not disturbed.
 *
 * The monitor serves one client at a time; a second connection waits until the first is closed.
 */
import { EventEmitter } from 'node:events';
import { connect, type Socket } from 'node:net';
import { step } from '@virtbus/shared/tracing';
import { QmpDecoder, encode, type QmpMessage } from './codec';
import { type CommandArgs, type CommandName, type CommandResult } from './commands';
import { MonitorBroken, MonitorClosed, MonitorTimeout, QmpError } from './errors';
import { isEvent, type KnownEventName, type QmpEvent, type QmpEventOf, type QmpTimestamp } from './events';

/** What QEMU says first. */
export interface QmpGreeting {
  version: { qemu: { major: number; minor: number; micro: number }; package: string };
  capabilities: string[];
}

export interface ExecuteOptions {
  /** How long to wait for the answer; default 30 s. */
  timeoutMs?: number;
  /** Stops waiting; the command itself is not taken back. */
  signal?: AbortSignal;
}

export interface ConnectOptions {
  /** For connecting, greeting and `qmp_capabilities` together; default 30 s. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

interface QmpClientEvents {
  event: [QmpEvent];
  /** The monitor broke (see MonitorBroken); the guest may run on. */
  controlError: [MonitorBroken];
  /** End of file: QEMU is gone, or `close` was called. */
  close: [MonitorClosed];
  /** Node's own, sent before a listener is added. */
  newListener: [name: string | symbol, listener: unknown];
}

/** On its way, or about to be. */
interface Sent {
  id: number;
  words: string;
  said: number;
}

interface Waiting {
  command: string;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

const DEFAULT_TIMEOUT_MS = 30_000;
/** How often a command is said that QEMU cannot read. */
const MAX_SAID = 3;
/** Events held for the first listener. */
const MAX_HELD_EVENTS = 1024;

export class QmpClient extends EventEmitter<QmpClientEvents> {
  private readonly decoder = new QmpDecoder();
  private readonly waiting = new Map<number | 'greeting', Waiting>();
  private underWay: Sent | undefined;
  private line: Sent[] = [];
  private readonly watchers = new Set<(event: QmpEvent) => void>();
  private held: QmpEvent[] = [];
  private hasListener = false;
  private lastId = 0;
  private firstFailure: MonitorClosed | MonitorBroken | undefined;
  private closed = false;
  private greetingReceived: QmpGreeting | undefined;
  /** QEMU could not read what it was told, once at least. */
  private saidAgain = false;

  private constructor(private readonly socket: Socket) {
    super();
    this.on('newListener', (name) => {
      if (name !== 'event' || this.hasListener) return;
      this.hasListener = true;
      queueMicrotask(() => this.releaseHeld());
    });
    socket.on('data', (chunk: Buffer) => this.receive(chunk));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const hungUp = error.code === 'ECONNRESET' || error.code === 'EPIPE';
      this.end(hungUp ? new MonitorClosed() : new MonitorClosed(`qemu monitor: ${error.message}`));
    });
    socket.on('close', () => this.end(new MonitorClosed()));
  }

  /**
   * Connects, reads the greeting and leaves negotiation mode.
   * @throws MonitorClosed when nothing listens or QEMU goes away, MonitorTimeout, MonitorBroken; the signal's reason.
   */
  static async connect(path: string, options: ConnectOptions = {}): Promise<QmpClient> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const deadline = performance.now() + timeoutMs;
    const client = new QmpClient(connect(path));
    try {
      client.greetingReceived = (await client.waitFor('greeting', timeoutMs, options.signal, (waiting) => {
        client.waiting.set('greeting', waiting);
      })) as QmpGreeting;
      await client.execute('qmp_capabilities', undefined, {
        timeoutMs: Math.max(1, deadline - performance.now()),
        ...(options.signal && { signal: options.signal }),
      });
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  get greeting(): QmpGreeting {
    return this.greetingReceived!;
  }

  /** Why no command can be sent, or undefined while the monitor works. */
  get failure(): MonitorClosed | MonitorBroken | undefined {
    return this.firstFailure;
  }

  /** True after the end of the socket: QEMU is gone, or we closed. */
  get isClosed(): boolean {
    return this.closed;
  }

  /**
   * Sends a command and waits for its answer.
   * @throws QmpError QEMU refused it; MonitorClosed, MonitorBroken, MonitorTimeout; the signal's reason.
   */
  execute<Name extends CommandName>(
    command: Name,
    ...[args, options]: CommandArgs<Name> extends undefined
      ? [args?: undefined, options?: ExecuteOptions]
      : [args: CommandArgs<Name>, options?: ExecuteOptions]
  ): Promise<CommandResult<Name>> {
    return this.executeRaw(command, args, options);
  }

  /** `execute` for commands that are not in our table (the administrator's raw monitor command, probing). */
  async executeRaw(command: string, args?: object, options: ExecuteOptions = {}): Promise<unknown> {
    if (this.firstFailure) throw this.firstFailure;
    const id = ++this.lastId;
    const send = (waiting: Waiting): (() => void) => {
      this.waiting.set(id, waiting);
      this.line.push({ id, words: encode({ execute: command, ...(args && { arguments: args }), id }), said: 0 });
      this.sendNext();
      return () => {
        this.waiting.delete(id);
        this.line = this.line.filter((later) => later.id !== id);
      };
    };
    return step(`qmp ${command}`, () =>
      this.waitFor(command, options.timeoutMs ?? DEFAULT_TIMEOUT_MS, options.signal, send),
    );
  }

  /**
   * The next event of that name that `accept` takes, counted from now.
   * @throws MonitorClosed, MonitorBroken, MonitorTimeout; the signal's reason.
   */
  async nextEvent<Name extends KnownEventName>(
    name: Name,
    accept: (data: QmpEventOf<Name>['data']) => boolean = () => true,
    options: ExecuteOptions = {},
  ): Promise<QmpEventOf<Name>> {
    if (this.firstFailure) throw this.firstFailure;
    const event = await this.waitFor(name, options.timeoutMs ?? DEFAULT_TIMEOUT_MS, options.signal, (waiting) => {
      const watcher = (event: QmpEvent): void => {
        if (isEvent(event, name) && accept(event.data)) waiting.resolve(event);
      };
      const failed = (error: Error): void => waiting.reject(error);
      this.watchers.add(watcher);
      this.once('close', failed).once('controlError', failed);
      return () => {
        this.watchers.delete(watcher);
        this.off('close', failed).off('controlError', failed);
      };
    });
    return event as QmpEventOf<Name>;
  }

  /** Lets QEMU go; it runs on and takes another client. Waiting commands fail with MonitorClosed. */
  close(): void {
    this.socket.destroy();
    this.end(new MonitorClosed('the qemu monitor was closed'));
  }

  /** Runs one wait with its time limit and abort signal; `begin` may return what undoes it. */
  private waitFor(
    what: string,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    begin: (waiting: Waiting) => (() => unknown) | void,
  ): Promise<unknown> {
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      let undo: (() => unknown) | void = undefined;
      const finish = (settle: () => void): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        undo?.();
        settle();
      };
      const timer = setTimeout(() => finish(() => reject(new MonitorTimeout(what, Math.round(timeoutMs)))), timeoutMs);
      const onAbort = (): void => finish(() => reject(signal!.reason as Error));
      signal?.addEventListener('abort', onAbort, { once: true });
      undo = begin({
        command: what,
        resolve: (value) => finish(() => resolve(value)),
        reject: (error) => finish(() => reject(error)),
      });
    });
  }

  private receive(chunk: Buffer): void {
    if (this.firstFailure) return;
    try {
      for (const message of this.decoder.push(chunk)) this.dispatch(message);
    } catch (error) {
      if (!(error instanceof MonitorBroken)) throw error;
      this.fail(error);
      this.emitSafely('controlError', error);
    }
  }

  private dispatch(message: QmpMessage): void {
    if (typeof message['event'] === 'string') {
      this.deliver({ event: message['event'], data: message['data'], timestamp: message['timestamp'] as QmpTimestamp });
    } else if ('QMP' in message) {
      this.take('greeting')?.resolve(message['QMP']);
    } else {
      this.answer(message);
    }
  }

  private sendNext(): void {
    if (this.underWay || this.firstFailure) return;
    this.underWay = this.line.shift();
    if (this.underWay) this.say(this.underWay);
  }

  private say(sent: Sent): void {
    sent.said++;
    this.saidAgain ||= sent.said > 1;
    this.socket.write(sent.words);
  }

  private answer(message: QmpMessage): void {
    const { underWay } = this;
    const { id } = message;
    const isUnread = id === undefined && 'error' in message;
    if (underWay && isUnread && underWay.said < MAX_SAID) return this.say(underWay);
    // Of words before ours, or of another piece of those that were said again: nobody waits for it.
    if (!underWay && isUnread && (this.greetingReceived === undefined || this.saidAgain)) return;
    if (!underWay || underWay.id !== id || !('return' in message || 'error' in message)) {
      throw new MonitorBroken(`QEMU sent an unexpected reply: ${JSON.stringify(message).slice(0, 200)}`);
    }
    this.underWay = undefined;
    const waiting = this.take(underWay.id);
    if ('return' in message) waiting?.resolve(message['return']);
    else {
      const error = message['error'] as { class: string; desc: string };
      waiting?.reject(new QmpError(waiting.command, error.class, error.desc));
    }
    this.sendNext();
  }

  private take(id: number | 'greeting'): Waiting | undefined {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    return waiting;
  }

  private deliver(event: QmpEvent): void {
    for (const watcher of [...this.watchers]) watcher(event);
    if (this.hasListener) {
      this.releaseHeld();
      this.emitSafely('event', event);
    } else if (this.held.length < MAX_HELD_EVENTS) {
      this.held.push(event);
    }
  }

  private releaseHeld(): void {
    for (const event of this.held.splice(0)) this.emitSafely('event', event);
  }

  private end(reason: MonitorClosed): void {
    if (this.closed) return;
    this.closed = true;
    this.fail(reason);
    this.emitSafely('close', reason);
  }

  private fail(reason: MonitorClosed | MonitorBroken): void {
    this.firstFailure ??= reason;
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const each of waiting) each.reject(this.firstFailure);
  }

  /** A listener that throws is a defect of its own; it must not take the conversation with it. */
  private emitSafely<Name extends keyof QmpClientEvents>(name: Name, ...args: QmpClientEvents[Name]): void {
    try {
      (this.emit as (name: string, ...args: unknown[]) => boolean).call(this, name, ...args);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}
