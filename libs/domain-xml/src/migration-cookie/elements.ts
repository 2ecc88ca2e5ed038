/**
 * `<qemu-migration>`: what the two hosts of a migration tell each other, hidden in a cookie from whoever passes it on.
 * Each part is written in one phase and read in the next; `parts.ts` says which.
 */
import {
  anyString,
  attr,
  element,
  int,
  leaf,
  many,
  one,
  string,
  ulong,
  yesNo,
  type Model,
  type Value,
} from '../schema';
import { cpu } from '../elements/cpu';
import { domain } from '../elements/domain';

const missing = (what: string, kind = 'element'): { required: string } => ({
  required: `missing ${what} ${kind} in migration data`,
});

const port = int({ min: -1, max: 65_535 }, 'a port');

const graphics = element('graphics', {
  type: attr(string, missing('type', 'attribute')),
  port: attr(port, missing('port', 'attribute')),
  listen: attr(string, missing('listen', 'attribute')),
  tlsPort: attr(port, missing('tlsPort', 'attribute')),
  certificates: many(
    element('cert', { info: attr(string, { required: true }), value: attr(anyString, { required: true }) }),
  ),
});

const lockstate = element('lockstate', {
  driver: attr(string, { required: 'Missing lock driver name in migration cookie' }),
  leases: leaf(anyString),
});

const network = element('network', {
  interfaces: many(
    element('interface', {
      index: attr(ulong, missing('index', 'attribute')),
      vporttype: attr(string, missing('vporttype', 'attribute')),
      portdata: leaf(anyString),
    }),
  ),
});

const nbd = element(
  'nbd',
  {
    port: attr(int({ min: 0, max: 65_535 }, ''), {
      omit: 0,
      refuse: ['XML_ERROR', (raw) => `Malformed nbd port '${raw}'`],
    }),
    disks: many(
      element('disk', {
        target: attr(string, { required: 'Malformed disk target' }),
        capacity: attr(
          { ...ulong, expects: '' },
          {
            required: "Malformed disk capacity: ''",
            refuse: ['XML_ERROR', (raw) => `Malformed disk capacity: '${raw}'`],
          },
        ),
      }),
    ),
  },
  { keepEmpty: true },
);

/** A 64-bit count, as far as a number can hold one: what is beyond is as large as can be told. */
const count: Value<number> = {
  parse: (raw) => (/^\d{1,20}$/.test(raw.trim()) ? Math.min(Number(raw), Number.MAX_SAFE_INTEGER) : undefined),
  format: String,
  json: { type: 'integer', minimum: 0 },
  expects: 'non-negative integer value',
};
const signed: Value<number> = {
  ...count,
  parse: (raw) => {
    const size = count.parse(raw.replace(/^\s*-/, ''));
    return size === undefined ? undefined : raw.trim().startsWith('-') && size !== 0 ? -size : size;
  },
  json: { type: 'integer' },
  expects: 'integer value',
};
const counted = leaf(count, { default: 0 });

/** Times in milliseconds (the first three since 1970), sizes in bytes; what is not told is none. */
const statistics = element(
  'statistics',
  {
    started: counted,
    stopped: counted,
    sent: counted,
    /** How much the target's clock is ahead of the source's. */
    delta: leaf(signed),
    time_elapsed: counted,
    downtime: leaf(count),
    setup_time: leaf(count),
    memory_total: counted,
    memory_processed: counted,
    memory_remaining: counted,
    memory_bps: counted,
    memory_constant: leaf(count),
    memory_normal: leaf(count),
    memory_normal_bytes: leaf(count),
    memory_dirty_rate: counted,
    memory_iteration: counted,
    memory_postcopy_requests: counted,
    memory_page_size: counted,
    disk_total: counted,
    disk_processed: counted,
    disk_remaining: counted,
    disk_bps: counted,
    compression_cache: leaf(count),
    compression_bytes: leaf(count),
    compression_pages: leaf(count),
    compression_cache_misses: leaf(count),
    compression_overflow: leaf(count),
    auto_converge_throttle: counted,
  },
  { keepEmpty: true },
);

const capabilities = element(
  'capabilities',
  {
    capabilities: many(
      element('cap', {
        name: attr(string, { required: 'missing migration capability name' }),
        auto: attr(yesNo, { required: true }),
      }),
    ),
  },
  { keepEmpty: 'open' },
);

const bitmapsRequired = 'malformed <blockDirtyBitmaps> in migration cookie';
const bitmapsNeeded = attr(string, { required: bitmapsRequired });

const blockDirtyBitmaps = element(
  'blockDirtyBitmaps',
  {
    disks: many(
      element('disk', {
        target: bitmapsNeeded,
        bitmaps: many(element('bitmap', { name: bitmapsNeeded, alias: bitmapsNeeded })),
      }),
    ),
  },
  { keepEmpty: 'open' },
);

const fields = {
  /** As on the source, also where the target gives it another. */
  name: leaf(string, missing('name')),
  uuid: leaf(string, missing('uuid')),
  hostname: leaf(string, missing('hostname')),
  hostuuid: leaf(string, missing('hostuuid')),
  /** What the reader must understand to go on. */
  features: many(element('feature', { name: attr(string, { required: 'missing feature name' }) })),
  graphics: one(graphics),
  lockstate: one(lockstate),
  /** The persistent definition. */
  domain: one(domain),
  network: one(network),
  nbd: one(nbd),
  statistics: one(statistics),
  cpu: one(cpu),
  capabilities: one(capabilities),
  blockDirtyBitmaps: one(blockDirtyBitmaps),
};

export const cookieDocument = element('qemu-migration', fields, {
  refine: (_model, source, context) => {
    const domains = source.children.filter(({ name }) => name === 'domain').length;
    if (domains > 1) context.fault('XML_ERROR', `Too many domain elements in migration cookie: ${domains}`);
  },
});
export type MigrationCookie = Model<typeof fields>;
