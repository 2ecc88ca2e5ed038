/** The collected output of one process: searched by line, kept as a file for the run's report when it asks for one. */
import { appendFileSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';

let files = 0;

export class ProcessLog {
  #text = '';
  readonly #changed = new Set<() => void>();
  readonly #file: string | undefined;

  constructor(readonly name: string) {
    this.#file = logFile(name);
  }

  get text(): string {
    return this.#text;
  }

  get lines(): string[] {
    return this.#text.split(/\r?\n/);
  }

  append(chunk: string): void {
    this.#text += chunk;
    if (this.#file) appendFileSync(this.#file, chunk);
    for (const look of this.#changed) look();
  }

  /** The first line from character `from` on that contains the string or matches; undefined when there is none yet. */
  find(pattern: string | RegExp, from = 0): string | undefined {
    const fits = typeof pattern === 'string' ? (line: string) => line.includes(pattern) : matches(pattern);
    return this.#text.slice(from).split(/\r?\n/).find(fits);
  }

  /** Calls `look` after each piece of output until the returned function is called. */
  onChange(look: () => void): () => void {
    this.#changed.add(look);
    return () => this.#changed.delete(look);
  }

  /** The end of the output, for error messages. */
  tail(lines = 20): string {
    const end = this.#text.trimEnd().split(/\r?\n/).slice(-lines).join('\n');
    return end === '' ? `(${this.name} printed nothing)` : `last output of ${this.name}:\n${end}`;
  }
}

function matches(pattern: RegExp): (line: string) => boolean {
  const stateless = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''));
  return (line) => stateless.test(line);
}

/** VIRTBUS_TEST_LOGS/<test file>/<n>-<name>.log; the whole run sets the variable, a single jest does not. */
function logFile(name: string): string | undefined {
  const folder = process.env['VIRTBUS_TEST_LOGS'];
  if (!folder) return undefined;
  const testPath = typeof expect === 'undefined' ? undefined : expect.getState().testPath;
  const own = join(folder, testPath ? basename(testPath) : 'outside-tests');
  mkdirSync(own, { recursive: true });
  files += 1;
  return join(own, `${process.pid}-${files}-${name}.log`);
}
