/**
 * A small fleet for tests of the domain service: a real nats-server, real copies of the service as processes, and hosts
 * that only keep a table of domains. A simulated host journals and publishes its events like a real one.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { connectBus, type Bus } from '@virtbus/shared/bus';
import { SimulatedHost } from './domain-service-host';

const root = resolve(__dirname, '../../..');

export class Stack {
  readonly folder = mkdtempSync(join(tmpdir(), 'virtbus-domain-'));
  readonly copies: Copy[] = [];
  readonly hosts: SimulatedHost[] = [];
  bus!: Bus;
  private port = 0;
  private server: ChildProcess | undefined;

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  static async start({ copies = 1, hosts = ['h1'] }: { copies?: number; hosts?: string[] } = {}): Promise<Stack> {
    const stack = new Stack();
    try {
      stack.port = await freePort();
      await stack.startServer();
      stack.bus = await connectBus({ name: 'test', url: stack.url, waitOnFirstConnect: true });
      for (const name of hosts) await stack.addHost(name);
      await Promise.all(Array.from({ length: copies }, () => stack.addCopy()));
      return stack;
    } catch (error) {
      await stack.stop();
      throw error;
    }
  }

  async addHost(name: string, options: ConstructorParameters<typeof SimulatedHost>[2] = {}): Promise<SimulatedHost> {
    const bus = await connectBus({ name, owner: name, url: this.url, waitOnFirstConnect: true });
    const host = new SimulatedHost(bus, name, options, join(this.folder, name));
    this.hosts.push(host);
    await host.start();
    return host;
  }

  async addCopy(): Promise<Copy> {
    const copy = new Copy(this.url);
    this.copies.push(copy);
    await copy.ready();
    return copy;
  }

  async startServer(store = 'js'): Promise<void> {
    const config = join(this.folder, 'nats.conf');
    writeFileSync(
      config,
      `listen: "127.0.0.1:${this.port}"\njetstream { store_dir: ${JSON.stringify(join(this.folder, store))} }\n`,
    );
    this.server = spawn('nats-server', ['-c', config], { stdio: 'ignore' });
    const probe = await connectBus({ name: 'probe', url: this.url, waitOnFirstConnect: true });
    await probe.close();
  }

  async stopServer(): Promise<void> {
    await ended(this.server, 'SIGKILL');
  }

  async stop(): Promise<void> {
    await Promise.all(this.copies.map((copy) => copy.end('SIGKILL')));
    await Promise.all(this.hosts.map((host) => host.stop()));
    await this.bus?.close();
    await this.stopServer();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One copy of the domain service. */
export class Copy {
  private readonly child: ChildProcess;
  readonly lines: Record<string, unknown>[] = [];
  private rest = '';

  constructor(url: string) {
    this.child = spawn(process.execPath, [join(root, 'services/domain')], {
      env: { ...process.env, VIRTBUS_NATS_URL: url, VIRTBUS_LOG_LEVEL: 'debug' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (this.rest + text).split('\n');
      this.rest = lines.pop()!;
      for (const line of lines) this.lines.push(parsed(line));
    });
  }

  logged(message: string): Record<string, unknown>[] {
    return this.lines.filter(({ msg }) => msg === message);
  }

  async ready(): Promise<void> {
    await eventually(
      () => this.logged('domain service ready').length > 0,
      () => `ready; it said ${JSON.stringify(this.lines)}`,
    );
  }

  /** Resolves with its exit code. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    await ended(this.child, signal);
    return this.child.exitCode;
  }
}

function parsed(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return { msg: line };
  }
}

/** Wait for a state of the world; the error tells what was waited for. */
export async function eventually<T>(
  look: () => T | Promise<T>,
  wanted: string | (() => string) = 'it to become true',
  timeoutMs = 20_000,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  let trouble: unknown;
  for (;;) {
    try {
      const found = await look();
      if (found) return found;
      trouble = undefined;
    } catch (error) {
      trouble = error;
    }
    if (performance.now() > deadline) {
      const what = typeof wanted === 'string' ? wanted : wanted();
      throw new Error(`waited ${timeoutMs} ms for ${what}`, { cause: trouble });
    }
    await new Promise((done) => setTimeout(done, 20));
  }
}

async function ended(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((done) => child.once('exit', done));
  child.kill(signal);
  await exit;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

/** Why these tests cannot run here, if so. */
export function lacking(): string | undefined {
  return spawnSync('nats-server', ['-v']).status === 0 ? undefined : 'nats-server';
}
