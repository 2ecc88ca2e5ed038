import { chmodSync, writeFileSync } from 'node:fs';
import {
  driverDefine,
  eventSubject,
  isVirtError,
  listDomains,
  qmpCommand,
  startDomain,
  statSubject,
  type VirtError,
} from '@virtbus/shared';
import { Authority } from '@virtbus/shared/auth';
import {
  call,
  callDriver,
  connectBus,
  consumeQueue,
  driverEndpoint,
  encode,
  endpoint,
  enqueue,
  lastSequence,
  serve,
  type Bus,
} from '@virtbus/shared/bus';
import { silent } from '@virtbus/shared/log';
import { eventually } from '@virtbus/testkit';
import { BusStand, domain, event, uuidOf, type Name } from './bus-stand';

const micro = { name: 'virtbus', version: '0.1.0', description: 'all', queue: 'q' };

let stand: BusStand;
/** What has been commanded. */
let done: string[];
beforeEach(async () => {
  stand = await BusStand.start();
  done = [];
  await serve(
    await stand.as('service'),
    micro,
    [
      endpoint(listDomains, async () => ({ domains: [], total: 0, asOf: 0, offline: [] })),
      endpoint(startDomain, async (_request, { target }) => (done.push(`start ${target}`), { domain: domain() })),
      endpoint(qmpCommand, async () => (done.push('qmp'), { result: 1 })),
    ],
    silent,
  );
  await serve(
    await stand.as('host-h1'),
    { ...micro, queue: 'h1' },
    [
      driverEndpoint({ host: 'h1', driver: 'test' }, driverDefine, async () => {
        done.push('h1 define');
        return { domain: domain(), warnings: [] };
      }),
    ],
    silent,
  );
});
afterEach(() => stand[Symbol.asyncDispose]());

const outcome = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: VirtError) => error.code,
  );
const asHost = (bus: Bus): Promise<unknown> =>
  callDriver(bus, { host: 'h1', driver: 'test' }, driverDefine, { xml: '', epoch: 1 }, { timeoutMs: 30_000 });
const one = { target: 'web1', timeoutMs: 30_000 };

describe('what a role may do', () => {
  test.each<[Name, string, string, string, string, string]>([
    ['reader', 'done', 'ACCESS_DENIED', 'ACCESS_DENIED', 'ACCESS_DENIED', 'ACCESS_DENIED'],
    ['operator', 'done', 'done', 'done', 'ACCESS_DENIED', 'ACCESS_DENIED'],
    ['admin', 'done', 'done', 'done', 'done', 'ACCESS_DENIED'],
    ['host-h2', 'ACCESS_DENIED', 'ACCESS_DENIED', 'ACCESS_DENIED', 'ACCESS_DENIED', 'ACCESS_DENIED'],
    ['service', 'ACCESS_DENIED', 'ACCESS_DENIED', 'ACCESS_DENIED', 'ACCESS_DENIED', 'done'],
  ])('%s: query %s, command %s, queue %s, qmp %s, host %s', async (name, query, command, queue, qmp, host) => {
    const bus = await stand.as(name);
    expect(await outcome(call(bus, listDomains, {}, { timeoutMs: 30_000 }))).toBe(query);
    expect(await outcome(call(bus, startDomain, {}, one))).toBe(command);
    expect(await outcome(enqueue(bus, startDomain, {}, one))).toBe(queue);
    expect(await outcome(call(bus, qmpCommand, { execute: 'quit' }, one))).toBe(qmp);
    expect(await outcome(asHost(bus))).toBe(host);
    expect(done).toEqual([
      ...(command === 'done' ? ['start web1'] : []),
      ...(qmp === 'done' ? ['qmp'] : []),
      ...(host === 'done' ? ['h1 define'] : []),
    ]);
  });

  test('an operator gets no QMP command through the queue either', async () => {
    const operator = await stand.as('operator');
    const sent = operator.js.publish('virtbus.v1.queue.domain.web1.qmp', '{"execute": "quit"}');
    await expect(sent).rejects.toMatchObject({ code: 'PERMISSIONS_VIOLATION' });
  });

  test('nobody but its host tells events: not an admin, not a service', async () => {
    const subject = eventSubject({ uuid: uuidOf(1), class: 'lifecycle', type: 'started', host: 'h1' });
    for (const name of ['reader', 'operator', 'admin', 'service', 'host-h2'] as const) {
      const bus = await stand.as(name);
      await expect(bus.js.publish(subject, encode(event(), 'json'))).rejects.toThrow(/Permissions Violation/);
    }
    expect(await lastSequence(await stand.as('admin'))).toBe(0);
  });
});

describe('a host', () => {
  /** The server's refusals of a connection. */
  async function refusals(bus: Bus): Promise<string[]> {
    const heard: string[] = [];
    void (async () => {
      for await (const { data } of bus.nc.status()) {
        if (typeof data === 'string' && data.includes('VIOLATION')) heard.push(data);
      }
    })();
    return heard;
  }

  test('measures for itself alone', async () => {
    const [h2, reader] = [await stand.as('host-h2'), await stand.as('reader')];
    const heard: string[] = [];
    reader.nc.subscribe('virtbus.v1.stat.host.*', { callback: (_error, { subject }) => void heard.push(subject) });
    await reader.nc.flush();
    h2.nc.publish(statSubject('h1'), '{}');
    h2.nc.publish(statSubject('h2'), '{}');
    await eventually(() => heard, ['virtbus.v1.stat.host.h2']);
  });

  test.each([
    'virtbus.v1.host.h1.>',
    'virtbus.v1.host.*.>',
    'virtbus.v1.host.>',
    'virtbus.v1.>',
    '>',
    '_INBOX.>',
    '_INBOX.admin.>',
    'virtbus.v1.stream.h1.*.in',
    'virtbus.v1.body.h1.*',
  ])('does not hear %s when it is another host', async (subject) => {
    const h2 = await stand.as('host-h2');
    let heard = 0;
    const subscription = h2.nc.subscribe(subject, { callback: (error) => void (error ?? heard++) });
    const refused = new Promise((resolve) => void subscription.closed.then(resolve));
    await refused;
    expect(await outcome(asHost(await stand.as('service')))).toBe('done');
    expect(heard).toBe(0);
  });

  test('answers nobody who has not asked it', async () => {
    const [h2, operator] = [await stand.as('host-h2'), await stand.as('operator')];
    const heard = await refusals(h2);
    h2.nc.publish('_INBOX.operator.forged', 'x');
    await eventually(() => heard.length, 1);
    expect(await outcome(call(operator, startDomain, {}, one))).toBe('done');
  });
});

describe('a reader who has the event log delivered elsewhere', () => {
  /** A push consumer delivers stored messages to any subject its maker names, with the server's own rights. */
  async function deliverTo(subject: string): Promise<void> {
    const h1 = await stand.as('host-h1');
    const told = event();
    await h1.js.publish(
      eventSubject({ uuid: told.domain.uuid, class: 'lifecycle', type: 'started', host: 'h1' }),
      '{}',
      {
        msgID: told.id,
      },
    );
    const reader = await stand.as('reader');
    for (const ack_policy of ['none', 'explicit']) {
      for (const deliver_group of [undefined, 'q', 'h1']) {
        const config = { deliver_subject: subject, deliver_group, deliver_policy: 'all', ack_policy };
        const ask = JSON.stringify({ stream_name: 'VIRTBUS_EVENTS', config });
        const api = '$JS.API.CONSUMER.CREATE.VIRTBUS_EVENTS';
        const answer = (await reader.nc.request(api, ask, { timeout: 30_000 })).json<{ error?: object }>();
        expect(answer.error).toBeUndefined();
      }
    }
  }

  test.each(['virtbus.v1.cmd.domain.web1.start', 'virtbus.v1.host.h1.test.define'])(
    'commands nothing by it: %s',
    async (subject) => {
      // The server delivers where somebody listens on the very subject.
      const listening = await stand.as('admin');
      let delivered = 0;
      listening.nc.subscribe(subject, { callback: () => delivered++ });
      await listening.nc.flush();
      await deliverTo(subject);
      await eventually(() => delivered >= 2, true);
      // A command that is asked for properly comes after what was delivered: it alone has an effect.
      const operator = await stand.as('operator');
      await call(operator, startDomain, {}, { ...one, target: 'proper' });
      expect(done).toEqual(['start proper']);
    },
  );

  test('queues nothing by it', async () => {
    const service = await stand.as('service');
    const taken: string[] = [];
    const stopping = new AbortController();
    const consuming = consumeQueue(service, {
      name: 'domain',
      entity: 'domain',
      timeoutMs: () => 1_000,
      handle: (message) => (taken.push(message.subject), message.done()),
      signal: stopping.signal,
    });
    let delivered = 0;
    const listening = await stand.as('admin');
    listening.nc.subscribe('virtbus.v1.queue.domain.web1.start', { callback: () => delivered++ });
    await listening.nc.flush();
    await deliverTo('virtbus.v1.queue.domain.web1.start');
    await eventually(() => delivered >= 2, true);
    await enqueue(await stand.as('operator'), startDomain, {}, { target: 'proper' });
    await eventually(() => taken.includes('virtbus.v1.queue.domain.proper.start'), true);
    stopping.abort();
    await consuming;
    expect(taken).toEqual(['virtbus.v1.queue.domain.proper.start']);
  });
});

describe('a connection', () => {
  const refusal = async (options: Partial<Parameters<typeof connectBus>[0]>): Promise<string> => {
    const error: unknown = await connectBus({ name: 'x', url: stand.server.url, ...options }).catch((e: unknown) => e);
    if (!isVirtError(error)) throw new Error('was accepted');
    expect(error.message).not.toContain('\n');
    return `${error.code}: ${error.message}`;
  };
  const file = (content: string, mode = 0o600): string => {
    const path = stand.folder.file('mine.json');
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  };

  /** An admin, of another bus. */
  const stranger = async (): Promise<object> => ({
    url: stand.server.url,
    ...(await Authority.create().add({ name: 'admin', role: 'admin' })),
  });

  test('without credentials, or with those of nobody, is refused', async () => {
    const text =
      /^AUTH_FAILED: authentication failed: nats:.*: the server refuses (these credentials|the credentials in .*)$/;
    expect(await refusal({})).toMatch(text);
    expect(await refusal({ user: 'admin', password: 'admin' })).toMatch(text);
    expect(await refusal({ token: 'x' })).toMatch(text);
    expect(await refusal({ context: file(JSON.stringify(await stranger())) })).toMatch(text);
  });

  test('with a credentials file that others can read is refused, with the command that mends it', async () => {
    const path = file(JSON.stringify(await stranger()), 0o640);
    expect(await refusal({ context: path })).toBe(
      `AUTH_FAILED: authentication failed: credentials in ${path} can be read by others; run 'chmod 600 ${path}'`,
    );
  });

  test.each([
    ['{', /mine\.json is not JSON$/],
    ['null', /mine\.json: /],
    ['{"url": "nats://x"}', /mine\.json: role: /],
  ])('with a credentials file of %s says what is wrong with it', async (content, text) => {
    expect(await refusal({ context: file(content) })).toMatch(text);
  });

  test('with a seed that is none says which file it is in', async () => {
    const path = file(JSON.stringify({ ...(await stranger()), nkey: 'SUXYZ' }));
    expect(await refusal({ context: path })).toMatch(/mine\.json/);
  });

  test('with a credentials file that is not there says so', async () => {
    const path = stand.folder.file('nowhere.json');
    expect(await refusal({ context: path })).toContain(`the credentials file ${path} does not exist`);
    expect(await refusal({ creds: path })).toContain(`the credentials file ${path} does not exist`);
  });

  test('to where no server is says how to get one', async () => {
    await stand.server.stop();
    expect(await refusal({})).toMatch(
      /^RPC: .*no NATS server at nats:.*start one with 'npm start', or set VIRTBUS_NATS_URL$/,
    );
  });
});
