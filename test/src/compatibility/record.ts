/**
 * `node test/dist/compatibility/record.js`: keep today's contracts, the bytes of today's client and the answers of today's
 * driver as those of the last release. Run when a release is made, never to make a test pass.
 */
import { writeFileSync } from 'node:fs';
import {
  defineDomain,
  driverDefine,
  driverGet,
  driverInventory,
  driverStats,
  driverStorage,
  driverSubject,
  HostStatus,
  startDomain,
  statSubject,
  statsOfDomain,
  VirtError,
  type Contract,
  type DriverContract,
} from '@virtbus/shared';
import { call, decode, encode, exchange, newId, type Bus } from '@virtbus/shared/bus';
import { Stack } from '@virtbus/testkit';
import { z } from 'zod';
import type { Schema } from './breaks';
import { recordOfToday } from './contract-record';
import { atLeast, type DriverTape } from './frozen-driver';
import { clientPath, contractsPath, driverPath } from './released';
import { document, messages, name, simulatedHost, uuid } from './scenario';

const driver = 'test';

async function main(): Promise<void> {
  const tape = await recordDriver();
  keep(contractsPath, recordOfToday());
  keep(clientPath, messages());
  keep(driverPath, tape);
}

/** What a driver with one domain answers to the domain service. */
async function recordDriver(): Promise<DriverTape> {
  const stack = await Stack.start({ hosts: [], testHosts: [simulatedHost] });
  try {
    const bus = await stack.connect();
    await call(bus, defineDomain, { xml: document, host: simulatedHost });
    const service = await stack.connect('service');
    const heartbeat = heartbeatOn(service);
    const answers: DriverTape['answers'] = {};
    const asked = [driverInventory, driverGet, driverStats, driverStorage, startDomain, statsOfDomain, driverDefine];
    for (const c of asked) answers[c.operation] = await answerOf(service, c);
    const told = atLeast(least(HostStatus), await heartbeat) as Record<string, unknown>;
    return { host: simulatedHost, driver, uuid, name, heartbeat: told, answers };
  } finally {
    await stack[Symbol.asyncDispose]();
  }
}

async function heartbeatOn({ nc }: Bus): Promise<Record<string, unknown>> {
  for await (const { data } of nc.subscribe(statSubject(simulatedHost), { max: 1 })) {
    return decode(data) as Record<string, unknown>;
  }
  throw new Error('the connection was closed before the driver told of itself');
}

/** Asked as the domain service asks, about the one domain; the document and epoch are for `define`. */
async function answerOf(bus: Bus, c: Contract | DriverContract): Promise<Record<string, unknown>> {
  const subject = driverSubject(simulatedHost, driver, c.operation);
  const request = c === driverDefine ? { xml: document, epoch: 1 } : {};
  const context = { timeoutMs: 30_000, id: newId(), domain: uuid, epoch: 1 };
  const { body } = await exchange(bus, subject, encode(request, 'msgpack'), context, () => {
    return new VirtError('HOST_OFFLINE', { host: simulatedHost, service: `driver-${driver}` });
  });
  return atLeast(least(c.response), decode(body)) as Record<string, unknown>;
}

/** What has a default need not be told. */
const least = (schema: z.ZodType): Schema =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' }) as Schema;

/** A line for each entry of the first two levels: what has changed can be seen in a diff. */
function keep(path: string, value: object): void {
  const line = ([key, entry]: [string, unknown]): string => `${JSON.stringify(key)}: ${JSON.stringify(entry)}`;
  const block = (entry: object): string => `{\n  ${Object.entries(entry).map(line).join(',\n  ')}\n}`;
  const blocks = Object.entries(value).map(([key, entry]) =>
    typeof entry === 'object' && entry !== null
      ? `${JSON.stringify(key)}: ${block(entry as object)}`
      : line([key, entry]),
  );
  writeFileSync(path, `{\n${blocks.join(',\n')}\n}\n`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
