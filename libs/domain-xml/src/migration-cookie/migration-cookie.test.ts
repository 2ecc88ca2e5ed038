/** Cookies: what is written is read again as the same; what breaks libvirt's rules for reading is refused in its words. */
import { isVirtError } from '@virtbus/shared';
import fc from 'fast-check';
import { parseDomain } from '../parse-domain';
import { formatCookie, parseCookie, readCookie, writeCookie, type CookieReader, type MigrationCookie } from '.';

const uuid = '6a1c0000-0000-4000-8000-000000000001';
const there = '0f3b0000-0000-4000-8000-00000000000a';
const here = '0f3b0000-0000-4000-8000-00000000000b';
const context = { name: 'web1', uuid, hostUuid: here, locks: { driver: 'nop', usesState: false } };

const bare: MigrationCookie = { name: 'web1', uuid, hostname: 'node-a', hostuuid: there, features: [] };
const definition = parseDomain(
  `<domain type='qemu'><name>web1</name><uuid>${uuid}</uuid><memory>65536</memory><os><type arch='x86_64'>hvm</type></os></domain>`,
  { mode: 'inactive' },
).domain;

const word = fc.string({ unit: fc.constantFrom(...'aZ0-_./:<>&\'"ü'), minLength: 1, maxLength: 12 });
const size = fc.nat(Number.MAX_SAFE_INTEGER);
const part = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(of, { nil: undefined });

const statistics = fc.record({
  ...Object.fromEntries(
    ['started', 'stopped', 'sent', 'time_elapsed', 'memory_total', 'memory_processed', 'memory_remaining', 'memory_bps']
      .concat(['memory_dirty_rate', 'memory_iteration', 'memory_postcopy_requests', 'memory_page_size', 'disk_total'])
      .concat(['disk_processed', 'disk_remaining', 'disk_bps', 'auto_converge_throttle'])
      .map((name) => [name, size]),
  ),
  delta: fc.integer(),
  downtime: size,
});

const cookies = fc
  .record({
    graphics: part(
      fc.record({
        type: fc.constant('spice'),
        port: fc.integer({ min: -1, max: 65_535 }),
        listen: word,
        tlsPort: fc.integer({ min: -1, max: 65_535 }),
        certificates: fc.array(fc.record({ info: word, value: word }), { maxLength: 2 }),
      }),
    ),
    lockstate: part(fc.record({ driver: word, leases: word })),
    domain: part(fc.constant(definition)),
    network: part(
      fc.record({
        interfaces: fc.array(fc.record({ index: size, vporttype: word, portdata: word }), { maxLength: 3 }),
      }),
    ),
    nbd: part(
      fc.record({
        port: fc.integer({ min: 1, max: 65_535 }),
        disks: fc.array(fc.record({ target: word, capacity: size }), { maxLength: 3 }),
      }),
    ),
    statistics: part(statistics),
    capabilities: part(
      fc.record({ capabilities: fc.array(fc.record({ name: word, auto: fc.boolean() }), { maxLength: 4 }) }),
    ),
    blockDirtyBitmaps: part(
      fc.record({
        disks: fc.array(
          fc.record({ target: word, bitmaps: fc.array(fc.record({ name: word, alias: word }), { maxLength: 3 }) }),
          { maxLength: 2 },
        ),
      }),
    ),
  })
  .map((parts) => {
    // A network without interfaces is not written.
    if (parts.network?.interfaces.length === 0) parts.network = undefined;
    const given = Object.entries(parts).filter(([, value]) => value !== undefined);
    return { ...bare, ...Object.fromEntries(given) };
  });

test('a cookie that was written is read as the same', () => {
  fc.assert(
    fc.property(cookies, (cookie) => {
      expect(parseCookie(formatCookie(cookie), 'any', context)).toEqual(cookie);
    }),
    { numRuns: 300 },
  );
});

const refusal = (work: () => unknown): { code: string; message: string } => {
  try {
    work();
  } catch (error) {
    if (isVirtError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('it was not refused');
};
const refused = (cookie: Partial<MigrationCookie>, reader: CookieReader = 'prepare', of = context): string =>
  refusal(() => parseCookie(formatCookie({ ...bare, ...cookie }), reader, of)).message.replace('internal error: ', '');

describe('a cookie is refused', () => {
  test('when it is of another domain, or comes from this very host', () => {
    expect(refused({ name: 'db1' })).toBe('Incoming cookie data had unexpected name db1 vs web1');
    expect(refused({ uuid: there })).toBe(`Incoming cookie data had unexpected UUID ${there} vs ${uuid}`);
    expect(refused({ hostuuid: here })).toBe(`Attempt to migrate guest to the same host ${here}`);
    expect(refused({ hostuuid: here.toUpperCase() })).toContain('Attempt to migrate guest to the same host');
    expect(refused({ hostuuid: 'node-a' })).toBe('malformed hostuuid element in migration data');
  });

  test.each(['name', 'uuid', 'hostname', 'hostuuid'])('when it does not tell its %s', (what) => {
    const xml = formatCookie(bare).replace(new RegExp(`<${what}>.*</${what}>`), '');
    const { code, message } = refusal(() => parseCookie(xml, 'prepare', context));
    expect(code).toBe('COOKIE_INVALID');
    expect(message).toContain(`missing ${what} element in migration data`);
  });

  test('when it asks for a feature that nobody knows, or that has no place in this phase', () => {
    expect(refused({ features: [{ name: 'teleport' }] })).toBe('Unknown migration cookie feature teleport');
    expect(refused({ features: [{ name: 'persistent' }] })).toBe('Unsupported migration cookie feature persistent');
    expect(refused({ features: [{ name: 'lockstate' }] }, 'finish')).toBe(
      'Unsupported migration cookie feature lockstate',
    );
  });

  test('when the locks of the two hosts do not fit together', () => {
    expect(refused({ lockstate: { driver: 'sanlock', leases: 'x' } })).toBe(
      'Source host lock driver sanlock different from target nop',
    );
    const strict = { ...context, locks: { driver: 'sanlock', usesState: true } };
    expect(refused({}, 'prepare', strict)).toBe('Missing sanlock lock state for migration cookie');
  });

  test.each([
    [`<domain type='qemu'><name>a</name></domain><domain/>`, 'Too many domain elements in migration cookie: 2'],
    ["<graphics type='spice' port='1' listen='x'/>", 'missing tlsPort attribute in migration data'],
    ["<nbd port='many'/>", "Malformed nbd port 'many'"],
    ["<nbd><disk capacity='1'/></nbd>", 'Malformed disk target'],
    ["<nbd><disk target='vda'/></nbd>", "Malformed disk capacity: ''"],
    ["<nbd><disk target='vda' capacity='-1'/></nbd>", "Malformed disk capacity: '-1'"],
    ['<blockDirtyBitmaps><disk/></blockDirtyBitmaps>', 'malformed <blockDirtyBitmaps> in migration cookie'],
    ['<feature/>', 'missing feature name'],
    ['<!DOCTYPE x>', 'XML'],
  ])('with %s in it', (inner, words) => {
    const xml = formatCookie(bare).replace('</qemu-migration>', `${inner}</qemu-migration>`);
    const { code, message } = refusal(() => parseCookie(xml, 'any', context));
    expect(code).toBe('COOKIE_INVALID');
    expect(message).toContain(words === 'XML' ? '' : words);
  });

  test('when its bytes do not end as they should, are no text, or are too many', () => {
    const bytes = writeCookie(bare);
    const of = (wrong: Uint8Array, limit?: number) => refusal(() => readCookie(wrong, 'prepare', context, limit));
    expect(of(bytes.subarray(0, -1)).message).toContain('Migration cookie was not NULL terminated');
    expect(of(Uint8Array.of(0xff, 0)).message).toContain('not UTF-8');
    expect(of(Uint8Array.from([...bytes, 0])).code).toBe('COOKIE_INVALID');
    expect(of(bytes, bytes.length - 1).code).toBe('MESSAGE_TOO_LARGE');
    expect(refusal(() => writeCookie(bare, 100)).code).toBe('MESSAGE_TOO_LARGE');
    expect(readCookie(bytes, 'prepare', context, bytes.length)).toEqual(bare);
  });
});

test('an empty cookie is accepted and says nothing', () => {
  expect(readCookie(new Uint8Array(), 'prepare', context)).toBeUndefined();
});

test('a phase reads its own parts and no others; what it does not know is no obstacle', () => {
  const nbd = { port: 49_153, disks: [] };
  const capabilities = { capabilities: [{ name: 'postcopy-ram', auto: false }] };
  const xml = formatCookie({ ...bare, nbd, capabilities, domain: definition }).replace(
    '</qemu-migration>',
    "<allowReboot value='yes'/></qemu-migration>",
  );
  const known = Object.keys(bare);
  const parts = (reader: CookieReader) =>
    Object.keys(parseCookie(xml, reader, context))
      .filter((key) => !known.includes(key))
      .sort();
  expect(parts('prepare')).toEqual(['capabilities', 'nbd']);
  expect(parts('perform')).toEqual(['capabilities', 'nbd']);
  expect(parts('finish')).toEqual(['domain', 'nbd']);
  expect(parts('confirm')).toEqual([]);
});

test('counts that no number holds are as large as can be told', () => {
  const xml = formatCookie({ ...bare }).replace(
    '</qemu-migration>',
    '<statistics><memory_bps>18446744073709551615</memory_bps></statistics></qemu-migration>',
  );
  expect(parseCookie(xml, 'finish', context).statistics).toMatchObject({
    memory_bps: Number.MAX_SAFE_INTEGER,
    started: 0,
  });
});
