/**
 * A driver of the last release, as the bus sees it: its heartbeat, and to each operation the answer that was recorded from
 * it, less every field that its schemas let it leave out.
 */
import type { NatsConnection } from 'nats';
import type { Schema } from './breaks';
import { connectAs } from './frozen-client';

export interface DriverTape {
  /** It poses as this host. */
  host: string;
  driver: string;
  /** Of the one domain that lives there. */
  uuid: string;
  name: string;
  /** Told every two seconds. */
  heartbeat: Record<string, unknown>;
  /** By operation. */
  answers: Record<string, Record<string, unknown>>;
}

export class FrozenDriver implements AsyncDisposable {
  /** Operations that it was asked for. */
  readonly asked: string[] = [];
  private readonly beat: NodeJS.Timeout;

  private constructor(
    private readonly nc: NatsConnection,
    private readonly tape: DriverTape,
  ) {
    const { host, driver } = tape;
    nc.subscribe(`virtbus.v1.host.${host}.${driver}.>`, {
      callback: (_error, message) => {
        const operation = message.subject.split('.').at(-1)!;
        this.asked.push(operation);
        const answer = tape.answers[operation];
        if (answer) message.respond(JSON.stringify(answer));
      },
    });
    this.tell();
    this.beat = setInterval(() => this.tell(), 2_000);
  }

  static async connect(contextPath: string, tape: DriverTape): Promise<FrozenDriver> {
    const nc = await connectAs(contextPath);
    return new FrozenDriver(nc, tape);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.beat);
    await this.nc.close();
  }

  private tell(): void {
    const status = { ...this.tape.heartbeat, time: new Date().toISOString() };
    this.nc.publish(`virtbus.v1.stat.host.${this.tape.host}`, JSON.stringify(status));
  }
}

/** A value without the fields that need not be there. */
export function atLeast(schema: Schema, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => (schema.items ? atLeast(schema.items, item) : item));
  if (typeof value !== 'object' || value === null || !schema.properties) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => schema.required?.includes(name))
      .map(([name, field]) => [name, atLeast(schema.properties![name] ?? {}, field)]),
  );
}
