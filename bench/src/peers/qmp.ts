/** As much of QMP as a benchmark needs: commands one after the other, and the time stamps of events. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

interface QmpMessage {
  QMP?: unknown;
  return?: unknown;
  error?: { desc: string };
  event?: string;
  timestamp?: { seconds: number; microseconds: number };
}

export class QmpMonitor {
  /** Called with each event and its time, seconds since 1970 with QEMU's microseconds. */
  onEvent: (event: string, time: number) => void = () => undefined;
  private answer: ((message: QmpMessage) => void) | undefined;
  private hangUp: (() => void) | undefined;

  private constructor(private readonly socket: Socket) {
    const lines = createInterface({ input: socket });
    lines.on('line', (line) => this.take(JSON.parse(line) as QmpMessage));
    lines.on('error', () => undefined); // the socket's; its end is told by 'close'
    socket.once('close', () => this.hangUp?.());
  }

  /** Connects as soon as the socket is there, and negotiates: answered once QEMU has built its machine. */
  static async open(path: string, patienceMs = 10_000): Promise<QmpMonitor> {
    const monitor = new QmpMonitor(await connected(path, performance.now() + patienceMs));
    await monitor.execute('qmp_capabilities');
    return monitor;
  }

  async execute(command: string, args?: Record<string, unknown>): Promise<unknown> {
    const answered = new Promise<QmpMessage>((resolve, reject) => {
      this.answer = resolve;
      this.hangUp = () => reject(new Error(`QEMU hung up before it answered ${command}`));
    });
    this.socket.write(`${JSON.stringify({ execute: command, ...(args && { arguments: args }) })}\n`);
    const { error, return: result } = await answered;
    if (error) throw new Error(`${command}: ${error.desc}`);
    return result;
  }

  close(): void {
    this.socket.destroy();
  }

  private take(message: QmpMessage): void {
    if (message.event && message.timestamp) {
      this.onEvent(message.event, message.timestamp.seconds + message.timestamp.microseconds / 1e6);
    } else if (!message.QMP) this.answer?.(message);
  }
}

/** QEMU opens its monitor long before the machine is built: trying every millisecond costs the measurement nothing. */
async function connected(path: string, deadline: number): Promise<Socket> {
  for (;;) {
    const socket = connect(path);
    try {
      await once(socket, 'connect');
      return socket;
    } catch (cause) {
      if (performance.now() > deadline) throw new Error(`no QEMU listens on ${path}`, { cause });
      await sleep(1);
    }
  }
}
