/** What an operator sees of a command: its trace over all services, its log lines, and its place among the metrics. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import {
  buckets,
  destroyDomain,
  encodeToken,
  eventFilter,
  getDomain,
  startDomain,
  streams,
  suspendDomain,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { metrics, type Metric } from '@virtbus/shared/metrics';
import { checkout, eventually, Stack, startProcess } from '@virtbus/testkit';
import { SpanCollector, type CollectedSpan } from './span-collector';

jest.setTimeout(180_000);

let collector: SpanCollector;
let stack: Stack;
let bus: Bus;
const patience = { timeoutMs: 60_000 };

beforeAll(async () => {
  collector = await SpanCollector.start();
  stack = await Stack.start({
    env: {
      VIRTBUS_HTTP_LISTEN: '127.0.0.1:0',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_BSP_SCHEDULE_DELAY: '200',
    },
  });
  bus = await stack.connect('operator');
});
afterAll(async () => {
  await stack?.[Symbol.asyncDispose]();
  collector?.[Symbol.dispose]();
});

async function virtbus(words: string[], env: Record<string, string> = {}): Promise<string> {
  await using cli = await startProcess([process.execPath, join(checkout, 'cli/dist/main.js'), ...words], {
    env: { VIRTBUS_CONTEXT: stack.context('operator'), OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...env },
  });
  const { code } = await cli.exited;
  if (code !== 0) throw new Error(cli.log.text);
  return cli.log.text;
}

const spanOf = (service: string, name: string, traceId?: string): CollectedSpan | undefined =>
  collector.spans.find((s) => s.service === service && s.name === name && (!traceId || s.traceId === traceId));

/** The way from a span up to the command line, once all of it has arrived. */
async function wayUp(service: string, name: string, traceId: string, top: string): Promise<string[]> {
  const way = (): string[] => {
    const span = spanOf(service, name, traceId);
    return span ? collector.above(span) : [];
  };
  await eventually(() => way().at(-1), top, patience);
  return way();
}

test('a command is one trace from the command line to the QMP command, through the domain service and the driver', async () => {
  await stack.define(bus, { name: 'traced' });
  const trace = 'a'.repeat(32);
  await virtbus(['start', 'traced'], { TRACEPARENT: `00-${trace}-${'b'.repeat(16)}-01` });
  expect(await wayUp('virtbus-driver-qemu', 'qmp cont', trace, 'virtbus-cli: virtbus start')).toEqual([
    'virtbus-driver-qemu: start',
    'virtbus-domain: host qemu start',
    'virtbus-domain: domain-start',
    'virtbus-cli: cmd domain start',
    'virtbus-cli: virtbus start',
  ]);
  expect(spanOf('virtbus-cli', 'virtbus start', trace)?.parentSpanId).toBe('b'.repeat(16));
});

test('a collector that takes nothing is named, and nobody waits until it may have more time', async () => {
  let asked = 0;
  const server = createServer(
    (_request, response) => void response.writeHead(503, { 'retry-after': '5' }).end(String(asked++)),
  );
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const shown = await virtbus(['list', '--name'], { OTEL_EXPORTER_OTLP_ENDPOINT: url });
  server.closeAllConnections();
  server.close();
  expect(shown).toContain(`note: the trace was not taken: no collector answers at ${url}\n`);
  expect(asked).toBe(1);
});

test('a queued command goes on with the trace of whoever queued it', async () => {
  await virtbus(['suspend', 'traced', '--queue']);
  await eventually(() => spanOf('virtbus-cli', 'virtbus suspend') !== undefined, true, patience);
  const { traceId } = spanOf('virtbus-cli', 'virtbus suspend')!;
  expect(await wayUp('virtbus-driver-qemu', 'qmp stop', traceId, 'virtbus-cli: virtbus suspend')).toEqual([
    'virtbus-driver-qemu: suspend',
    'virtbus-domain: host qemu suspend',
    'virtbus-domain: domain.suspend',
    'virtbus-cli: queue domain suspend',
    'virtbus-cli: virtbus suspend',
  ]);
});

test('every line that a command causes tells its id, its domain, its host and its trace', async () => {
  const { uuid } = await stack.define(bus, { name: 'logged' });
  const traceId = 'c'.repeat(32);
  const traceparent = `00-${traceId}-${'d'.repeat(16)}-01`;
  await call(bus, startDomain, {}, { target: uuid, id: 'start-logged', traceparent });
  const lines = stack.drivers
    .get('h1')!
    .log.text.split('\n')
    .flatMap((line) => (line.startsWith('{') ? [parse(line)] : []));
  const its = lines.filter((line) => line.commandId === 'start-logged');
  expect(its.map(({ event }) => event)).toContain('lifecycle.started');
  for (const line of its) expect(line).toMatchObject({ service: 'driver-qemu', host: 'h1', domain: uuid, traceId });
  const started = lines.filter(({ event, domain }) => domain === uuid && String(event).startsWith('lifecycle.started'));
  expect(started.map(({ commandId }) => commandId)).toEqual(['start-logged']);
});

test('metrics are those declared, with labels that stay few', async () => {
  const declared = new Map(Object.values<Metric>(metrics).map((metric) => [metric.name, metric]));
  for (const service of [stack.domainServices[0]!, stack.drivers.get('h1')!, stack.storages.get('h1')!]) {
    const { url } = parse(await service.waitFor('health, readiness and metrics')) as { url: string };
    const text = await (await fetch(`${url}/metrics`)).text();
    for (const [, name, labels = ''] of text.matchAll(/^(virtbus_\w+?)(?:_bucket|_sum|_count)?\{(.*)\} /gm)) {
      const known = ['service', 'host', 'le', ...(declared.get(name!)?.labels ?? [`undeclared ${name}`])];
      for (const [, label] of labels.matchAll(/(\w+)="/g)) expect(known).toContain(label);
    }
    expect(text).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-/);
    expect(text).toMatch(/^virtbus_calls_total\{.*code="OK".*\} [1-9]/m);
  }
});

const parse = (line: string): Record<string, unknown> => JSON.parse(line) as Record<string, unknown>;

describe('why', () => {
  const why = async (name: string): Promise<string> => (await virtbus(['why', name])).trim();
  const becomes = (name: string, words: RegExp): Promise<string> =>
    eventually(
      () => why(name),
      (text) => words.test(text),
      patience,
    );

  test('goes from a state back to the command, who gave it, and what was asked of QEMU', async () => {
    await call(bus, destroyDomain, {}, { target: 'traced', id: 'destroy-it' });
    await becomes('traced', /^traced is shut off \(destroyed\) on h1 since .*\n {2}← event lifecycle stopped/);
    expect(await why('traced')).toMatch(/← command destroy destroy-it from operator/);
    await call(bus, startDomain, {}, { target: 'traced', id: 'start-it' });
    await becomes('traced', /← command start start-it from operator, which did qmp .*qmp cont/);
    await call(bus, suspendDomain, {}, { target: 'traced', id: 'suspend-it' });
    await becomes('traced', /paused \(user\)[^]*← QMP STOP\n {2}← command suspend suspend-it from operator/);
  });

  test('tells the end of a process that nobody asked to end', async () => {
    const { domain } = await call(bus, getDomain, {}, { target: 'logged' });
    process.kill(stack.pidOf(domain.uuid), 'SIGKILL');
    await becomes(
      'logged',
      /shut off \(crashed\)[^]*← event lifecycle stopped \(failed\)[^]*← no command asked for it/,
    );
    // Its start, a moment ago, is not why it ended.
    expect(await why('logged')).not.toMatch(/resumed|started/);
  });

  test('says so when nobody knows the domain, and when the log does not tell', async () => {
    await expect(why('nobody')).rejects.toThrow(/nobody/);
    const { domain } = await call(bus, getDomain, {}, { target: 'logged' });
    const jsm = await (await stack.connect('service')).jsm();
    await jsm.streams.purge(streams.events, { filter: eventFilter({ uuid: domain.uuid }) });
    expect(await why('logged')).toMatch(/^logged is shut off \(crashed\) on h1; the event log does not tell why: it /);
  });
});

describe('verify', () => {
  const verify = async (): Promise<{ disagreements: { kind: string }[]; notAsked: unknown[]; domains: number }> => {
    await using cli = await startProcess([process.execPath, join(checkout, 'cli/dist/main.js'), 'verify', '--json'], {
      env: { VIRTBUS_CONTEXT: stack.context('reader') },
    });
    const { code } = await cli.exited;
    const found = JSON.parse(cli.log.text) as Awaited<ReturnType<typeof verify>>;
    expect(code).toBe(found.disagreements.length === 0 ? 0 : 1);
    return found;
  };
  const kinds = async (): Promise<string[]> =>
    [...new Set((await verify()).disagreements.map(({ kind }) => kind))].sort();

  test('finds nothing where all agrees', async () => {
    await stack.startDomainService();
    const agreed = { disagreements: [], notAsked: [], domains: 2, copies: 2 };
    await eventually(async () => expect(await verify()).toMatchObject(agreed), undefined, { timeoutMs: 60_000 });
  });

  test('finds an entry without a home, a claim and a lease of nobody, a stray process, a folder, a changed disk', async () => {
    const image = stack.folder.file('disk.qcow2');
    await using make = await startProcess(['qemu-img', 'create', '-q', '-f', 'qcow2', image, '1M']);
    await make.exited;
    const disk = `<disk type='file'><driver name='qemu' type='qcow2'/><source file='${image}'/><target dev='vda'/></disk>`;
    await stack.define(bus, { name: 'disked', devices: disk });
    expect(await kinds()).toEqual([]);
    writeFileSync(image, 'not an image any more'.repeat(100));
    const uuid = '11111111-2222-4333-8444-555555555555';
    const service = await stack.connect('service');
    const kv = async (bucket: string, key: string, value: object): Promise<unknown> =>
      (await service.js.views.kv(bucket)).put(key, JSON.stringify(value));
    await kv(buckets.domains, uuid, { uuid, name: 'ghost', host: 'h1', driver: 'qemu', epoch: 1 });
    await kv(buckets.names, encodeToken('nobody'), { uuid: uuid.replace('1', '2'), until: 0 });
    const holder = { domain: uuid, name: 'ghost', host: 'h1', driver: 'qemu', epoch: 1, claim: 'gone' };
    await kv(buckets.leases, 'ab.x', { identity: 'file:ab', path: '/srv/ab.qcow2', holder });
    const folder = join(stack.folder.file('state'), 'hosts/h1/qemu/domains', uuid);
    mkdirSync(folder);
    const stray = join(stack.folder.file('r'), 'h1/qemu', '11111111555555555555/monitor.sock');
    await using sleeper = await startProcess([process.execPath, '-e', 'setTimeout(() => 0, 600000)', stray]);
    void sleeper;
    await eventually(kinds, ['disk', 'lease-unknown', 'leftover', 'name-claim', 'no-home', 'stray-process'], patience);
    // As verify advises.
    await stack.restartDomainService(0);
    await eventually(kinds, ['disk', 'leftover', 'name-claim', 'no-home', 'stray-process'], patience);
  });

  test('names who could not be asked', async () => {
    await stack.storages.get('h1')!.stop('SIGKILL');
    expect((await verify()).notAsked).toMatchObject([{ host: 'h1', service: 'storage' }]);
  });
});
