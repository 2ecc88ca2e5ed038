/** A guest that goes from QEMU to QEMU with nobody in between: the floor of a migration. */
import { eventually, freePort, startProcess, type TestProcess } from '@virtbus/testkit';
import { type CleanUp } from '../cleanup';
import { type MoveTiming, watchMove } from '../measure/move';
import { type BareQemu } from './bare-qemu';
import { QmpMonitor } from './qmp';

/** More than any network: what ours sends with when no limit is asked for. */
const unlimited = 2 ** 40;

interface Running {
  process: TestProcess;
  qmp: QmpMonitor;
}

export class BareMigration {
  private constructor(
    private readonly twinAt: (monitor: string) => BareQemu,
    private readonly monitorPath: (number: number) => string,
    private readonly cleanUp: CleanUp,
    private guest: Running,
    private count: number,
  ) {}

  /** @param twinAt the command line of a guest of ours, with its monitor at the given path */
  static async start(
    twinAt: (monitor: string) => BareQemu,
    monitorPath: (number: number) => string,
    cleanUp: CleanUp,
  ): Promise<BareMigration> {
    const guest = await run(twinAt(monitorPath(0)), [], cleanUp);
    await guest.qmp.execute('cont');
    return new BareMigration(twinAt, monitorPath, cleanUp, guest, 1);
  }

  get monitor(): QmpMonitor {
    return this.guest.qmp;
  }

  /** Launches a target that runs the guest by itself once it is there, sends it, and ends the source. */
  async move(): Promise<MoveTiming> {
    const source = this.guest;
    const uri = `tcp:127.0.0.1:${await freePort()}`;
    const began = performance.now();
    const twin = this.twinAt(this.monitorPath(this.count++));
    const args = twin.args.filter((word) => word !== '-S');
    const target = await run({ ...twin, args }, ['-incoming', 'defer'], this.cleanUp);
    const outage = watchMove(source.qmp, target.qmp);
    await target.qmp.execute('migrate-incoming', { uri });
    await source.qmp.execute('migrate-set-parameters', { 'max-bandwidth': unlimited });
    await source.qmp.execute('migrate', { uri });
    const ms = await outage;
    await source.process.stop('SIGKILL');
    const total = performance.now() - began;
    source.qmp.close();
    this.guest = target;
    return { total, outage: ms };
  }

  async end(): Promise<void> {
    await this.guest.process.stop('SIGKILL');
    this.guest.qmp.close();
  }
}

async function run({ program, args, monitor }: BareQemu, more: string[], cleanUp: CleanUp): Promise<Running> {
  const process = await startProcess([program, ...args, ...more]);
  cleanUp.add('a bare QEMU', async () => void (await process.stop('SIGKILL')));
  await eventually(() => process.running, true);
  return { process, qmp: await QmpMonitor.open(monitor) };
}
