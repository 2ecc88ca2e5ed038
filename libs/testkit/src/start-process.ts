/**
 * Real processes for tests: our services and programs of the system.
 *
 * A process is signalled by its own pid alone. Its children are left alone too, because guests outlive our services; who
 * is left over is reported.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { descendants, survivors, type ProcessEntry } from './process-table';
import { ProcessLog } from './process-log';
import { checkout } from './programs';

export interface ProcessOptions {
  /** How logs and errors call it; default: the program. */
  name?: string;
  /** Added to the test's own environment; undefined takes a variable away. */
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** True for services whose children are meant to survive them: nothing is reported. */
  leavesChildren?: boolean;
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface WaitOptions {
  /** Milliseconds, default 10 000. */
  timeoutMs?: number;
  /** Look only at the output from this character on, for instance `process.log.text.length`. */
  from?: number;
}

export class TestProcess implements AsyncDisposable {
  readonly log: ProcessLog;
  /** Settles when the process has ended. */
  readonly exited: Promise<Exit>;
  #exit: Exit | undefined;
  #signalled = false;
  readonly #child: ChildProcess;
  readonly #leavesChildren: boolean;

  constructor(child: ChildProcess, log: ProcessLog, leavesChildren: boolean) {
    this.#child = child;
    this.log = log;
    this.#leavesChildren = leavesChildren;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (chunk: string) => log.append(chunk));
    }
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#exit = { code, signal };
        // A surviving child holds the pipes open: read what is there, wait for no more.
        setTimeout(() => [child.stdout, child.stderr].forEach((stream) => stream?.destroy()), 50).unref();
        resolve(this.#exit);
      });
    });
  }

  get pid(): number {
    return this.#child.pid as number; // startProcess hands out spawned processes only
  }

  get running(): boolean {
    return this.#exit === undefined;
  }

  /** Whether we have sent it any signal. */
  get signalled(): boolean {
    return this.#signalled;
  }

  /** Sends a signal and returns at once: SIGSTOP and SIGCONT too. False when the process has ended already. */
  kill(signal: NodeJS.Signals = 'SIGTERM'): boolean {
    this.#signalled = true;
    return this.running && this.#child.kill(signal);
  }

  /** Types into the standard input. */
  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Children, their children and so on, as of now. */
  children(): ProcessEntry[] {
    return this.running ? descendants(this.pid) : [];
  }

  /**
   * The first line of output with this text, as soon as it is there; it may still grow (a prompt never ends its line).
   *
   * @throws Error with the end of the output when the time is over or the process ends before.
   */
  async waitFor(pattern: string | RegExp, { timeoutMs = 60_000, from = 0 }: WaitOptions = {}): Promise<string> {
    const found = this.log.find(pattern, from);
    if (found !== undefined) return found;
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => {
        done();
        reject(new Error(`${this.log.name} ${why}; expected a line with ${String(pattern)}; ${this.log.tail()}`));
      };
      const timer = setTimeout(() => fail(`did not say it within ${timeoutMs} ms`), timeoutMs);
      const stopLooking = this.log.onChange(() => {
        const line = this.log.find(pattern, from);
        if (line === undefined) return;
        done();
        resolve(line);
      });
      const done = (): void => {
        clearTimeout(timer);
        stopLooking();
      };
      // Output may arrive a moment after the exit.
      void this.exited.then((exit) =>
        setTimeout(() => this.log.find(pattern, from) ?? fail(`ended (${describeExit(exit)})`), 50),
      );
    });
  }

  /** Asks it to end with a signal, waits, and cuts it off after `timeoutMs` (default 5 000 ms). */
  async stop(signal: NodeJS.Signals = 'SIGTERM', timeoutMs = 5_000): Promise<Exit> {
    if (this.kill(signal) && signal !== 'SIGKILL') this.kill('SIGCONT'); // a stopped process acts on no signal else
    const timer = setTimeout(() => {
      this.log.append(`\n[did not end within ${timeoutMs} ms of ${signal}: killed]\n`);
      this.kill('SIGKILL');
    }, timeoutMs);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const children = this.children();
    await this.stop();
    if (this.#leavesChildren) return;
    for (const left of survivors(children)) {
      process.stderr.write(
        `${this.log.name} (pid ${this.pid}) left a child running: pid ${left.pid}: ${left.command}\n`,
      );
    }
  }
}

/**
 * Starts a program with arguments as a real process, from the root of the checkout when no folder is given.
 *
 * @throws Error when the program cannot be started at all (not installed, not executable).
 */
export async function startProcess(
  command: readonly [string, ...string[]],
  options: ProcessOptions = {},
): Promise<TestProcess> {
  const [program, ...args] = command;
  const name = options.name ?? program.slice(program.lastIndexOf('/') + 1);
  const child = spawn(program, args, { cwd: options.cwd ?? checkout, env: { ...process.env, ...options.env } });
  child.stdin.on('error', () => undefined); // it may end while a test still types
  const started = new TestProcess(child, new ProcessLog(name), options.leavesChildren ?? false);
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => reject(new Error(`cannot start ${program}: ${cause.message}`, { cause })));
  });
  return started;
}

export interface ServiceOptions extends ProcessOptions {
  args?: readonly string[];
  /** A command that runs the service as its argument, in the same process: `nsenter …`. */
  within?: readonly string[];
}

/** Starts one of our services as users do, `node services/<name>`, from its built form. */
export async function startService(
  name: string,
  { args = [], within = [], ...options }: ServiceOptions = {},
): Promise<TestProcess> {
  const [program, ...rest] = [...within, process.execPath, `services/${name}`, ...args];
  return startProcess([program!, ...rest], { name, ...options, cwd: checkout });
}

export function describeExit({ code, signal }: Exit): string {
  return signal ? `by ${signal}` : `with code ${String(code)}`;
}
