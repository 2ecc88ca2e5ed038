/**
 * What guests that count are heard to say on the network, and whether it is what one guest at a time would say: a guest
 * that ran twice would say a number twice, one that was set back an earlier one. `tools/tiny-guest/rootfs/sbin/ticks` is the
 * other half.
 */
import { createSocket, type Socket } from 'node:dgram';

export interface Tick {
  /** Which boot of which guest. */
  boot: string;
  number: number;
  /** On the guest's clock, since its boot. */
  seconds: number;
}

/** When it was heard, milliseconds on `performance.now()`. */
export type Heard = Tick & { at: number };

const pattern = /\btick ([0-9a-f]{8}) (\d+) ([\d.]+)(?=\s|$)/g;

export const ticksIn = (text: string): Tick[] =>
  [...text.matchAll(pattern)].map(([, boot, number, seconds]) => ({
    boot: boot!,
    number: Number(number),
    seconds: Number(seconds),
  }));

export class TickListener implements AsyncDisposable {
  readonly heard: Heard[] = [];

  private constructor(private readonly socket: Socket) {
    socket.on('message', (datagram) => {
      const at = performance.now();
      for (const tick of ticksIn(datagram.toString('latin1'))) this.heard.push({ ...tick, at });
    });
  }

  static async on(address: string): Promise<TickListener> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve, reject) => socket.once('error', reject).bind(0, address, resolve));
    return new TickListener(socket);
  }

  get port(): number {
    return this.socket.address().port;
  }

  of(boot: string): Heard[] {
    return this.heard.filter((tick) => tick.boot === boot);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve) => this.socket.close(() => resolve()));
  }
}

/**
 * What no single guest would say. Of several boots a later one ends the earlier.
 * @param whole every tick is there, so that none may be missing in between
 */
export function ticksFaults(ticks: readonly Tick[], { whole }: { whole: boolean }): string[] {
  const faults: string[] = [];
  const ended = new Set<string>();
  let before: Tick | undefined;
  for (const tick of ticks) {
    if (before && before.boot !== tick.boot) ended.add(before.boot);
    if (ended.has(tick.boot)) faults.push(`a boot that was over says ${tickText(tick)}`);
    if (before?.boot === tick.boot) {
      const good = whole ? tick.number === before.number + 1 : tick.number > before.number;
      if (!good) faults.push(`${tickText(tick)} follows ${tickText(before)}`);
      if (tick.seconds < before.seconds) faults.push(`the guest's clock goes back: ${tickText(tick)}`);
    }
    before = tick;
  }
  return faults.slice(0, 5);
}

const tickText = ({ boot, number, seconds }: Tick): string => `tick ${number} of ${boot} at ${seconds} s`;

/** The longest that nothing was heard of a boot, milliseconds: from the first of these ticks on. */
export function longestSilence(ticks: readonly Heard[]): number {
  return ticks.slice(1).reduce((longest, { at }, index) => Math.max(longest, at - ticks[index]!.at), 0);
}
