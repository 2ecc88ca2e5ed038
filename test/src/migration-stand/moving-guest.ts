/**
 * A guest that is told to move: it counts and writes to its disks, what it says is heard on the network and kept in a file that
 * every host's QEMU appends to.
 */
import { execFileSync } from 'node:child_process';
import {
  destroyDomain,
  getDomain,
  migrateDomain,
  showMigration,
  type Migration,
  type RequestInput,
} from '@virtbus/shared';
import { call, newId } from '@virtbus/shared/bus';
import { eventually } from '@virtbus/testkit';
import { WritingGuest } from '../block-stand/writing-guest';
import type { MigrationStand } from './stand';
import { ticksFaults, ticksIn, type Heard } from './ticks';

export type Wish = Omit<RequestInput<typeof migrateDomain>, 'to'>;

/** For whatever a busy machine takes. */
const patience = { timeoutMs: 120_000 };

export class MovingGuest {
  private boots = 0;
  private numbers = 0;

  private constructor(
    readonly stand: MigrationStand,
    readonly disks: WritingGuest,
    private readonly address: string,
  ) {}

  /** @param number of the guest on its stand: its address has it */
  static async start(stand: MigrationStand, name: string, number = 0): Promise<MovingGuest> {
    const devices = `<interface type='bridge'><source bridge='${stand.namespaces.bridge}'/><model type='virtio'/></interface>`;
    const folder = stand.shared.file(name);
    const disks = await WritingGuest.start(stand.stack, stand.bus, { name, devices, folder, host: stand.hosts[0]! });
    const guest = new MovingGuest(stand, disks, stand.namespaces.guestAddress(100 + number));
    await guest.count();
    return guest;
  }

  /** For names of what is made for it. */
  nextNumber(): number {
    return (this.numbers += 1);
  }

  get uuid(): string {
    return this.disks.uuid;
  }

  get host(): string {
    return this.disks.host;
  }

  /** After its end: it boots where it lives. */
  async boot(): Promise<void> {
    await this.disks.boot();
    await this.count();
  }

  async destroy(): Promise<void> {
    await call(this.stand.bus, destroyDomain, {}, { target: this.uuid });
  }

  private async count(): Promise<void> {
    const { ticks, namespaces } = this.stand;
    this.boots += 1;
    await this.disks.type(`ticks ${this.address}/24 ${namespaces.outside}:${ticks.port} &`);
    await this.isHeard();
  }

  /** Waits until something is heard that it says from now on. */
  async isHeard(): Promise<void> {
    const { heard } = this.stand.ticks;
    const now = performance.now();
    await eventually(() => (heard.at(-1)?.at ?? 0) > now, true, patience);
  }

  /** Whether it answers to the network: what the network knows of its place is right. */
  answers(): boolean {
    try {
      execFileSync('busybox', ['ping', '-c', '5', '-W', '1', '-A', this.address], { stdio: 'ignore', timeout: 30_000 });
      return true;
    } catch {
      return false;
    }
  }

  /** Ask for a move; the answer that there is one. @param id of the migration */
  async begin(to: string, wish: Wish, id = newId()): Promise<Migration> {
    const request = { live: true, ...wish, to };
    return (await call(this.stand.bus, migrateDomain, request, { target: this.uuid, id, timeoutMs: 60_000 })).migration;
  }

  /** The migration once nobody is owed anything. */
  async ended({ id }: Pick<Migration, 'id'>): Promise<Migration> {
    const { bus } = this.stand;
    const show = async (): Promise<Migration> => (await call(bus, showMigration, {}, { target: id })).migration;
    await eventually(async () => (await show().catch(() => undefined))?.step, 'done', patience);
    const migration = await show();
    await this.findHome();
    return migration;
  }

  /** Moves, and is there. */
  async move(to: string, wish: Wish): Promise<void> {
    const { state, reason } = await this.ended(await this.begin(to, wish));
    if (state !== 'completed') throw new Error(`the move to ${to} has ${state}: ${reason}`);
  }

  /** What the registry says of its home is what this guest's images are looked for with. */
  async findHome(): Promise<void> {
    const { domain } = await call(this.stand.bus, getDomain, {}, { target: this.uuid });
    this.disks.host = domain.host;
  }

  /** What it has said since a moment on `performance.now()`. */
  heardSince(from: number): Heard[] {
    return this.stand.ticks.heard.filter(({ at }) => at >= from);
  }

  /** What one guest that always goes on would not have said. */
  countingFaults(): string[] {
    const ticks = ticksIn(wholeLines(this.disks.told));
    const told = ticksFaults(ticks, { whole: true });
    const heard = ticksFaults(this.stand.ticks.heard, { whole: false });
    const boots = new Set(ticks.map(({ boot }) => boot)).size;
    return [
      ...told.map((fault) => `on its serial port: ${fault}`),
      ...heard.map((fault) => `on the network: ${fault}`),
      ...(boots === this.boots ? [] : [`it was booted ${this.boots} times and counted in ${boots} boots`]),
    ];
  }
}

/** Of a file that somebody is writing: the last line may be cut anywhere. */
const wholeLines = (text: string): string => text.slice(0, text.lastIndexOf('\n') + 1);
