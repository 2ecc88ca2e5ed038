/** Ports that this host gives to guests on their way here: one for memory, one for copied disks. */
import { createServer } from 'node:net';
import { VirtError } from '@virtbus/shared';

export interface PortRange {
  first: number;
  last: number;
}

/** Ports given in this process, until their guest has arrived or is gone. Each has its holder: nobody lets go of another's. */
export class MigrationPorts {
  private readonly given = new Map<number, object>();

  constructor(private readonly range: PortRange) {}

  /**
   * A port that is free now.
   * @param address that it will be bound on
   * @param holder who has it until it is released
   * @throws OPERATION_FAILED when the whole range is in use
   */
  async take(address: string, holder: object): Promise<number> {
    const { first, last } = this.range;
    for (let port = first; port <= last; port++) {
      if (this.given.has(port)) continue;
      this.given.set(port, holder);
      if (await isFree(port, address)) return port;
      this.given.delete(port);
    }
    const detail = `no free port for a migration on this host between ${first} and ${last}; wait for one to end or widen VIRTBUS_MIGRATION_PORTS`;
    throw new VirtError('OPERATION_FAILED', { detail });
  }

  /**
   * A port that `listen` could listen on, its holder's from then on: another process may be faster than whoever looked, as a
   * second driver on this machine is.
   * @throws OPERATION_FAILED when the whole range is in use; what `listen` throws for any other reason
   */
  async occupy(address: string, holder: object, listen: (port: number) => Promise<unknown>): Promise<number> {
    const attempts = {};
    try {
      for (;;) {
        const port = await this.take(address, attempts);
        try {
          await listen(port);
          this.given.set(port, holder);
          return port;
        } catch (error) {
          if (!String(error).includes('Address already in use')) throw error;
        }
      }
    } finally {
      this.release(attempts);
    }
  }

  /** All that it has; nothing when that was done before. */
  release(holder: object): void {
    for (const [port, whose] of this.given) if (whose === holder) this.given.delete(port);
  }
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
