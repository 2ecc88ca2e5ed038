/** One process of the platform: its log goes to a file, its end is noticed, and it is stopped by its own pid. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createReadStream, closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { VirtError } from '@virtbus/shared';

const readyMs = 60_000;
/** For a service to drain in, milliseconds. */
const stopMs = 12_000;

export class Child {
  /** Resolves with a reason when the process has ended. */
  readonly ended: Promise<string>;
  private over = false;

  private constructor(
    readonly name: string,
    private readonly process: ChildProcess,
    private readonly log: string,
    private readonly from: number,
  ) {
    this.ended = new Promise((resolve) => {
      process.once('error', (error) => resolve(`${name} cannot be started: ${error.message}`));
      process.once('exit', (code, signal) => {
        this.over = true;
        resolve(`${name} has ended (${signal ?? `exit code ${code}`}); its log is ${log}`);
      });
    });
  }

  /**
   * In a session of its own: Ctrl-C reaches only us, and we end the others in order. Where we are killed instead, the
   * kernel ends them (prctl(2), PR_SET_PDEATHSIG), so that the next start finds the port free.
   */
  static start(
    name: string,
    args: string[],
    env: NodeJS.ProcessEnv,
    stateDir: string,
    program = process.execPath,
  ): Child {
    mkdirSync(join(stateDir, 'log'), { recursive: true, mode: 0o700 });
    const log = join(stateDir, 'log', `${name}.log`);
    const fd = openSync(log, 'a', 0o600);
    const from = statSync(log).size;
    const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', program, ...args], {
      env,
      stdio: ['ignore', fd, fd],
      detached: true,
    });
    closeSync(fd);
    return new Child(name, child, log, from);
  }

  /** Resolves when its log has these words. */
  async ready(words: string): Promise<void> {
    const deadline = Date.now() + readyMs;
    for (;;) {
      const text = await this.output();
      if (text.includes(words)) return;
      if (this.over) throw this.failure(await this.ended, text);
      if (Date.now() > deadline) throw this.failure(`${this.name} is not ready after ${readyMs / 1000} s`, text);
      await Promise.race([this.ended, new Promise((again) => setTimeout(again, 50))]);
    }
  }

  async stop(): Promise<void> {
    if (this.over || this.process.pid === undefined) return;
    this.process.kill('SIGTERM');
    const killer = setTimeout(() => this.process.kill('SIGKILL'), stopMs);
    await this.ended;
    clearTimeout(killer);
  }

  private async output(): Promise<string> {
    let text = '';
    for await (const chunk of createReadStream(this.log, { start: this.from, encoding: 'utf8' }))
      text += chunk as string;
    return text;
  }

  private failure(what: string, text: string): VirtError {
    const last = reasonIn(text.trim().split('\n').at(-1) ?? '');
    return new VirtError('OPERATION_FAILED', { detail: `${what}${last ? `: ${last}` : ''} (log: ${this.log})` });
  }
}

/** A log line of ours tells its reason in a field; one of another program is taken as it is. */
function reasonIn(line: string): string {
  try {
    const { reason, msg } = JSON.parse(line) as { reason?: string; msg?: string };
    return reason ?? msg ?? line;
  } catch {
    return line;
  }
}
