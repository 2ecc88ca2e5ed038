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
   * @throws OPERATION_FAILED when the whole range is in use, or nobody can listen on that address
   */
  async take(address: string, holder: object): Promise<number> {
    const { first, last } = this.range;
    for (let port = first; port <= last; port++) {
      if (this.given.has(port)) continue;
      this.given.set(port, holder);
      let free = false;
      try {
        free = await isFree(port, address);
      } finally {
        if (!free) this.given.delete(port);
      }
      if (free) return port;
    }
    const detail = `no free port for a migration on this host between ${first} and ${last}; wait for one to end or widen VIRTBUS_MIGRATION_PORTS`;
    throw new VirtError('OPERATION_FAILED', { detail });
  }

  /**
   * A port that `listen` could listen on, its holder's from then on: another process may be faster than whoever looked, as a
   * second driver on this machine is.
   * @throws OPERATION_FAILED like `take`; what `listen` throws for any other reason than that
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

/** Of a port, not of its address: another listens there, or only the privileged may. */
const inUse: ReadonlySet<string | undefined> = new Set(['EADDRINUSE', 'EACCES']);

/** @throws OPERATION_FAILED when no port of this address could ever be had */
function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (cause: NodeJS.ErrnoException) => {
      if (inUse.has(cause.code)) return resolve(false);
      const why = `${cause.code ?? cause.message}; it has to be an address of this host (--listen-address)`;
      reject(new VirtError('OPERATION_FAILED', { detail: `cannot listen on ${host}: ${why}` }, { cause }));
    });
    probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
