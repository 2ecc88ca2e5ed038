/**
 * Capabilities of the QEMU binaries of this host: probed once, kept on disk until something they depend on changes.
 *
 * A binary that cannot be used is remembered as well, so that it is not run again and again; a probe that failed for
 * want of time or memory is not.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type QemuCapabilities } from '@virtbus/domain-xml';
import { LaunchError } from '../process';
import { fingerprint, type Fingerprint } from './fingerprint';
import { judgeKvm, type KvmVerdict } from './kvm';
import { probe, UnusableEmulator } from './probe';

export interface ProbedEmulator {
  readonly capabilities: QemuCapabilities;
  readonly kvm: KvmVerdict;
}

type Outcome = ProbedEmulator | { readonly failure: string };
interface Entry {
  fingerprint: Fingerprint;
  outcome: Outcome;
}

export class CapabilityStore {
  private readonly known = new Map<string, Entry>();
  private readonly running = new Map<string, Promise<Outcome>>();

  /** @param directory where the cache files live; created when needed. */
  constructor(
    private readonly directory: string,
    private readonly probeEmulator: (emulator: string) => Promise<ProbedEmulator> = probeWithKvm,
  ) {}

  /**
   * What the binary can do; probes it when that is not known. Concurrent questions share one probe.
   * @throws UnusableEmulator naming the binary and what is wrong with it.
   */
  async of(emulator: string): Promise<ProbedEmulator> {
    let running = this.running.get(emulator);
    if (!running) {
      running = this.look(emulator).finally(() => this.running.delete(emulator));
      this.running.set(emulator, running);
    }
    const outcome = await running;
    if ('failure' in outcome) throw new UnusableEmulator(outcome.failure);
    return outcome;
  }

  private async look(emulator: string): Promise<Outcome> {
    const now = await fingerprint(emulator).catch((cause: Error) => {
      throw new UnusableEmulator(`cannot use emulator ${emulator}: ${cause.message}`, { cause });
    });
    const entry = this.known.get(emulator) ?? (await this.read(emulator));
    if (entry && isDeepStrictEqual(entry.fingerprint, now)) {
      this.known.set(emulator, entry);
      return entry.outcome;
    }
    const outcome = await this.attempt(emulator);
    this.known.set(emulator, { fingerprint: now, outcome });
    await this.write(emulator, { fingerprint: now, outcome });
    return outcome;
  }

  private async attempt(emulator: string): Promise<Outcome> {
    try {
      return await this.probeEmulator(emulator);
    } catch (error) {
      if (!(error instanceof LaunchError || error instanceof UnusableEmulator)) throw error;
      return { failure: `cannot use emulator ${emulator}: ${error.message}` };
    }
  }

  private fileOf(emulator: string): string {
    return join(this.directory, `${createHash('sha256').update(emulator).digest('hex')}.json`);
  }

  /** A file that is missing, damaged or of another release counts as none. */
  private async read(emulator: string): Promise<Entry | undefined> {
    try {
      return JSON.parse(await readFile(this.fileOf(emulator), 'utf8'), revive) as Entry;
    } catch {
      return undefined;
    }
  }

  private async write(emulator: string, entry: Entry): Promise<void> {
    const file = this.fileOf(emulator);
    await mkdir(this.directory, { recursive: true });
    await writeFile(`${file}.new`, JSON.stringify(entry, replace));
    await rename(`${file}.new`, file);
  }
}

async function probeWithKvm(emulator: string): Promise<ProbedEmulator> {
  const kvm = await judgeKvm(emulator);
  return { kvm, capabilities: await probe(emulator, kvm.usable) };
}

/** JSON has no sets: flags are kept as a sorted list. */
function replace(_key: string, value: unknown): unknown {
  return value instanceof Set ? [...(value as Set<string>)].sort() : value;
}

function revive(key: string, value: unknown): unknown {
  return key === 'flags' ? new Set(value as string[]) : value;
}
