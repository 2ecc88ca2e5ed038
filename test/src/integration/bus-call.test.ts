import { getDomain, isVirtError, listDomains, startDomain, statsOfDomains, type VirtError } from '@virtbus/shared';
import {
  call,
  decode,
  endpoint,
  enqueue,
  serve,
  writeContext,
  type Bus,
  type Call,
  type Endpoint,
} from '@virtbus/shared/bus';
import { createLog, silent, type Log } from '@virtbus/shared/log';
import { eventually } from '@virtbus/testkit';
import { BreakableLink } from './breakable-link';
import { BusStand, domain } from './bus-stand';

const service = { name: 'virtbus-domain', version: '0.1.0', description: 'domains', queue: 'domain' };

let stand: BusStand;
let server: Bus;
let client: Bus;
beforeEach(async () => {
  stand = await BusStand.start();
  server = await stand.as('service');
  client = await stand.as('operator');
});
afterEach(() => stand[Symbol.asyncDispose]());

const serving = (endpoints: Endpoint[], log: Log = silent) => serve(server, service, endpoints, log);
const failure = async (promise: Promise<unknown>): Promise<VirtError> => {
  const error: unknown = await promise.then(
    () => new Error('it was answered'),
    (thrown: unknown) => thrown,
  );
  if (!isVirtError(error)) throw error;
  return error;
};
const start = (options: Parameters<typeof call>[3] = {}) =>
  call(client, startDomain, {}, { target: 'web1', ...options });

describe('a call', () => {
  test('reaches the handler parsed and complete, with its context, and brings the answer back', async () => {
    const seen: { request: unknown; call: Call }[] = [];
    await serving([
      endpoint(startDomain, async (request, made) => {
        seen.push({ request, call: made });
        return { domain: domain() };
      }),
    ]);
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const options = { target: 'a.b/ü', id: 'cmd-1', timeoutMs: 12_345, traceparent };
    expect(await call(client, startDomain, { paused: true }, options)).toEqual({ domain: domain() });
    expect(seen).toHaveLength(1);
    expect(seen[0]!.request).toEqual({ paused: true, forceBoot: false });
    expect(seen[0]!.call).toMatchObject({ id: 'cmd-1', target: 'a.b/ü', traceparent });
    // What is left of it when it is sent.
    expect(seen[0]!.call.timeoutMs).toBeGreaterThan(2_345);
    expect(seen[0]!.call.timeoutMs).toBeLessThanOrEqual(12_345);
  });

  test('under an id that no header can carry is refused in one line, and so is a queued one', async () => {
    const refused = { code: 'INVALID_ARG', message: 'invalid argument: the command id "a\\nb" has a line break' };
    expect(await failure(start({ id: 'a\nb' }))).toMatchObject(refused);
    expect(await failure(enqueue(client, startDomain, {}, { target: 'web1', id: 'a\nb' }))).toMatchObject(refused);
  });

  test('about a name that is longer than what a server reads is refused: it hung up, and the caller waited for his time', async () => {
    const target = 'x'.repeat(5_000);
    const refused = { code: 'INVALID_ARG', message: expect.stringContaining('longer than any name') as string };
    expect(await failure(start({ target }))).toMatchObject(refused);
    expect(await failure(enqueue(client, startDomain, {}, { target }))).toMatchObject(refused);
  });

  test('may wait longer than a timer can', async () => {
    await serving([endpoint(startDomain, async () => ({ domain: domain() }))]);
    expect(await start({ timeoutMs: 2 ** 40 })).toEqual({ domain: domain() });
  });

  test('that is under way when the server goes is asked again under its id when it is back', async () => {
    const ids: string[] = [];
    await serving([
      endpoint(startDomain, async (_request, { id }) => {
        ids.push(id);
        if (ids.length === 1) {
          await stand.server.kill9();
          await stand.server.restart();
        }
        return { domain: domain() };
      }),
    ]);
    expect(await start({ id: 'cmd-1', timeoutMs: 25_000 })).toEqual({ domain: domain() });
    expect(ids).toEqual(['cmd-1', 'cmd-1']);
  });

  test('that was heard before the server went, by one who does not come back with it, may have been done', async () => {
    await serving([
      endpoint(startDomain, async () => {
        await server.close();
        await stand.server.kill9();
        await stand.server.restart();
        return { domain: domain() };
      }),
    ]);
    expect(await failure(start({ timeoutMs: 25_000 }))).toMatchObject({ code: 'OPERATION_TIMEOUT' });
    server = await stand.as('service');
  });

  test('that is a command has an id, made up when none is given; a query needs none', async () => {
    const ids: string[] = [];
    await serving([
      endpoint(startDomain, async (_request, { id }) => {
        ids.push(id);
        return { domain: domain() };
      }),
    ]);
    await start();
    await start();
    expect(new Set(ids).size).toBe(2);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
  });

  test('made as soon as the server is back reaches a service that comes back after its caller', async () => {
    const back = new Promise<void>((resolve) => client.onReconnect(resolve));
    await server.close();
    await stand.server.kill9();
    await stand.server.restart();
    await back;
    const started = start();
    server = await stand.as('service');
    await serving([endpoint(startDomain, async () => ({ domain: domain() }))]);
    expect(await started).toEqual({ domain: domain() });
  });

  test('that fails by design fails the same at the caller', async () => {
    await serving([
      endpoint(startDomain, async (_request, _call, fail) => {
        throw fail('OPERATION_INVALID', { detail: 'domain is already running' });
      }),
    ]);
    const error = await failure(start());
    expect(error.code).toBe('OPERATION_INVALID');
    expect(error.number).toBe(55);
    expect(error.message).toBe('Requested operation is not valid: domain is already running');
    expect(error.details).toEqual({ detail: 'domain is already running' });
  });

  test('that meets a defect is answered at once as an internal error; the stack goes to the log alone', async () => {
    const lines: string[] = [];
    const log = createLog({ service: 'test', to: { write: (line) => void lines.push(line) } });
    await serving(
      [
        endpoint(startDomain, async () => {
          throw new TypeError('x is not a function');
        }),
      ],
      log,
    );
    const headers = writeContext({ timeoutMs: 30_000 });
    const subject = 'virtbus.v1.cmd.domain.web1.start';
    const answer = await client.nc.request(subject, '{}', { timeout: 30_000, headers });
    expect(answer.headers?.get('Nats-Service-Error')).toBe('internal error: x is not a function');
    expect(answer.headers?.get('Nats-Service-Error-Code')).toBe('1');
    expect(answer.string()).not.toContain('bus-call.test');
    expect(lines.join('')).toContain('bus-call.test');
  });

  test('with a wrong request says which field and why, before it leaves and when another client sent it', async () => {
    await serving([endpoint(listDomains, async () => ({ domains: [], total: 0, asOf: 0, offline: [] }))]);
    const error = await failure(call(client, listDomains, { limit: 0, states: ['asleep' as never] }));
    expect(error.code).toBe('INVALID_ARG');
    expect(error.message).toMatch(/^invalid argument: domain\.list: states\.0: .*; limit: /);
    const answer = await client.nc.request('virtbus.v1.query.domain.list', '{"limit": "many"}', { timeout: 30_000 });
    expect(answer.json()).toMatchObject({ code: 'INVALID_ARG' });
  });

  test('in JSON is answered in JSON, with the command id in a header: the stock nats client is a full one', async () => {
    await serving([endpoint(startDomain, async () => ({ domain: domain() }))]);
    const answer = await client.nc.request('virtbus.v1.cmd.domain.web1.start', '', { timeout: 30_000 });
    expect(answer.json()).toEqual({ domain: domain() });
    expect(answer.headers?.get('Nats-Msg-Id')).toMatch(/^[0-9a-f]{32}$/);
    const xml = await client.nc.request('virtbus.v1.cmd.domain.web1.start', '<domain/>', { timeout: 30_000 });
    expect((decode(xml.data) as { message: string }).message).toContain('XML goes inside a JSON object');
  });

  test('whose handler hangs is answered by its deadline, and the handler is told to stop', async () => {
    let reason: unknown;
    await serving([
      endpoint(startDomain, (_request, { signal }): Promise<never> => {
        signal.addEventListener('abort', () => (reason = signal.reason as unknown));
        return new Promise<never>(() => undefined);
      }),
    ]);
    const error = await failure(start({ timeoutMs: 3_000 }));
    expect(error.code).toBe('OPERATION_TIMEOUT');
    expect(error.message).toMatch(/^Timed out during operation: domain-start was not done within (3000|2\d{3}) ms$/);
    expect(isVirtError(reason, 'OPERATION_TIMEOUT')).toBe(true);
  });

  test('that nobody serves fails without waiting for its deadline', async () => {
    expect((await failure(start())).code).toBe('SERVICE_OFFLINE');
  });

  test('whose service stops without an answer ends in a time-out of the caller', async () => {
    server.nc.subscribe('virtbus.v1.cmd.domain.*.start', { callback: () => undefined });
    await server.nc.flush();
    const error = await failure(start({ timeoutMs: 100 }));
    expect(error.message).toBe('Timed out during operation: no answer within 100 ms');
  });

  test('answered with an error longer than a message may be is answered all the same', async () => {
    await serving([
      endpoint(startDomain, async (_request, _call, fail) => {
        throw fail('OPERATION_FAILED', { detail: 'x'.repeat(2 * 1024 * 1024) });
      }),
    ]);
    const error = await failure(start({ timeoutMs: 30_000 }));
    expect(error.code).toBe('OPERATION_FAILED');
    expect(error.message).toMatch(/^operation failed: x{500,}…$/);
  });

  test.each(['done', 'refused'])('that is %s while its service alone has no connection is answered', async (how) => {
    await using link = await BreakableLink.to(`tcp:127.0.0.1:${stand.server.port}`);
    server = await stand.as('service', link.uri.replace('tcp:', 'nats://'));
    let times = 0;
    await serving([
      endpoint(startDomain, async (_request, _call, fail) => {
        await link.down();
        await eventually(() => server.connected(), false);
        times++;
        if (how === 'refused') throw fail('OPERATION_INVALID', { detail: 'domain is already running' });
        return { domain: domain() };
      }),
    ]);
    const started = start({ timeoutMs: 20_000 });
    started.catch(() => undefined);
    await eventually(() => times, 1);
    await link.up();
    if (how === 'refused') expect((await failure(started)).code).toBe('OPERATION_INVALID');
    else expect(await started).toEqual({ domain: domain() });
    expect(times).toBe(1);
  });

  test('that is in flight when the connection of its service ends harms nothing', async () => {
    let answerNow!: () => void;
    let arrived = false;
    await serving([
      endpoint(startDomain, async () => {
        arrived = true;
        await new Promise<void>((resolve) => (answerNow = resolve));
        return { domain: domain() };
      }),
    ]);
    const lost = failure(start({ timeoutMs: 1_000 }));
    await eventually(() => arrived, true);
    await server.nc.close();
    answerNow();
    expect((await lost).code).toBe('OPERATION_TIMEOUT');
  });
});

describe('copies of a service', () => {
  test('share the calls: each call reaches one of three', async () => {
    const reached = [0, 0, 0];
    for (const copy of [0, 1, 2]) {
      const bus = await stand.as('service');
      await serve(bus, service, [count(() => reached[copy]!++)], silent);
      await bus.nc.flush();
    }
    await Promise.all(Array.from({ length: 90 }, () => call(client, statsOfDomains, {})));
    expect(reached[0]! + reached[1]! + reached[2]!).toBe(90);
    expect(Math.min(...reached)).toBeGreaterThan(5);
  });

  const count = (reached: () => void): Endpoint =>
    endpoint(statsOfDomains, async () => {
      reached();
      return { stats: [], missing: [] };
    });
});

describe('service discovery', () => {
  test('lists the service, its endpoints with subjects and words, and what they have done', async () => {
    await serving([
      endpoint(getDomain, async () => ({ domain: domain(), asOf: 0, online: true })),
      endpoint(startDomain, async (_request, _call, fail) => {
        throw fail('OPERATION_FAILED', { detail: 'no' });
      }),
    ]);
    const reader = await stand.as('reader');
    await call(reader, getDomain, {}, { target: 'web1' });
    await failure(start());
    const discovery = reader.nc.services.client({ strategy: 'count' as never, maxWait: 2_000, maxMessages: 1 });
    const all = async <T>(found: Promise<AsyncIterable<T>>): Promise<T[]> => {
      const list: T[] = [];
      for await (const one of await found) list.push(one);
      return list;
    };
    expect(await all(discovery.ping())).toMatchObject([{ name: 'virtbus-domain', version: '0.1.0' }]);
    const [info] = await all(discovery.info('virtbus-domain'));
    expect(info!.endpoints).toMatchObject([
      { name: 'domain-get', subject: 'virtbus.v1.query.domain.*.get', metadata: { doc: getDomain.doc } },
      { name: 'domain-start', subject: 'virtbus.v1.cmd.domain.*.start' },
    ]);
    const [stats] = await all(discovery.stats('virtbus-domain'));
    expect(stats!.endpoints).toMatchObject([{ num_requests: 1 }, { num_requests: 1 }]);
  });
});
