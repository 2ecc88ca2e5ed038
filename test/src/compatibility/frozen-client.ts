/**
 * A client of the last release: it sends the bytes that were recorded from it, and reads answers as it did then, by its own
 * schemas. It knows NATS and msgpack, and nothing of today's contracts: what is changed there is not changed here.
 */
import { readFileSync } from 'node:fs';
import { connect, DeliverPolicy, headers, jwtAuthenticator, type MsgHdrs, type NatsConnection } from 'nats';
import { Packr } from 'msgpackr';
import { z } from 'zod';
import type { ContractRecord } from './contract-record';

/** One message as it was sent. */
export interface Sent {
  /** Name of the operation, whose schemas it goes by. */
  contract: string;
  subject: string;
  headers: Record<string, string>;
  /** Base64. */
  body: string;
}

export interface FrozenAnswer {
  /** The code of the error that it is; undefined for one that is none. */
  error: string | undefined;
  body: Record<string, unknown>;
}

const packr = new Packr({ useRecords: true, int64AsType: 'number' });
const patienceMs = 30_000;

export class FrozenClient implements AsyncDisposable {
  private constructor(
    private readonly nc: NatsConnection,
    private readonly released: ContractRecord,
    private readonly sent: Readonly<Record<string, Sent>>,
  ) {}

  /** @param contextPath file with url, user and inbox prefix */
  static async connect(
    contextPath: string,
    { contracts, client }: { contracts: ContractRecord; client: Readonly<Record<string, Sent>> },
  ): Promise<FrozenClient> {
    const nc = await connectAs(contextPath);
    return new FrozenClient(nc, contracts, client);
  }

  /**
   * Send what was recorded for a step, and read the answer. Throws for one that its schemas do not know.
   * @param replace words of a JSON body that are this machine's
   */
  async ask(step: string, replace: Readonly<Record<string, string>> = {}): Promise<FrozenAnswer> {
    const { subject, headers: told, contract } = this.step(step);
    const answer = await this.nc.request(subject, this.body(step, replace), {
      headers: asHeaders(told),
      timeout: patienceMs,
    });
    const error = answer.headers?.get('Nats-Service-Error-Code') ?? '';
    const body = unpack(answer.data) as Record<string, unknown>;
    if (error !== '') return { error: body['code'] as string, body };
    return { error: undefined, body: this.understood(this.released.contracts[contract]!.response, body) };
  }

  /** Queue a command; resolves once it is kept. */
  async queue(step: string): Promise<void> {
    const { subject, headers: told } = this.step(step);
    await this.nc
      .jetstream()
      .publish(subject, this.body(step), { headers: asHeaders(told), msgID: told['Nats-Msg-Id']! });
  }

  /** All stored messages of a filter, oldest first, read as the kind of message they are. */
  async stored(filter: string, message: string): Promise<Record<string, unknown>[]> {
    const consumer = await this.nc.jetstream().consumers.get('VIRTBUS_EVENTS', {
      filterSubjects: filter,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: 1,
    });
    const pending = (await consumer.info()).num_pending;
    if (pending === 0) return [];
    const found: Record<string, unknown>[] = [];
    const stored = await consumer.fetch({ max_messages: pending, expires: patienceMs });
    for await (const { data } of stored) {
      found.push(this.understood(this.released.messages[message]!, JSON.parse(new TextDecoder().decode(data))));
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.nc.close();
  }

  private step(name: string): Sent {
    const found = this.sent[name];
    if (!found) throw new Error(`nothing was recorded for '${name}'`);
    return found;
  }

  private body(step: string, replace: Readonly<Record<string, string>> = {}): Uint8Array {
    let bytes = Buffer.from(this.step(step).body, 'base64');
    for (const [word, now] of Object.entries(replace))
      bytes = Buffer.from(bytes.toString('utf8').replaceAll(word, now));
    return bytes;
  }

  private understood(schema: object, body: unknown): Record<string, unknown> {
    return z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).parse(body) as Record<string, unknown>;
  }
}

/** A connection as the user of a context file, as the last release reads it. */
export function connectAs(contextPath: string): Promise<NatsConnection> {
  const context = JSON.parse(readFileSync(contextPath, 'utf8')) as Record<
    'url' | 'nkey' | 'jwt' | 'inboxPrefix',
    string
  >;
  return connect({
    servers: context.url,
    authenticator: jwtAuthenticator(context.jwt, new TextEncoder().encode(context.nkey)),
    inboxPrefix: context.inboxPrefix,
  });
}

function asHeaders(told: Readonly<Record<string, string>>): MsgHdrs {
  const h = headers();
  for (const [name, value] of Object.entries(told)) h.set(name, value);
  return h;
}

/** JSON begins with a brace; nothing that msgpack writes for an answer does. */
function unpack(data: Uint8Array): unknown {
  return data[0] === 0x7b ? JSON.parse(new TextDecoder().decode(data)) : packr.unpack(data);
}
