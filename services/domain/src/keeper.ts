/**
 * Watches over JetStream itself: a stream or bucket that is missing is made again, and one that was made anew, by whoever,
 * or was put back as it was some time ago, has the registry rebuilt from the hosts. The service runs on meanwhile with what it knows.
 */
import { isAnother, isMissing, jetStreamMark, type Bus, type JetStreamMark } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import type { Registry } from './registry/registry';

/** Between two looks, milliseconds. */
const everyMs = 3_000;

export class Keeper {
  /** Why JetStream did not answer when it was last looked at; undefined when it did. */
  trouble: string | undefined = 'it has not answered yet';
  private mark: JetStreamMark | undefined;
  private isDoubted = false;
  private timer: NodeJS.Timeout | undefined;
  private looking: Promise<void> | undefined;

  constructor(
    private readonly bus: Bus,
    private readonly registry: Registry,
    private readonly onWiped: () => Promise<void>,
    private readonly log: Log,
  ) {}

  /** Make what is missing, and keep looking. Throws when JetStream cannot be reached. */
  async begin(): Promise<void> {
    await this.registry.ensure();
    this.mark = await jetStreamMark(this.bus);
    this.trouble = undefined;
    if (this.timer) return;
    this.bus.onReconnect(() => void this.look());
    this.timer = setInterval(() => void this.look(), everyMs);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** Somebody saw that it is not what it was, which its mark does not tell when it was put back as it was at our last look. */
  doubt(): void {
    this.isDoubted = true;
    void this.look();
  }

  private look(): Promise<void> {
    this.looking ??= this.check()
      .then(() => (this.trouble = undefined))
      .catch((err: unknown) => {
        this.trouble = err instanceof Error ? err.message : String(err);
        this.log.debug({ err }, 'JetStream does not answer');
      })
      .finally(() => (this.looking = undefined));
    return this.looking;
  }

  private async check(): Promise<void> {
    if (this.bus.nc.isClosed()) return;
    let mark: JetStreamMark;
    try {
      mark = await jetStreamMark(this.bus);
    } catch (error) {
      if (!isMissing(error)) throw error;
      await this.registry.ensure();
      mark = await jetStreamMark(this.bus);
    }
    const isDoubted = this.isDoubted;
    this.isDoubted = false;
    if (isDoubted || (this.mark && isAnother(mark, this.mark))) {
      this.log.warn('JetStream was wiped or put back: rebuilding the registry from the hosts');
      // A rebuild that failed is tried again; what is doubted meanwhile is so after it, too.
      await this.rebuild().catch((error: unknown) => {
        this.isDoubted = true;
        throw error;
      });
    }
    this.mark = mark;
  }

  private async rebuild(): Promise<void> {
    await this.registry.ensure();
    await this.onWiped();
  }
}
