/** A stack to take snapshots on; what its images hold tells whether a domain has gone back. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  createSnapshot,
  deleteSnapshot,
  getDomainXml,
  listSnapshots,
  revertSnapshot,
  type DomainSummary,
  type RequestInput,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { Stack, type StackOptions } from '@virtbus/testkit';
import { qemuImg } from './storage-stand';

export class SnapshotStand implements AsyncDisposable {
  private constructor(
    readonly stack: Stack,
    readonly bus: Bus,
  ) {}

  static async start(options: StackOptions = {}): Promise<SnapshotStand> {
    const stack = await Stack.start(options);
    try {
      return new SnapshotStand(stack, await stack.connect());
    } catch (error) {
      await stack[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A new qcow2 image of that name. */
  image(name: string): string {
    const path = this.stack.folder.file(`${name}.qcow2`);
    qemuImg('create', '-q', '-f', 'qcow2', path, '16M');
    return path;
  }

  create(domain: string, xml: string, how: RequestInput<typeof createSnapshot> = {}) {
    return call(this.bus, createSnapshot, { xml, ...how }, { target: domain });
  }

  /** @param within the document, beside its name */
  take(domain: string, name: string, how: RequestInput<typeof createSnapshot> = {}, within = '') {
    return this.create(domain, `<domainsnapshot><name>${name}</name>${within}</domainsnapshot>`, how);
  }

  back(domain: string, name: string, how: object = {}): Promise<{ domain: DomainSummary }> {
    return call(this.bus, revertSnapshot, { name, ...how }, { target: domain });
  }

  remove(domain: string, name: string, how: object = {}): Promise<{ domain: DomainSummary }> {
    return call(this.bus, deleteSnapshot, { name, ...how }, { target: domain });
  }

  async names(domain: string): Promise<string[]> {
    return (await call(this.bus, listSnapshots, {}, { target: domain })).snapshots.map(({ name }) => name);
  }

  /** The first file that the definition names. */
  async sourceOf(domain: string): Promise<string> {
    const { xml = '' } = await call(this.bus, getDomainXml, { inactive: true }, { target: domain });
    return /<source file='([^']*)'/.exec(xml)?.[1] ?? '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack[Symbol.asyncDispose]();
  }
}

/** The overlay that a snapshot puts upon an image when nobody names it. */
export const overlayOf = (path: string, snapshot: string): string => path.replace('.qcow2', `.${snapshot}`);

/** Fill the beginning of an image that nobody has open. */
export const fill = (path: string, byte: number): void =>
  void execFileSync('qemu-io', ['-f', 'qcow2', '-c', `write -P ${byte} 0 64k`, path]);

/** Whether an image begins with these bytes, read through all that it stands on. */
export function holds(path: string, byte: number): boolean {
  const read = ['-r', '-U', '-f', 'qcow2', '-c', `read -P ${byte} 0 64k`, path];
  const { status, stdout, stderr } = spawnSync('qemu-io', read, { encoding: 'utf8' });
  if (status === 0) return true;
  if (stdout.includes('verification failed')) return false;
  throw new Error(`cannot read ${path}: ${stdout}${stderr}`);
}

/** The internal snapshots that an image holds. */
export const snapshotsIn = (path: string): { id: string; name: string }[] =>
  (JSON.parse(qemuImg('info', '-U', '--output=json', path)) as { snapshots?: { id: string; name: string }[] })
    .snapshots ?? [];
