/**
 * Domains that start with their host but whose driver cannot tell alone what their disks stand on: they are started here,
 * once storage answers there. The command's id is of the host's boot and the domain: from however many copies of the
 * service it comes, and however often, the guest boots once.
 */
import { startDomain, VirtError, type Inventory } from '@virtbus/shared';
import { encode, type Endpoint } from '@virtbus/shared/bus';
import { attempts } from '../attempts';
import { applyCommand } from '../command';
import type { Fleet } from '../fleet';

const pauses = { first: 1_000, longest: 5_000 } as const;

export class Awaited {
  private readonly starting = new Set<string>();
  private stopped = false;

  constructor(
    private readonly fleet: Fleet,
    private readonly start: Endpoint,
  ) {}

  take({ awaited = [] }: Inventory): void {
    for (const { uuid, id } of awaited) {
      if (this.starting.has(id)) continue;
      this.starting.add(id);
      void this.begin(uuid, id).finally(() => this.starting.delete(id));
    }
  }

  stop(): void {
    this.stopped = true;
  }

  /** Until it has started, or has been refused for good. What can be mended by waiting is waited for. */
  private async begin(uuid: string, id: string): Promise<void> {
    const { log } = this.fleet;
    const body = encode({}, 'msgpack');
    for await (const _attempt of attempts(pauses)) {
      if (this.stopped) return;
      try {
        const context = { id, timeoutMs: startDomain.timeoutMs };
        await applyCommand(this.start, { contract: startDomain, target: uuid, context, body }, log);
        return;
      } catch (thrown) {
        const { retry, message: reason } = VirtError.from(thrown);
        log[retry === 'later' ? 'info' : 'error']({ domain: uuid, reason }, 'autostart failed');
        if (retry !== 'later') return;
      }
    }
  }
}
