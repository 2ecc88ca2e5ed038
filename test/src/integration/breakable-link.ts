/** A connection of TCP that goes through the test, which can cut it as a network would. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class BreakableLink implements AsyncDisposable {
  private readonly ends = new Set<Socket>();
  private parted = false;

  private constructor(
    private readonly server: Server,
    private port: number,
  ) {}

  /** In front of `tcp:HOST:PORT`. It listens on this port of 127.0.0.1, or on a free one. */
  static async to(uri: string, ownPort = 0): Promise<BreakableLink> {
    const [, host, port] = /^tcp:(.*):(\d+)$/.exec(uri) ?? [];
    const server = createServer();
    const link = new BreakableLink(server, ownPort);
    server.on('connection', (near) => link.join(near, connect({ host: host!, port: Number(port) })));
    await link.up();
    return link;
  }

  get uri(): string {
    return `tcp:127.0.0.1:${this.port}`;
  }

  /** Whatever goes through it now is lost. */
  cut(): void {
    for (const end of this.ends) end.destroy();
  }

  /** Cuts it and lets nobody in: who tries is refused. */
  async down(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** Lets everyone in again, at the same address. */
  async up(): Promise<void> {
    await new Promise<void>((resolve, reject) =>
      this.server.once('error', reject).listen(this.port, '127.0.0.1', resolve),
    );
    this.port = (this.server.address() as AddressInfo).port;
  }

  /** From now on nothing gets through, in either direction, and nobody is told. */
  part(): void {
    this.parted = true;
    for (const end of this.ends) end.pause();
  }

  /** What was sent meanwhile arrives late. */
  heal(): void {
    this.parted = false;
    for (const end of this.ends) end.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }

  private join(near: Socket, far: Socket): void {
    for (const [end, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.ends.add(end);
      end
        .on('error', () => undefined)
        .on('close', () => {
          this.ends.delete(end);
          other.destroy();
        });
      end.on('data', (bytes) => void other.write(bytes));
      if (this.parted) end.pause();
    }
  }
}
