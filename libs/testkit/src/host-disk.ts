/**
 * A folder, the state of a host for one, on a disk of its own whose power can be cut: what had not come to the disk by then is lost,
 * and the host comes back in another boot. The disk is a file; what the file system on it has not written yet is not in that file.
 */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { findProgram } from './programs';
import { requirement, type Requirement } from './requirement';
import { temporaryFolder, type TemporaryFolder } from './temporary-folder';

const size = 64 * 1024 ** 2;
const programs = ['mkfs.ext4', 'mount', 'umount', 'unshare'];

export function needsHostDisk(): Requirement {
  return requirement('root, e2fsprogs and loop devices', () => {
    if (process.getuid?.() !== 0 || !programs.every((program) => findProgram(program))) return false;
    using folder = temporaryFolder();
    using _disk = HostDisk.under(folder.path);
    return true;
  });
}

export class HostDisk implements Disposable {
  private readonly own: TemporaryFolder = temporaryFolder();
  private boots = 0;

  private constructor(private readonly folder: string) {}

  /** Move what is in a folder onto a disk that is mounted there. Nobody may have the folder in use. */
  static under(folder: string): HostDisk {
    const disk = new HostDisk(folder);
    try {
      disk.make();
      return disk;
    } catch (error) {
      disk[Symbol.dispose]();
      throw error;
    }
  }

  /** Everything that was written so far comes to the disk. */
  flush(): void {
    run('sync', '--file-system', this.folder);
  }

  /** The power fails, and the machine boots. Whoever had the folder in use must have ended. */
  cut(): void {
    const before = this.image;
    this.boots++;
    run('cp', '--sparse=always', before, this.image);
    run('umount', this.folder);
    rmSync(before);
    this.boot();
  }

  /** What whoever mounts it would find if the power failed now. */
  afterCut<T>(look: (at: string) => T): T {
    const [copy, at] = [this.own.file('cut.img'), this.own.file('cut')];
    run('cp', '--sparse=always', this.image, copy);
    mkdirSync(at, { recursive: true });
    run('mount', '--options', 'loop', copy, at);
    try {
      return look(at);
    } finally {
      run('umount', at);
    }
  }

  /** What a command is preceded by to run on the host: it sees the present boot. */
  get within(): readonly string[] {
    const script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"';
    return ['unshare', '--mount', 'sh', '-c', script, this.bootFile];
  }

  [Symbol.dispose](): void {
    try {
      run('umount', '--lazy', this.folder);
    } catch {
      // It was not mounted.
    }
    this.own[Symbol.dispose]();
  }

  private make(): void {
    writeFileSync(this.image, '');
    truncateSync(this.image, size);
    run('mkfs.ext4', '-q', '-b', '4096', '-m', '0', this.image);
    const content = this.own.file('content');
    run('cp', '--archive', this.folder, content);
    this.boot();
    run('cp', '--archive', `${content}/.`, this.folder);
    this.flush();
  }

  private boot(): void {
    writeFileSync(this.bootFile, `${randomUUID()}\n`);
    // Nothing comes to the disk by itself while a test looks.
    run('mount', '--options', 'loop,commit=600', this.image, this.folder);
  }

  private get image(): string {
    return this.own.file(`disk${this.boots}.img`);
  }

  private get bootFile(): string {
    return this.own.file(`boot${this.boots}`);
  }
}

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { timeout: 30_000, stdio: ['ignore', 'ignore', 'pipe'] });
}
