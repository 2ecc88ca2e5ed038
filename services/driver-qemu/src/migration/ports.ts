/** Ports that this host gives to guests on their way here: one for memory, one for copied disks. */
import { createServer } from 'node:net';
import { VirtError } from '@virtbus/shared';

export interface PortRange {
  first: number;
  last: number;
}

/** Ports given in this process, until their guest has arrived or is gone. */
export class MigrationPorts {
  private readonly given = new Set<number>();

  constructor(private readonly range: PortRange) {}

  /**
   * A port that is free now.
   * @param address that it will be bound on
   * @throws OPERATION_FAILED when the whole range is in use
   */
  async take(address: string): Promise<number> {
    const { first, last } = this.range;
    for (let port = first; port <= last; port++) {
      if (this.given.has(port)) continue;
      this.given.add(port);
      if (await isFree(port, address)) return port;
      this.given.delete(port);
    }
    const detail = `no free port for a migration on this host between ${first} and ${last}; wait for one to end or widen VIRTBUS_MIGRATION_PORTS`;
    throw new VirtError('OPERATION_FAILED', { detail });
  }

  /**
   * A port that `listen` could listen on: another process may be faster than whoever looked, as a second driver on this
   * machine is.
   * @throws OPERATION_FAILED when the whole range is in use; what `listen` throws for any other reason
   */
  async occupy(address: string, listen: (port: number) => Promise<unknown>): Promise<number> {
    const lost: number[] = [];
    try {
      for (;;) {
        const port = await this.take(address);
        try {
          await listen(port);
          return port;
        } catch (error) {
          lost.push(port);
          if (!String(error).includes('Address already in use')) throw error;
        }
      }
    } finally {
      this.release(...lost);
    }
  }

  release(...ports: (number | undefined)[]): void {
    for (const port of ports) if (port !== undefined) this.given.delete(port);
  }

  /** Whether one could be had. */
  async any(address: string): Promise<boolean> {
    try {
      this.release(await this.take(address));
      return true;
    } catch {
      return false;
    }
  }
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
