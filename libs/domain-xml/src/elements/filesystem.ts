/** `<filesystem>`: a folder of the host inside the guest. */
import {
  element,
  attr,
  leaf,
  flag,
  one,
  many,
  oneOf,
  string,
  onOff,
  uint,
  ulong,
  bytes,
  unitScale,
  type Model,
} from '../schema';
import { bootableInfo, virtioOptions } from './device-info';

const idRange = (name: string) =>
  element(name, {
    start: attr(uint, { required: true }),
    target: attr(uint, { required: true }),
    count: attr(uint, { required: true }),
  });

/** How user and group ids of the guest map to those of the host. */
export const idmap = element('idmap', { uids: many(idRange('uid')), gids: many(idRange('gid')) });

const binary = element('binary', {
  path: attr(string),
  xattr: attr(onOff),
  cache: one(element('cache', { mode: attr(oneOf('none', 'always')) })),
  sandbox: one(element('sandbox', { mode: attr(oneOf('namespace', 'chroot')) })),
  lock: one(element('lock', { posix: attr(onOff), flock: attr(onOff) })),
  thread_pool: one(element('thread_pool', { size: attr(uint) })),
  openfiles: one(element('openfiles', { max: attr(uint) })),
});

const mode = {
  ...uint,
  parse: (raw: string) => (/^0?[0-7]{1,3}$/.test(raw) ? Number.parseInt(raw, 8) : undefined),
  format: (bits: number) => bits.toString(8).padStart(4, '0'),
};

const fields = {
  type: attr(oneOf('mount', 'block', 'file', 'template', 'ram', 'bind', 'volume'), {
    default: 'mount',
    refuse: ['CONFIG_UNSUPPORTED', (raw) => `unknown filesystem type '${raw}'`],
  }),
  accessmode: attr(oneOf('passthrough', 'mapped', 'squash')),
  model: attr(oneOf('virtio', 'virtio-transitional', 'virtio-non-transitional')),
  multidevs: attr(oneOf('default', 'remap', 'forbid', 'warn')),
  fmode: attr(mode),
  dmode: attr(mode),
  driver: one(
    element('driver', {
      type: attr(oneOf('default', 'path', 'handle', 'loop', 'nbd', 'ploop', 'virtiofs', 'mtp')),
      format: attr(string),
      wrpolicy: attr(oneOf('immediate')),
      queue: attr(uint),
      ...virtioOptions,
    }),
  ),
  binary: one(binary),
  idmap: one(idmap),
  source: one(
    element('source', {
      dir: attr(string),
      file: attr(string),
      dev: attr(string),
      name: attr(string),
      socket: attr(string),
      pool: attr(string),
      volume: attr(string),
      /** In KiB, which `units` then says. */
      usage: attr(ulong),
      units: attr(string),
    }),
  ),
  target: one(element('target', { dir: attr(string) })),
  readonly: flag(),
  space_hard_limit: leaf(bytes),
  space_soft_limit: leaf(bytes),
  ...bootableInfo,
};
export type Filesystem = Model<typeof fields>;

export const filesystem = element('filesystem', fields, {
  refine: ({ type, source }: Filesystem, { line }, context) => {
    if (type !== 'ram' || source?.usage === undefined) return;
    // A file system in memory has its size in KiB, whatever unit the document uses.
    const scale = unitScale(source.units ?? 'KiB');
    if (scale === undefined)
      context.fault('INVALID_ARG', `unknown suffix '${source.units}'`, { element: 'source', line });
    source.usage = Math.ceil((source.usage * (scale ?? 1024)) / 1024);
    source.units = 'KiB';
  },
});
