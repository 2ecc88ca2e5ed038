/**
 * A systemd of our own: process 1 of namespaces that have this machine's /usr, read-only, and nothing else of it. Units and
 * settings are brought along; no unit of the machine's is started.
 */
import { execFile as execFileWithCallback } from 'node:child_process';
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import {
  cgroupMounts,
  eventually,
  findProgram,
  removeCgroups,
  requirement,
  startProcess,
  type Requirement,
} from '@virtbus/testkit';

const execFile = promisify(execFileWithCallback);
const systemd = '/usr/lib/systemd/systemd';

/** A machine whose /usr holds all programs can lend it to another one. */
export function needsSystemd(): Requirement {
  return requirement('root, systemd and systemd-nspawn (package systemd-container), /bin in /usr', () => {
    const nspawn = findProgram('systemd-nspawn') !== undefined && existsSync(systemd);
    return process.getuid?.() === 0 && nspawn && lstatSync('/bin').isSymbolicLink();
  });
}

type Process = Awaited<ReturnType<typeof startProcess>>;

export class BootedSystemd implements AsyncDisposable {
  private constructor(
    private readonly nspawn: Process,
    private readonly init: number,
    private readonly cgroups: readonly string[],
  ) {}

  /** @param shown folders of ours, by their path inside */
  static async boot(shown: Readonly<Record<string, string>>): Promise<BootedSystemd> {
    const binds = Object.entries(shown).map(([inside, folder]) => `--bind-ro=${folder}:${inside}`);
    const apart = ['--private-network', '--register=no', '--keep-unit', '--console=pipe', '--capability=all'];
    const root = ['--directory=/', '--volatile=yes', `--machine=${basename(Object.values(shown)[0]!)}`];
    // Ends with us, however we end. Not the default target: what the machine has installed stays off.
    const nspawn = await startProcess(
      [
        ...(['setpriv', '--pdeathsig', 'KILL', '--', 'systemd-nspawn', '--quiet'] as const),
        ...[...root, ...apart, ...binds, '--boot', 'systemd.unit=basic.target', 'systemd.firstboot=no'],
      ],
      { name: 'systemd', leavesChildren: true },
    );
    try {
      const isInit = ({ command }: { command: string }): boolean => command.startsWith(systemd);
      const init = () => nspawn.children().find(isInit)?.pid;
      const pid = await eventually(init, (found) => found !== undefined || !nspawn.running);
      if (pid === undefined) throw new Error(`systemd-nspawn has ended: ${nspawn.log.tail()}`);
      const booted = new BootedSystemd(nspawn, pid, cgroupsOf(pid));
      await eventually(() => booted.run('systemctl', 'is-active', 'basic.target'), 'active\n', { timeoutMs: 60_000 });
      return booted;
    } catch (error) {
      await nspawn.stop('SIGKILL');
      throw error;
    }
  }

  /** What a program says on its standard output. Throws with what it says on the other. */
  async run(program: string, ...args: string[]): Promise<string> {
    const namespaces = ['--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup'];
    const command = ['--target', String(this.init), ...namespaces, '--', program, ...args];
    return (await execFile('nsenter', command, { encoding: 'utf8', cwd: '/', timeout: 60_000 })).stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run('systemctl', 'poweroff').catch(() => undefined);
    await Promise.race([this.nspawn.exited, eventually(() => !this.nspawn.running, true, { timeoutMs: 20_000 })]).catch(
      () => undefined,
    );
    await this.nspawn.stop('SIGKILL');
    for (const folder of this.cgroups) removeCgroups(folder);
  }
}

/** What systemd-nspawn makes beside the cgroup that it is in, and leaves there. */
function cgroupsOf(init: number): string[] {
  const bases = new Set(
    readFileSync(`/proc/${init}/cgroup`, 'utf8')
      .split('\n')
      .flatMap((line) => /^[^/]*(\/.*)?\/payload(\/|$)/.exec(line)?.slice(1, 2) ?? []),
  );
  return cgroupMounts().flatMap((mount) =>
    [...bases].flatMap((base) => ['payload', 'supervisor'].map((name) => join(mount, base ?? '', name))),
  );
}
