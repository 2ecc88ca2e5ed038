/**
 * Block jobs of a QEMU that nobody manages, over QMP as a manager would ask for them: what the images themselves cost. Nothing
 * is planned, leased or written down.
 */
import { type CleanUp } from '../cleanup';
import { startProcess } from '@virtbus/testkit';
import { type BareQemu } from './bare-qemu';
import { QmpMonitor } from './qmp';

interface Inserted {
  inserted?: { 'node-name': string; file: string; image: { 'virtual-size': number } };
}

export class BareBlockJobs {
  private count = 0;
  private waiting = new Map<string, () => void>();

  private constructor(
    readonly monitor: QmpMonitor,
    private readonly stop: () => Promise<unknown>,
  ) {
    monitor.onEvent = (event) => this.waiting.get(event)?.();
  }

  /** A guest with one disk that runs. */
  static async start({ program, args, monitor }: BareQemu, cleanUp: CleanUp): Promise<BareBlockJobs> {
    const process = await startProcess([program, ...args]);
    const stop = (): Promise<unknown> => process.stop('SIGKILL');
    cleanUp.add('a bare QEMU', async () => void (await stop()));
    const qmp = await QmpMonitor.open(monitor);
    await qmp.execute('cont');
    return new BareBlockJobs(qmp, stop);
  }

  /** The guest's disk goes over to a new image at that path, which QEMU makes itself. */
  async snapshot(overlay: string): Promise<void> {
    const { inserted } = await this.disk();
    const { 'node-name': active, file: below, image } = inserted!;
    const [file, format] = [`bare-${this.count}-storage`, `bare-${this.count++}-format`];
    const size = image['virtual-size'];
    await this.create({ driver: 'file', filename: overlay, size: 0 });
    await this.add({ driver: 'file', 'node-name': file, filename: overlay });
    await this.create({ driver: 'qcow2', file, size, 'backing-file': below, 'backing-fmt': 'qcow2' });
    await this.add({ driver: 'qcow2', 'node-name': format, file, backing: null });
    await this.monitor.execute('blockdev-snapshot', { node: active, overlay: format });
  }

  /** What the active image holds goes into the one below, on which the guest stands then. */
  async commit(): Promise<void> {
    const active = (await this.disk()).inserted!['node-name'];
    const [ready, completed] = [this.next('BLOCK_JOB_READY'), this.next('BLOCK_JOB_COMPLETED')];
    await this.monitor.execute('block-commit', { device: active, 'job-id': 'commit', 'auto-dismiss': true });
    await ready;
    await this.monitor.execute('block-job-complete', { device: 'commit' });
    await completed;
    await this.monitor.execute('blockdev-del', { 'node-name': active });
    await this.monitor.execute('blockdev-del', { 'node-name': active.replace('format', 'storage') });
  }

  async end(): Promise<void> {
    this.monitor.close();
    await this.stop();
  }

  private async disk(): Promise<Inserted> {
    const blocks = (await this.monitor.execute('query-block')) as Inserted[];
    return blocks.find(({ inserted }) => inserted)!;
  }

  private next(event: string): Promise<void> {
    return new Promise((resolve) => this.waiting.set(event, resolve));
  }

  private add(node: Record<string, unknown>): Promise<unknown> {
    return this.monitor.execute('blockdev-add', node);
  }

  private async create(options: Record<string, unknown>): Promise<void> {
    await this.monitor.execute('blockdev-create', { 'job-id': 'create', options });
    for (;;) {
      const jobs = (await this.monitor.execute('query-jobs')) as { id: string; status: string; error?: string }[];
      const job = jobs.find(({ id }) => id === 'create');
      if (job?.error) throw new Error(`an image cannot be made: ${job.error}`);
      if (job?.status === 'concluded') break;
    }
    await this.monitor.execute('job-dismiss', { id: 'create' });
  }
}
