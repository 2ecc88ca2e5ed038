import { createHash } from 'node:crypto';
import { defineDomain, driverDefine, isVirtError, type VirtError } from '@virtbus/shared';
import { call, callDriver, driverEndpoint, endpoint, enqueue, header, serve, writeContext } from '@virtbus/shared/bus';
import { silent } from '@virtbus/shared/log';
import { BusStand, domain, type Name } from './bus-stand';

jest.setTimeout(60_000);

const mib = 1024 * 1024;
const at = { host: 'h1', driver: 'test' };
const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
/** Text without a pattern that a lost or repeated part would fit into. */
const text = (bytes: number): string => {
  const chunks: string[] = [];
  for (let n = 0; chunks.length * 64 < bytes; n++) chunks.push(digest(String(n)));
  return chunks.join('').slice(0, bytes);
};
const refusal = async (promise: Promise<unknown>): Promise<VirtError> => {
  const error: unknown = await promise.catch((thrown: unknown) => thrown);
  if (!isVirtError(error)) throw new Error('it was answered, or failed by accident', { cause: error });
  return error;
};

/** A domain service that passes a definition on to host h1 and its answer back: all the ways a body can go. */
async function chain(stand: BusStand): Promise<void> {
  const [service, host] = [await stand.as('service'), await stand.as('host-h1')];
  await serve(
    host,
    { name: 'driver', version: '1.0.0', description: 'host', queue: 'h1-test' },
    [
      driverEndpoint(at, driverDefine, async ({ xml }) => ({
        domain: domain({ name: digest(xml) }),
        warnings: [xml],
      })),
    ],
    silent,
  );
  await serve(
    service,
    { name: 'domain', version: '1.0.0', description: 'domains', queue: 'domain' },
    [endpoint(defineDomain, async ({ xml }) => callDriver(service, at, driverDefine, { xml: xml!, epoch: 1 }))],
    silent,
  );
  await Promise.all([service.nc.flush(), host.nc.flush()]);
}

describe.each(['64KB', '1MB'])('with messages of at most %s', (limit) => {
  test.each<Name>(['operator', 'admin'])(
    'a body of 20 MiB of the %s goes to the service, on to the host and back, under the rights of each',
    async (user) => {
      await using stand = await BusStand.start(`max_payload: ${limit}`);
      await chain(stand);
      const client = await stand.as(user);
      const xml = text(20 * mib);
      const answer = await call(client, defineDomain, { xml }, { timeoutMs: 50_000 });
      expect(answer.domain.name).toBe(digest(xml));
      expect(digest(answer.warnings[0]!)).toBe(digest(xml));
    },
  );

  test('bodies around the limit arrive whole', async () => {
    await using stand = await BusStand.start(`max_payload: ${limit}`);
    await chain(stand);
    const client = await stand.as('operator');
    for (const more of [-200, -60, -1, 0, 1, 60, client.bodies.limit]) {
      const xml = text(client.bodies.limit + more);
      expect((await call(client, defineDomain, { xml })).domain.name).toBe(digest(xml));
    }
  });
});

describe('a body that is too large', () => {
  test('for us is refused before it leaves', async () => {
    await using stand = await BusStand.start();
    const client = await stand.as('operator');
    const error = await refusal(call(client, defineDomain, { xml: 'x'.repeat(64 * mib) }));
    expect(error.code).toBe('MESSAGE_TOO_LARGE');
    expect(error.message).toMatch(/^message too large: \d+ bytes; at most 67108864 can be sent$/);
  });

  test('as an answer becomes an error', async () => {
    await using stand = await BusStand.start();
    const service = await stand.as('service');
    const big = endpoint(defineDomain, async () => ({ domain: domain(), warnings: ['x'.repeat(64 * mib)] }));
    await serve(service, { name: 'd', version: '1.0.0', description: 'd', queue: 'd' }, [big], silent);
    const client = await stand.as('operator');
    expect((await refusal(call(client, defineDomain, { xml: 'x' }))).code).toBe('MESSAGE_TOO_LARGE');
  });

  test('to be queued is refused: its sender may be gone when its turn comes', async () => {
    await using stand = await BusStand.start();
    const client = await stand.as('operator');
    const error = await refusal(enqueue(client, defineDomain, { xml: 'x'.repeat(mib) }));
    expect(error.message).toMatch(/a queued command can have \d+$/);
  });
});

describe('headers that tell of a body elsewhere', () => {
  const lies: Record<string, string>[] = [
    { size: '99999999999', parts: '10', body: '_INBOX.operator.x' },
    { size: '-1', parts: '1', body: '_INBOX.operator.x' },
    { size: '10', parts: '11', body: '_INBOX.operator.x' },
    { size: 'many', parts: '1', body: '_INBOX.operator.x' },
    // To ask on these would be to act for the sender with the rights of the service.
    { size: '10', parts: '1', body: '$JS.API.STREAM.DELETE.VIRTBUS_EVENTS' },
    { size: '10', parts: '1', body: 'virtbus.v1.host.h1.test.define' },
    { size: '10', parts: '1', body: 'virtbus.v1.body.service.*' },
    { size: '10', parts: '1', body: '_INBOX.>' },
  ];

  test.each(lies)('are not believed: %j', async (lie) => {
    await using stand = await BusStand.start();
    await chain(stand);
    const client = await stand.as('operator');
    const headers = writeContext({ timeoutMs: 1_000 });
    for (const [key, value] of Object.entries(lie)) headers.set(header[key as 'size'], value);
    const answer = await client.nc.request('virtbus.v1.cmd.domain.define', '', { timeout: 3_000, headers });
    expect(answer.json<{ code: string }>().code).toMatch(/^(INVALID_ARG|MESSAGE_TOO_LARGE)$/);
    const admin = await stand.as('admin');
    expect((await (await admin.jsm()).streams.info('VIRTBUS_EVENTS')).config.name).toBe('VIRTBUS_EVENTS');
  });

  test('and a sender that hands out its body in crumbs are waited for once, not once a crumb', async () => {
    await using stand = await BusStand.start();
    const [service, client] = [await stand.as('service'), await stand.as('operator')];
    let asked = 0;
    client.nc.subscribe('_INBOX.operator.slow', {
      callback: (_error, message) => {
        asked++;
        setTimeout(() => message.respond('x'), 300);
      },
    });
    await client.nc.flush();
    const headers = writeContext({ timeoutMs: 1_000 });
    const slow = { size: '20', parts: '20', body: '_INBOX.operator.slow' };
    for (const [key, value] of Object.entries(slow)) headers.set(header[key as 'size'], value);
    const error = await refusal(service.bodies.incoming(new Uint8Array(), headers, 1_000));
    expect(error.message).toMatch(/part \d of a large body cannot be fetched/);
    expect(asked).toBeLessThan(5);
  });

  test('and a sender that is gone end in an error that says so', async () => {
    await using stand = await BusStand.start();
    await chain(stand);
    const client = await stand.as('operator');
    const headers = writeContext({ timeoutMs: 5_000 });
    const away = { size: '10', parts: '1', body: '_INBOX.operator.gone' };
    for (const [key, value] of Object.entries(away)) headers.set(header[key as 'size'], value);
    const answer = await client.nc.request('virtbus.v1.cmd.domain.define', '', { timeout: 30_000, headers });
    expect(answer.json<{ message: string }>().message).toContain('part 1 of a large body cannot be fetched');
  });
});
