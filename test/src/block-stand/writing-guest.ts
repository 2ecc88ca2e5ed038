/**
 * A Linux guest that writes numbered records to two disks of four layers each, says what it has flushed, and reads all of it
 * back. What it says goes to a file that QEMU writes by itself: no crash of ours loses a word of it.
 */
import { closeSync, fchmodSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { destroyDomain, getDomainXml, startDomain, undefineDomain } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, tinyGuestBooted, type Stack } from '@virtbus/testkit';
import { disk as fileDisk, guestSays } from '../integration/storage-stand';
import { contentTold, flushedTold, losses, type Flushed } from './content';
import { buildLayers, type Layers } from './layers';

export const disks = ['vda', 'vdb'] as const;

export interface WritingGuestOptions {
  name: string;
  /** Elements of `<devices>` beside disks and serial ports. */
  devices?: string;
  /** Inside `<disk>`, by target: `<iotune>…`. */
  more?: Partial<Record<string, string>>;
  /** For its images; made when it is not there. */
  folder?: string;
  /** Where it begins to live; chosen when left out. */
  host?: string;
}

/** A guest under a busy machine's emulation. */
const patienceMs = 120_000;

export class WritingGuest {
  /** The host that it lives on. */
  host = 'h1';

  private constructor(
    readonly stack: Stack,
    readonly bus: Bus,
    readonly uuid: string,
    readonly name: string,
    /** Where its images are, and nothing else. */
    readonly folder: string,
    readonly layers: ReadonlyMap<string, Layers>,
    private readonly log: string,
  ) {}

  /** Makes its images, defines it, boots it and lets it write. */
  static async start(stack: Stack, bus: Bus, options: WritingGuestOptions): Promise<WritingGuest> {
    const { name, host, folder = stack.folder.file(`images-${name}`) } = options;
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    const layers = new Map(disks.map((disk) => [disk, buildLayers(folder, disk, disk)]));
    const log = stack.folder.file(`${name}.said`);
    const made = openSync(log, 'w');
    fchmodSync(made, 0o666);
    closeSync(made);
    const devices = [
      `<serial type='file'><source path='${log}' append='on'/></serial>`,
      ...disks.map((disk) => fileDisk(layers.get(disk)!.files[0]!, 'qcow2', options.more?.[disk], disk)),
      options.devices ?? '',
    ];
    const spec = { name, linux: true, devices: devices.join(''), ...(host !== undefined && { host }) };
    const domain = await stack.define(bus, spec);
    const guest = new WritingGuest(stack, bus, domain.uuid, name, folder, layers, log);
    guest.host = domain.host;
    await guest.boot();
    return guest;
  }

  /** Starts it and lets it write where its records end. */
  async boot(): Promise<void> {
    await call(this.bus, startDomain, {}, { target: this.uuid });
    await this.stack.consoleShows(this.bus, this.uuid, tinyGuestBooted, patienceMs);
    await this.write();
  }

  /** Lets it write on. */
  async write(): Promise<void> {
    const before = this.flushes;
    await this.type(`records write ${this.next()} ${disks.join(' ')} &`);
    await eventually(() => this.flushes - before >= disks.length, true, { timeoutMs: patienceMs });
  }

  /** Waits until it has flushed so many more records, of both disks together. */
  async flushesMore(more: number): Promise<void> {
    const before = this.flushes;
    await eventually(() => this.flushes - before >= more, true, { timeoutMs: patienceMs });
  }

  async pauseWriting(): Promise<void> {
    const from = this.told.length;
    await this.type('records stop');
    await this.tells(from, 'tiny-guest: stopped');
  }

  get flushed(): Flushed {
    return flushedTold(this.told);
  }

  /** Everything that it has said about its disks. */
  get told(): string {
    return readFileSync(this.log, 'latin1');
  }

  /** What it finds lost when it reads its disks anew; it does not write any more then. */
  async losses(flushed?: Flushed): Promise<string[]> {
    await this.pauseWriting();
    const from = this.told.length;
    await this.type(`records check ${disks.join(' ')}`);
    await this.tells(from, 'tiny-guest: checked');
    const told = this.told.slice(from);
    return disks.flatMap((disk) => {
      const found = contentTold(disk, told);
      if (!found) return [`the guest told nothing of ${disk}: ${told}`];
      return losses(disk, found, this.layers.get(disk)!.content, flushed ?? this.flushed);
    });
  }

  async xml(inactive = false): Promise<string> {
    return (await call(this.bus, getDomainXml, { inactive }, { target: this.uuid })).xml!;
  }

  /** How an image of its disk is addressed: `vda[7]`. @param depth 0 is the active one */
  async layer(disk: string, depth: number): Promise<string> {
    const element = (await this.xml()).split('<disk ').find((part) => part.includes(`<target dev='${disk}'`)) ?? '';
    const numbers = [...element.matchAll(/<(?:source|backingStore) [^>]*index='(\d+)'/g)].map(([, number]) => number);
    return `${disk}[${numbers[depth]}]`;
  }

  async destroy(): Promise<void> {
    await call(this.bus, destroyDomain, {}, { target: this.uuid });
  }

  /** It goes altogether: domain, images, what it said. */
  async remove(): Promise<void> {
    await this.destroy().catch(() => undefined);
    const all = { snapshotsMetadata: true, checkpointsMetadata: true };
    await call(this.bus, undefineDomain, all, { target: this.uuid });
    rmSync(this.folder, { recursive: true });
    rmSync(this.log);
  }

  /** Path of a file beside its images. */
  file(name: string): string {
    return join(this.folder, name);
  }

  private get flushes(): number {
    return this.told.split('tiny-guest: flushed ').length - 1;
  }

  private next(): number {
    const numbers = [...this.flushed.values()].flatMap((ofDisk) => [...ofDisk.values()]);
    return Math.max(0, ...numbers) + 1;
  }

  /** Type a command into its shell. */
  async type(command: string): Promise<void> {
    await guestSays(this.bus, this.uuid, command, command.split(' ').slice(0, 2).join(' '));
  }

  private async tells(from: number, words: string): Promise<void> {
    await eventually(() => this.told.slice(from).includes(words), true, { timeoutMs: patienceMs });
  }
}
