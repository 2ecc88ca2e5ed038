/**
 * A real nats-server with JetStream on a free port of the loopback, for one test.
 *
 * It can be ended in every way a server ends and started again on the same port and store, which is how tests learn what
 * survives an outage.
 */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { eventually } from './eventually';
import { freePort } from './free-port';
import { findProgram } from './programs';
import { describeExit, startProcess, type TestProcess } from './start-process';
import { temporaryFolder } from './temporary-folder';

export interface NatsServerOptions {
  /** Let others than this machine reach it. */
  everywhere?: boolean;
  /** Default: a free one. */
  port?: number;
  /** Where JetStream keeps its data; default: a temporary folder that goes with the server. */
  storeDir?: string;
  /** The text of an `authorization { … }` or `accounts { … }` block; default: everyone may do everything. */
  authorization?: string;
  /** Further lines of the configuration file, for instance `max_payload: 64KB`. */
  config?: string;
  /** How it is called in a cluster; default: `test`. */
  name?: string;
}

export class NatsServer implements AsyncDisposable {
  #process: TestProcess | undefined;

  private constructor(
    readonly port: number,
    readonly storeDir: string,
    private readonly configFile: string,
    private readonly clean: () => void,
  ) {}

  static async start(options: NatsServerOptions = {}): Promise<NatsServer> {
    const attempts = options.port === undefined ? 5 : 1; // a free port may be taken before the server has it
    for (let attempt = 1; ; attempt += 1) {
      const server = NatsServer.prepare(options.port ?? (await freePort()), options);
      try {
        await server.restart();
        return server;
      } catch (error) {
        const taken = server.log.includes('address already in use');
        await server[Symbol.asyncDispose]();
        if (!taken || attempt === attempts) throw error;
      }
    }
  }

  private static prepare(port: number, options: NatsServerOptions): NatsServer {
    const folder = temporaryFolder();
    const storeDir = options.storeDir ?? folder.file('jetstream');
    const configFile = folder.file('nats-server.conf');
    writeFileSync(configFile, configuration(port, storeDir, options), { mode: 0o600 });
    return new NatsServer(port, storeDir, configFile, () => folder[Symbol.dispose]());
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** The process, for its pid, its log, or a signal; undefined while the server is down. */
  get process(): TestProcess | undefined {
    return this.#process?.running ? this.#process : undefined;
  }

  /** Everything the latest process printed. */
  get log(): string {
    return this.#process?.log.text ?? '';
  }

  /** Ends it orderly. */
  async stop(): Promise<void> {
    await this.process?.stop('SIGTERM');
  }

  /** Ends it as a crash would: nothing is flushed. */
  async kill9(): Promise<void> {
    await this.process?.stop('SIGKILL');
  }

  /** Starts it on the same port and store, ending it first where it runs; settles when it accepts connections. */
  async restart(): Promise<void> {
    await this.stop();
    const program = findProgram('nats-server');
    if (!program) throw new Error('nats-server is not installed; run: tools/bootstrap.sh --for test');
    const started = await startProcess([program, '-c', this.configFile], { cwd: dirname(this.configFile) });
    this.#process = started;
    await started.waitFor('Server is ready'); // a foreign server on the port would greet as well
    await eventually(() => greets(this.port), true);
    void started.exited.then((exit) => {
      // Whatever fails then fails for this.
      if (started.signalled) return;
      process.stderr.write(`nats-server on port ${this.port} ended ${describeExit(exit)}; ${started.log.tail()}\n`);
    });
  }

  /** Takes all of JetStream's data away; a server that runs is ended before and started again after. */
  async wipe(): Promise<void> {
    const ran = this.process !== undefined;
    await this.kill9();
    rmSync(this.dataDir, { recursive: true, force: true });
    if (ran) await this.restart();
  }

  /** Copies all of JetStream's data to a folder, with the server ended meanwhile: a backup of it. */
  async backUp(folder: string): Promise<void> {
    await this.stop();
    cpSync(this.dataDir, folder, { recursive: true });
    await this.restart();
  }

  /** Puts a backup in the place of all of JetStream's data. */
  async restoreFrom(folder: string): Promise<void> {
    await this.stop();
    rmSync(this.dataDir, { recursive: true, force: true });
    cpSync(folder, this.dataDir, { recursive: true });
    await this.restart();
  }

  private get dataDir(): string {
    return join(this.storeDir, 'jetstream');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.clean();
  }
}

/** A nats-server that accepts connections; `await using` ends it. */
export async function startNatsServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  return NatsServer.start(options);
}

/**
 * So many servers that are one JetStream cluster, each on a free port.
 * @param authorization what a server trusts, by its name
 */
export async function startNatsCluster(
  size: number,
  authorization: (server: string) => Promise<string>,
): Promise<NatsServer[]> {
  const ports: number[] = [];
  for (let n = 0; n < 2 * size; n++) ports.push(await freePort());
  const [clients, routes] = [ports.slice(0, size), ports.slice(size)];
  const seeds = routes.map((port) => `nats://127.0.0.1:${port}`).join(', ');
  return Promise.all(
    clients.map(async (port, n) => {
      const name = `test${n + 1}`;
      return startNatsServer({
        port,
        name,
        authorization: await authorization(name),
        config: `cluster { name: test, listen: "127.0.0.1:${routes[n]}", routes: [${seeds}] }`,
      });
    }),
  );
}

function configuration(
  port: number,
  storeDir: string,
  { authorization = '', config = '', everywhere = false, name = 'test' }: NatsServerOptions,
): string {
  mkdirSync(storeDir, { recursive: true });
  const jetstream = `jetstream { store_dir: ${JSON.stringify(storeDir)}, max_mem: 256MB, max_file: 2GB }`;
  return [
    `server_name: ${name}`,
    `listen: "${everywhere ? '0.0.0.0' : '127.0.0.1'}:${port}"`,
    jetstream,
    authorization,
    config,
    '',
  ].join('\n');
}

/** A nats-server speaks first: INFO. Anything else on the port, or nothing, is not it. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 1_000 });
    const answer = (yes: boolean): void => {
      socket.destroy();
      resolve(yes);
    };
    socket.once('data', (bytes) => answer(bytes.toString('latin1').startsWith('INFO ')));
    socket
      .once('error', () => answer(false))
      .once('timeout', () => answer(false))
      .once('end', () => answer(false));
  });
}
