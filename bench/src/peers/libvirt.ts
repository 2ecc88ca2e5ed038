/** libvirt as a peer: a daemon of our own and a client that times its calls in its own process. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { checkout, findProgram, type TemporaryFolder } from '@virtbus/testkit';
import { type CleanUp } from '../cleanup';
import { document } from '../documents';
import { python, startLibvirtd } from './libvirt-daemon';
import { MonitoredEmulator } from './monitored-emulator';

/** Of one call, milliseconds; `at` is when its event arrived, seconds since 1970. */
export interface CallTiming {
  reply: number;
  event: number;
  at: number;
}

export interface BulkTiming {
  reply: number;
  count: number;
}

const attempts = 20;

/** What is asked of it for containers. */
export type LibvirtContainers = Pick<Libvirt, 'define' | 'change' | 'undefine'>;

export class Libvirt {
  private readonly answers: AsyncIterator<string, undefined>;

  private constructor(
    private readonly client: ChildProcessWithoutNullStreams,
    private readonly emulator: MonitoredEmulator | undefined,
  ) {
    client.stdin.on('error', () => undefined); // its end is told where its answer is missed
    this.answers = createInterface({ input: client.stdout })[Symbol.asyncIterator]();
  }

  /** @throws LibvirtAbsent where it cannot be had */
  static async start(folder: TemporaryFolder, cleanUp: CleanUp): Promise<Libvirt> {
    const { uri } = await startLibvirtd(folder.file('libvirt'), cleanUp, 'qemu');
    const monitored = MonitoredEmulator.make(folder.file('theirs'), findProgram('qemu-system-x86_64') ?? '');
    const libvirt = await Libvirt.connect(uri, monitored, cleanUp);
    await libvirt.warmUp();
    return libvirt;
  }

  /** Two of them that reach each other by network, and a client of the first; clients may speak to the second, too. */
  static async startPair(
    folder: TemporaryFolder,
    cleanUp: CleanUp,
    { logs }: { logs?: string } = {},
  ): Promise<{ libvirt: Libvirt; hosts: readonly [string, string] }> {
    const one = await startLibvirtd(folder.file('libvirt-1'), cleanUp, 'qemu', { logs });
    const other = await startLibvirtd(folder.file('libvirt-2'), cleanUp, 'qemu', { besides: one.pid });
    const monitored = MonitoredEmulator.make(folder.file('theirs-moved'), findProgram('qemu-system-x86_64') ?? '');
    const libvirt = await Libvirt.connect(one.uri, monitored, cleanUp);
    await libvirt.warmUp();
    return { libvirt, hosts: [one.uri, other.uri] };
  }

  /** Its driver for containers, in a daemon of its own. @throws LibvirtAbsent where it cannot be had */
  static async startContainers(folder: TemporaryFolder, cleanUp: CleanUp): Promise<LibvirtContainers> {
    const { uri } = await startLibvirtd(folder.file('libvirt-lxc'), cleanUp, 'lxc');
    return Libvirt.connect(uri, undefined, cleanUp);
  }

  /** The socket is there a moment before the daemon serves. */
  private static async connect(
    uri: string,
    emulator: MonitoredEmulator | undefined,
    cleanUp: CleanUp,
  ): Promise<Libvirt> {
    for (let attempt = 1; ; attempt++) {
      const client = spawn(python, [join(checkout, 'bench/libvirt/client.py'), uri]);
      let said = '';
      client.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
      const libvirt = new Libvirt(client, emulator);
      const { done } = await libvirt.answers.next();
      if (!done) {
        cleanUp.add("libvirt's client", () => libvirt.close());
        return libvirt;
      }
      if (attempt === attempts) throw new Error(`libvirtd does not serve: ${said.trim().split('\n').at(-1)}`);
      await new Promise((again) => setTimeout(again, 250));
    }
  }

  /** The emulator that its guests run in, where each can be talked to beside it. */
  get monitored(): MonitoredEmulator {
    if (!this.emulator) throw new Error('containers have no emulator');
    return this.emulator;
  }

  async define(xml: string): Promise<string> {
    return (await this.timeDefine(xml)).name;
  }

  /** Milliseconds that it took to keep this document as a definition. */
  timeDefine(xml: string): Promise<{ name: string; reply: number }> {
    return this.ask({ do: 'define', xml });
  }

  /** Milliseconds that it took to write the definition. */
  dump(name: string): Promise<{ reply: number }> {
    return this.ask({ do: 'dump', name });
  }

  async undefine(name: string): Promise<void> {
    await this.ask({ do: 'undefine', name });
  }

  change(change: 'start' | 'suspend' | 'resume' | 'destroy', name: string): Promise<CallTiming> {
    return this.ask({ do: change, name });
  }

  /** All domains with their state, by the one call that has both. */
  list(): Promise<BulkTiming> {
    return this.ask({ do: 'list' });
  }

  /** Statistics of all that run: the groups that ours has. */
  stats(): Promise<BulkTiming> {
    return this.ask({ do: 'stats' });
  }

  /** An external snapshot of disks, of which no description is kept. */
  snapshot(name: string, xml: string): Promise<{ reply: number }> {
    return this.ask({ do: 'snapshot', name, xml });
  }

  /** To the libvirtd at this URI, live, with its definition; nothing is left where it was. */
  migrate(name: string, to: string): Promise<{ reply: number }> {
    return this.ask({ do: 'migrate', name, to });
  }

  /** Merges a disk's active image into the one below and goes over to that. */
  commit(name: string, disk: string): Promise<{ reply: number }> {
    return this.ask({ do: 'commit', name, disk });
  }

  /** Starts a transient pool; how many volumes it has. */
  async createPool(xml: string): Promise<number> {
    return (await this.ask<{ count: number }>({ do: 'pool-create', xml })).count;
  }

  refreshPool(name: string): Promise<{ reply: number }> {
    return this.ask({ do: 'pool-refresh', name });
  }

  async destroyPool(name: string): Promise<void> {
    await this.ask({ do: 'pool-destroy', name });
  }

  private async ask<T>(request: Record<string, string>): Promise<T> {
    this.client.stdin.write(`${JSON.stringify(request)}\n`);
    const line = await this.answers.next();
    if (line.done) throw new Error(`libvirt's client ended at ${request['do']}`);
    const answer = JSON.parse(line.value) as T & { error?: string };
    if (answer.error !== undefined) throw new Error(`libvirt: ${request['do']}: ${answer.error}`);
    return answer;
  }

  /** The first start probes QEMU: that is not what is measured. */
  private async warmUp(): Promise<void> {
    for (const emulator of [undefined, this.monitored.path]) {
      const name = await this.define(
        document('first', { devices: emulator ? `<emulator>${emulator}</emulator>` : '' }),
      );
      await this.change('start', name);
      await this.change('destroy', name);
      await this.undefine(name);
    }
  }

  private async close(): Promise<void> {
    if (this.client.exitCode !== null || this.client.signalCode !== null) return;
    const ended = once(this.client, 'exit');
    this.client.kill('SIGKILL');
    await ended;
  }
}
export { LibvirtAbsent } from './libvirt-daemon';
