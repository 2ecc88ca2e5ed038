/**
 * How every service starts and ends: settings, log, waiting for NATS, signals, and one line that says why it cannot run.
 *
 * SIGTERM and SIGINT drain: no more is taken, what is running is finished, and we leave; a second signal ends us at once.
 * A connection that is closed for good (revoked credentials) ends us as well: whoever runs us may start us again.
 */
import { readFileSync } from 'node:fs';
import { isVirtError } from '../errors';
import { connectBus, type Bus } from '../bus';
import { busOptions, loadConfig, type serviceSettings, type Values } from '../config';
import { createLog, type Log } from '../log';
import { meter, metrics } from '../metrics';
import { flushTraces, traceIfConfigured } from '../tracing';
import { serveHttp } from './http';
import { Readiness } from './readiness';

/** What a service has, at least, to be told; one that serves one host is told which. */
export type ServiceSettings = typeof serviceSettings;

export interface ServiceProgram<S extends ServiceSettings> {
  /** `domain`, `driver-qemu`: in log lines and in the server's list of connections. */
  name: string;
  settings: S;
  /** The service's package.json, which has its version. */
  packageFile: string;
  start(context: ServiceContext<S>): Promise<RunningService>;
}

export interface ServiceContext<S extends ServiceSettings> {
  values: Values<S>;
  version: string;
  log: Log;
  /** The bus, as soon as it is there; called once. What a host does without a bus comes before. */
  connect: () => Promise<Bus>;
  /** What this service needs to be ready, beside its start and its connection. */
  readiness: Readiness;
}

export interface RunningService {
  /** Take no more and finish what was begun; the bus is still there. Cut off after the time to drain. */
  stop(): Promise<void>;
}

/** Between attempts to reach NATS, milliseconds. */
const retryMs = 1_000;

/** Run the service until a signal or a fatal error ends this process. */
export function runService<S extends ServiceSettings>(program: ServiceProgram<S>): void {
  const { name } = program;
  try {
    void new ServiceProcess(program).run();
  } catch (error) {
    // Something is wrong with the settings themselves.
    fatal(createLog({ service: name }), name, error);
  }
}

class ServiceProcess<S extends ServiceSettings> {
  private readonly values: Values<S>;
  private readonly log: Log;
  private readonly host: string | undefined;
  private bus: Bus | undefined;
  private running: RunningService | undefined;
  private stopping = false;
  private readonly readiness = new Readiness();

  constructor(private readonly program: ServiceProgram<S>) {
    this.values = loadConfig(program.settings);
    this.host = (this.values as { host?: string }).host;
    this.log = createLog({ service: program.name, host: this.host, level: this.values.logLevel });
  }

  async run(): Promise<void> {
    const { program, values, log } = this;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.asked(signal));
    try {
      const { version } = JSON.parse(readFileSync(program.packageFile, 'utf8')) as { version: string };
      traceIfConfigured({ service: program.name, version, host: this.host });
      await this.observe(version);
      const { readiness } = this;
      this.running = await program.start({ values, version, log, connect: () => this.connect(), readiness });
    } catch (error) {
      // One that was told to leave before it was ready fails for that alone.
      if (!this.stopping) fatal(log, program.name, error);
    }
  }

  /** Health, readiness and metrics, where they are asked for; nothing is counted elsewhere. */
  private async observe(version: string): Promise<void> {
    const { values, host, readiness } = this;
    if (values.httpListen === undefined) return;
    readiness.needs('start', () => (this.running ? undefined : 'not finished'));
    readiness.needs('stop', () => (this.stopping ? 'was asked for' : undefined));
    readiness.needs('nats', () => (this.bus?.connected() ? undefined : 'no server is connected'));
    meter.gauge(metrics.info, () => [{ labels: { version }, value: 1 }]);
    meter.gauge(metrics.connected, () => (this.bus?.connected() ? 1 : 0));
    const service = this.program.name;
    const url = await serveHttp(values.httpListen, { service, host, readiness });
    this.log.info({ url }, 'health, readiness and metrics');
  }

  /** A server that is away is waited for; refused credentials are not. */
  private async connect(): Promise<Bus> {
    const { name } = this.program;
    const options = busOptions(
      this.values,
      this.host === undefined ? name : `${name}@${this.host}`,
      this.host ?? 'service',
    );
    for (;;) {
      try {
        this.bus = await connectBus(options, this.log);
        break;
      } catch (error) {
        if (!isVirtError(error, 'RPC')) throw error;
        this.log.warn({ reason: error.message }, 'NATS cannot be reached; trying again');
        await new Promise((resolve) => setTimeout(resolve, retryMs));
      }
    }
    void this.bus.nc.closed().then((error) => {
      if (!this.stopping) fatal(this.log, name, error ?? new Error('the connection to NATS was closed'));
    });
    return this.bus;
  }

  private asked(signal: NodeJS.Signals): void {
    const { name } = this.program;
    if (this.stopping) {
      this.log.warn({ signal }, `${name} service ends without finishing what is running`);
      process.exit(1);
    }
    this.stopping = true;
    this.log.info({ signal }, `${name} service stops`);
    void this.leave().then(
      () => process.exit(0),
      (error: unknown) => fatal(this.log, name, error),
    );
  }

  /** One that never got ready has nothing to finish. */
  private async leave(): Promise<void> {
    const late = new Promise<'late'>((resolve) => setTimeout(() => resolve('late'), this.values.drainMs).unref());
    const ended = await Promise.race([this.running?.stop(), late]);
    if (ended === 'late') this.log.warn('not everything was finished in time');
    await flushTraces();
    await this.bus?.close();
  }
}

/** What the error table knows is told in its words; anything else is a defect, logged whole. */
function fatal(log: Log, name: string, error: unknown): never {
  log.fatal(isVirtError(error) ? { code: error.code, reason: error.message } : { err: error }, `${name} cannot run`);
  process.exit(1);
}
