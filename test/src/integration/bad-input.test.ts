/** What is wrong is refused with one clear error, and nothing of it is left behind. */
import {
  createDomain,
  defineDomain,
  destroyDomain,
  getDomainXml,
  listDomains,
  startDomain,
  type ErrorCode,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { Stack } from '@virtbus/testkit';

jest.setTimeout(120_000);

let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
});

const domain = (inner: string, name = 'bad'): string =>
  `<domain type='qemu'><name>${name}</name><memory unit='MiB'>32</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>${inner}</domain>`;

async function refused(xml: string, how: { validate?: boolean } = {}): Promise<{ code: ErrorCode; message: string }> {
  const error: unknown = await call(bus, defineDomain, { xml, ...how }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  const { code, message } = error as { code: ErrorCode; message: string };
  expect(message).not.toMatch(/\n|\bat .*\.(ts|js):/);
  expect((await call(bus, listDomains, {})).domains.map(({ name }) => name)).not.toContain('bad');
  expect(stack.guestPids()).toEqual([]);
  return { code, message };
}

const entities = `<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><domain type='qemu'><name>&b;</name></domain>`;
const external = `<!DOCTYPE d SYSTEM "file:///etc/passwd"><domain type='qemu'><name>x</name></domain>`;
const deep = `<domain type='qemu'>${'<a>'.repeat(10_000)}${'</a>'.repeat(10_000)}</domain>`;
const huge = domain(`<description>${'x'.repeat(10 * 1024 * 1024)}</description>`);

const malformed: [string, string, ErrorCode[]][] = [
  ['entities that multiply', entities, ['XML_DETAIL', 'XML_ERROR']],
  ['an external entity', external, ['XML_DETAIL', 'XML_ERROR']],
  ['depth 10 000', deep, ['XML_DETAIL', 'XML_ERROR']],
  ['ten megabytes', huge, ['XML_DETAIL', 'XML_ERROR', 'MESSAGE_TOO_LARGE']],
  ['JSON where XML is expected', '{"name": "x"}', ['XML_DETAIL', 'XML_ERROR']],
  ['no XML at all', 'hello', ['XML_DETAIL', 'XML_ERROR']],
  ['an element left open', "<domain type='qemu'><name>x</domain>", ['XML_DETAIL', 'XML_ERROR']],
  ['a machine type that QEMU lacks', domain('').replace('q35', 'pc-q35-99.9'), ['CONFIG_UNSUPPORTED']],
  ['a name with a slash', domain('', 'a/b'), ['XML_ERROR', 'CONFIG_UNSUPPORTED']],
  ['a name of dots', domain('', '..'), ['XML_ERROR', 'CONFIG_UNSUPPORTED']],
  ['a name with NUL', domain('', 'a\0b'), ['XML_DETAIL', 'XML_ERROR']],
  ['an empty name', domain('', ''), ['XML_ERROR']],
];

test.each(malformed)('%s is refused', async (_what, xml, codes) => {
  expect(codes).toContain((await refused(xml)).code);
});

test('an unknown element is refused by name and line when the document is to be valid', async () => {
  const { code, message } = await refused(domain('\n<warpdrive/>'), { validate: true });
  expect(code).toBe('XML_INVALID_SCHEMA');
  expect(message).toMatch(/line 2: .*warpdrive/);
});

test('an unknown element is warned of by name and line otherwise, and is not kept', async () => {
  const { warnings } = await call(bus, defineDomain, { xml: domain('\n<warpdrive/>', 'odd') });
  expect(warnings).toEqual([expect.stringMatching(/^line 2: .*<warpdrive>.* has no effect$/)]);
  const { xml } = await call(bus, getDomainXml, {}, { target: 'odd' });
  expect(xml).not.toContain('warpdrive');
});

test('faults that the host finds have the lines of the document as it was given, and are told together', async () => {
  const disk = (dev: string): string => `\n<disk><source file='/a'/><target dev='${dev}' bus='virtio'/></disk>`;
  const { message } = await refused(
    domain(
      `<features><vmport state='on'/><ps2 state='off'/></features><devices>${disk('vda')}${disk('vda')}</devices>`,
    ),
  );
  expect(message).toMatch(/line 1: vmport feature requires .*; line 3: target 'vda' duplicated/);
});

test('a name with a comma is a name, and reaches QEMU whole', async () => {
  const xml = domain('', 'a,b=c.d e');
  const { domain: created } = await call(bus, createDomain, { xml });
  expect(created.name).toBe('a,b=c.d e');
  await call(bus, destroyDomain, {}, { target: 'a,b=c.d e' });
});

test('a name and a uuid are given once', async () => {
  const uuid = '11111111-2222-4333-8444-555555555555';
  const named = (name: string, id: string): string => domain('', name).replace('</name>', `</name><uuid>${id}</uuid>`);
  await call(bus, defineDomain, { xml: named('first', uuid) });
  const other = '11111111-2222-4333-8444-666666666666';
  await expect(call(bus, defineDomain, { xml: named('first', other) })).rejects.toMatchObject({
    code: 'DOMAIN_EXISTS',
  });
  await expect(call(bus, defineDomain, { xml: named('second', uuid) })).rejects.toMatchObject({
    code: 'DOMAIN_EXISTS',
  });
  const again = await call(bus, defineDomain, { xml: named('first', uuid) });
  expect(again.domain.uuid).toBe(uuid);
});

test('a missing image is named at start, the domain stays as it was, and nothing runs', async () => {
  const disk = `<devices><disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/nowhere/disk.img'/><target dev='vda' bus='virtio'/></disk></devices>`;
  await call(bus, defineDomain, { xml: domain(disk, 'diskless') });
  await expect(call(bus, startDomain, {}, { target: 'diskless' })).rejects.toMatchObject({
    message: expect.stringContaining('/nowhere/disk.img') as string,
  });
  expect(await stack.state(bus, 'diskless')).toBe('shutoff(unknown)');
  expect(stack.guestPids()).toEqual([]);
});

test('more memory than there is, is refused with what is free', async () => {
  const xml = domain('', 'giant').replace("<memory unit='MiB'>32", "<memory unit='TiB'>16");
  await expect(call(bus, createDomain, { xml })).rejects.toMatchObject({
    message: expect.stringMatching(/memory/) as string,
  });
  expect((await call(bus, listDomains, {})).domains.map(({ name }) => name)).not.toContain('giant');
});

test('unknown names, hosts and requests are told apart', async () => {
  await expect(call(bus, startDomain, {}, { target: 'nobody' })).rejects.toMatchObject({ code: 'DOMAIN_NOT_FOUND' });
  await expect(call(bus, defineDomain, { xml: domain('', 'placed'), host: 'h9' })).rejects.toMatchObject({
    code: 'HOST_NOT_FOUND',
  });
  await expect(call(bus, defineDomain, {})).rejects.toMatchObject({ code: 'INVALID_ARG' });
});
