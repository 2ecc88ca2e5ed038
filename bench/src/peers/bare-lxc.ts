/**
 * liblxc without anybody: started with `lxc-start -d` and waited for with `lxc-wait`.
 *
 * Its configuration is the one that a container of ours was started with: mapped ids, seccomp policy, dropped capabilities,
 * devices, memory limit, network, cgroups. So both isolate as much; what ours has beside it, and this one does not, is
 * liblxc's log, and a mount of its own of the root file system, which is put back when the container reboots.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export class BareLxc {
  private constructor(
    private readonly where: readonly string[],
    private readonly config: string,
    private readonly init: readonly string[],
  ) {}

  /**
   * The very configuration of a container of ours that runs, under another name.
   * @param supervisor its `lxc-start`
   * @param folder for the twin
   * @param root of both
   */
  static twinOf(supervisor: number, folder: string, root: string): BareLxc {
    const words = readFileSync(`/proc/${supervisor}/cmdline`, 'utf8').replace(/\0$/, '').split('\0');
    const after = (flag: string): string => words[words.indexOf(flag) + 1]!;
    mkdirSync(folder, { recursive: true });
    const config = join(folder, 'config');
    const text = readFileSync(after('-f'), 'utf8')
      .replaceAll(after('-n'), 'twin')
      .replace(/^lxc\.rootfs\.path = .*$/m, `lxc.rootfs.path = dir:${root}`)
      .replace(/^lxc\.hook\..*\n/gm, '')
      .replace(/^lxc\.console\.logfile = .*$/m, `lxc.console.logfile = ${join(folder, 'console.log')}`);
    writeFileSync(config, text);
    return new BareLxc(['-P', folder, '-n', 'twin'], config, words.slice(words.indexOf('--') + 1));
  }

  /** Milliseconds until lxc-wait has seen it run, and until lxc-stop has killed it. */
  async life(): Promise<{ start: number; kill: number }> {
    const began = performance.now();
    await run('lxc-start', [...this.where, '-f', this.config, '-d', '--', ...this.init]);
    await run('lxc-wait', [...this.where, '-s', 'RUNNING']);
    const start = performance.now() - began;
    const killing = performance.now();
    await this.end();
    return { start, kill: performance.now() - killing };
  }

  async end(): Promise<void> {
    await run('lxc-stop', [...this.where, '-k']);
    // It leaves the groups that its supervisor was in.
    await run('find', [
      '/sys/fs/cgroup',
      '-depth',
      '-type',
      'd',
      '-path',
      '*/virtbus-lxc/*-twin*',
      '-exec',
      'rmdir',
      '{}',
      '+',
    ]).catch(() => undefined);
  }
}
