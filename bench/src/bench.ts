/** What every benchmark is, and what it can ask for: our platform and the peers, started when first needed. */
import { type Arguments } from './arguments';
import { type CleanUp } from './cleanup';
import { type Row } from './measure/row';
import { Libvirt, LibvirtAbsent, type LibvirtContainers } from './peers/libvirt';
import { Platform } from './platform';
import { temporaryFolder, type TemporaryFolder } from '@virtbus/testkit';

export interface Benchmark {
  readonly name: string;
  /** One line for `--help`. */
  readonly doc: string;
  run(bench: Bench): Promise<Row[]>;
}

export class Bench {
  readonly folder: TemporaryFolder;
  /** Benchmarks before which the machine never came to rest. */
  readonly noisy: string[] = [];
  /** Why libvirtd is not beside us, once that is known. */
  libvirtAbsent: string | undefined;
  private ourPlatform: Promise<Platform> | undefined;
  private itsLibvirt: Promise<Libvirt | undefined> | undefined;

  constructor(
    private readonly asked: Pick<Arguments, 'runs' | 'withoutLibvirt'>,
    readonly cleanUp: CleanUp,
  ) {
    this.folder = temporaryFolder();
    cleanUp.add('the temporary folder', () => this.folder[Symbol.dispose]());
  }

  /** How often to measure: what the user asked for, else what the benchmark needs. */
  runs(usual: number): number {
    return this.asked.runs ?? usual;
  }

  platform(): Promise<Platform> {
    this.ourPlatform ??= Platform.start(this.folder, this.cleanUp);
    return this.ourPlatform;
  }

  /** libvirtd, or undefined where it cannot be had; the reason is in `libvirtAbsent` then. */
  libvirt(): Promise<Libvirt | undefined> {
    this.itsLibvirt ??= this.ifPresent(() => Libvirt.start(this.folder, this.cleanUp));
    return this.itsLibvirt;
  }

  /** libvirt's driver for containers, on the same terms. */
  libvirtContainers(): Promise<LibvirtContainers | undefined> {
    return this.ifPresent(() => Libvirt.startContainers(this.folder, this.cleanUp));
  }

  /** What a libvirtd is needed for; undefined where none can be had, or none is to be. */
  async ifPresent<T>(start: () => Promise<T>): Promise<T | undefined> {
    try {
      if (this.asked.withoutLibvirt) throw new LibvirtAbsent('left out (--without-libvirt)');
      return await start();
    } catch (error) {
      if (!(error instanceof LibvirtAbsent)) throw error;
      this.libvirtAbsent = error.message;
      return undefined;
    }
  }
}
