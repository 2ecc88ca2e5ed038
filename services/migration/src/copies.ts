/** Which copies of this service there are. That one is gone is known for certain: nobody listens where it would. */
import { serviceSubject } from '@virtbus/shared';
import { newId, type Bus } from '@virtbus/shared/bus';

export class Copies {
  /** This one. */
  readonly own = newId();

  constructor(private readonly bus: Bus) {}

  listen(): void {
    this.bus.nc.subscribe(address(this.own), { callback: (_error, message) => message.respond() });
  }

  /** Silence is no sign of death: only that nobody listens is. */
  async isThere(copy: string): Promise<boolean> {
    if (copy === this.own) return true;
    try {
      await this.bus.nc.request(address(copy), undefined, { timeout: 2_000 });
      return true;
    } catch (error) {
      return (error as { code?: string }).code !== '503';
    }
  }
}

const address = (copy: string): string => serviceSubject('migration', `copy-${copy}`);
