/** A conformance kit: a folder with a `manifest.json` that lists cases, and what our runners make of it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One case that did not come out as expected. */
export interface Failure {
  readonly id: string;
  readonly reason: string;
}

/** All cases of one kit that were judged in one way. */
export interface Score {
  readonly kit: string;
  readonly kind: string;
  readonly cases: number;
  readonly passed: number;
  readonly failures: readonly Failure[];
}

/** Runs all cases of one kit. */
export type Runner = (kit: Kit) => Score[] | Promise<Score[]>;

export class Kit {
  constructor(
    readonly name: string,
    readonly folder: string,
  ) {}

  /** The kits that lie in `folder`, by name. */
  static all(folder: string): Kit[] {
    return readdirSync(folder)
      .sort()
      .filter((name) => existsSync(join(folder, name, 'manifest.json')))
      .map((name) => new Kit(name, join(folder, name)));
  }

  cases<C>(manifest = 'manifest.json'): C[] {
    return (JSON.parse(this.read(manifest)) as { cases: C[] }).cases;
  }

  /** Names of the files in a folder of the kit. */
  list(path: string): string[] {
    return readdirSync(join(this.folder, path)).sort();
  }

  read(path: string): string {
    return readFileSync(join(this.folder, path), 'utf8');
  }
}

/** Gathers verdicts by kind while a runner walks its cases. */
export class Tally {
  readonly #kinds = new Map<string, { cases: number; failures: Failure[] }>();

  constructor(readonly kit: string) {}

  /** `reason` undefined is a pass. */
  add(kind: string, id: string, reason: string | undefined): void {
    const entry = this.#kinds.get(kind) ?? { cases: 0, failures: [] };
    this.#kinds.set(kind, entry);
    entry.cases += 1;
    if (reason !== undefined) entry.failures.push({ id, reason });
  }

  scores(): Score[] {
    return [...this.#kinds].map(([kind, { cases, failures }]) => ({
      kit: this.kit,
      kind,
      cases,
      passed: cases - failures.length,
      failures,
    }));
  }
}
