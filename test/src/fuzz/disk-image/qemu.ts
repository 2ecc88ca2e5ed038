/**
 * QEMU's own opinion of an image, from one storage daemon that opens image after image: the block layer of `qemu-img info` without
 * its start. It has no network, and runs as nobody, where we are root; it ends with the thread that asks it.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { findProgram, temporaryFolder } from '@virtbus/testkit';
import type { SparseImage } from './sparse';

/** What both sides tell of an image. */
export interface Opinion {
  readonly format: string;
  /** Bytes. */
  readonly size: number;
  readonly backing?: string | undefined;
  readonly backingFormat?: string | undefined;
}

export type Answer = { readonly opinion: Opinion } | { readonly refusal: string };

const daemon = 'qemu-storage-daemon';
/** The image is passed as a descriptor: its file has no name, and is gone when all have closed it. */
const imageFd = 3;
const layered = new Set(['qcow', 'qcow2', 'qed', 'vmdk']);

interface Reply {
  readonly QMP?: unknown;
  readonly event?: string;
  readonly error?: { readonly desc: string };
  readonly return?: unknown;
}

interface Node {
  readonly image: {
    readonly 'virtual-size': number;
    readonly 'backing-filename'?: string;
    readonly 'backing-filename-format'?: string;
  };
  readonly 'node-name': string;
}

export class Qemu {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #file: number;
  readonly #waiting: ((reply: Reply) => void)[] = [];
  #gone = false;
  #hasSpoken = false;

  /** Undefined where the daemon is not installed. */
  static start(): Qemu | undefined {
    return [daemon, 'setpriv', 'prlimit', 'unshare'].every(findProgram) ? new Qemu() : undefined;
  }

  /** `gone` when an image has made it crash, `unable` when it could not even start: this machine allows no namespaces, say. */
  get state(): 'running' | 'gone' | 'unable' {
    if (!this.#gone) return 'running';
    return this.#hasSpoken ? 'gone' : 'unable';
  }

  private constructor() {
    using folder = temporaryFolder();
    const path = folder.file('image');
    this.#file = openSync(path, 'wx+', 0o644);
    const passed = openSync(path, 'r');
    unlinkSync(path);
    const isRoot = process.getuid?.() === 0;
    const nobody = isRoot ? ['--reuid=65534', '--regid=65534', '--clear-groups'] : [];
    const command = [
      ...(isRoot ? ['unshare', '--net'] : []),
      ...['prlimit', '--core=0', 'setpriv', ...nobody, '--no-new-privs', '--pdeathsig=KILL'],
      ...[daemon, '--chardev', 'stdio,id=m', '--monitor', 'chardev=m'],
    ];
    const [program = '', ...args] = command;
    this.#child = spawn(program, args, {
      cwd: '/',
      stdio: ['pipe', 'pipe', 'inherit', passed],
    }) as unknown as ChildProcessWithoutNullStreams;
    closeSync(passed);
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#take(JSON.parse(line) as Reply));
    this.#child.on('exit', () => {
      this.#gone = true;
      closeSync(this.#file);
      for (const tell of this.#waiting.splice(0)) tell({ error: { desc: 'QEMU is gone' } });
    });
    // Whether it is still there, its exit tells.
    this.#child.stdin.on('error', () => undefined);
    void this.#ask('qmp_capabilities');
    this.#holdThread(false);
  }

  /** What QEMU finds when it opens the image as this format, and nothing that the image names. */
  async open(image: SparseImage, driver: string): Promise<Answer> {
    ftruncateSync(this.#file, 0);
    for (const { at, bytes } of image.pieces) writeSync(this.#file, bytes, 0, bytes.length, at);
    ftruncateSync(this.#file, image.size);
    const node = {
      driver,
      'node-name': 'image',
      'read-only': true,
      file: { driver: 'file', filename: `/dev/fd/${imageFd}`, locking: 'off', 'read-only': true },
      ...(layered.has(driver) && { backing: null }),
    };
    this.#holdThread(true);
    const [added, nodes] = await Promise.all([
      this.#ask('blockdev-add', node),
      this.#ask('query-named-block-nodes'),
      this.#ask('blockdev-del', { 'node-name': 'image' }),
    ]);
    this.#holdThread(false);
    if (this.#gone) return { refusal: 'QEMU crashes' };
    if (added.error) return { refusal: added.error.desc };
    const found = (nodes.return as Node[] | undefined)?.find((one) => one['node-name'] === 'image');
    if (!found) return { refusal: 'QEMU crashes' };
    return {
      opinion: {
        format: driver,
        size: found.image['virtual-size'],
        backing: found.image['backing-filename'],
        backingFormat: found.image['backing-filename-format'],
      },
    };
  }

  /** The thread waits for answers, and is not kept by a daemon that nobody asks. */
  #holdThread(held: boolean): void {
    const { stdin, stdout } = this.#child;
    for (const part of [this.#child, stdin, stdout] as unknown as { ref(): void; unref(): void }[]) {
      if (held) part.ref();
      else part.unref();
    }
  }

  #ask(execute: string, options: object = {}): Promise<Reply> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#child.stdin.write(`${JSON.stringify({ execute, arguments: options })}\n`);
    });
  }

  #take(reply: Reply): void {
    this.#hasSpoken = true;
    if (reply.QMP === undefined && reply.event === undefined) this.#waiting.shift()?.(reply);
  }
}
