/** When events arrived at a subscriber. */
import { type DomainEvent } from '@virtbus/shared';

interface Awaited {
  uuid: string;
  type: string;
  resolve: (moment: number) => void;
}

export class Arrivals {
  private awaited: Awaited[] = [];

  take(event: DomainEvent): void {
    const moment = performance.now();
    this.awaited = this.awaited.filter((one) => {
      if (one.uuid !== event.domain.uuid || one.type !== event.type) return true;
      one.resolve(moment);
      return false;
    });
  }

  /** The moment (`performance.now()`) that the next such event arrives at: ask before it is caused. */
  next(uuid: string, type: string, patienceMs = 10_000): Promise<number> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no event '${type}' of ${uuid} within ${patienceMs} ms`)),
        patienceMs,
      );
      this.awaited.push({ uuid, type, resolve: (moment) => (clearTimeout(timer), resolve(moment)) });
    });
  }
}
