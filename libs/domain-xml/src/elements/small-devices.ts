/** Devices with little to say: input, rng, balloon, watchdog, panic, vsock, iommu, crypto, shmem, hub, NVRAM, pstore, lease. */
import {
  element,
  attr,
  leaf,
  one,
  many,
  text,
  oneOf,
  string,
  pattern,
  yesNo,
  onOff,
  uint,
  ulong,
  int,
  kib,
  on,
  type ModelOf,
} from '../schema';
import { characterTypes, backendChildren, refineCharacter, requirePath } from './chardev';
import { deviceInfo, virtioDriver } from './device-info';

const virtioModels = ['virtio', 'virtio-transitional', 'virtio-non-transitional'] as const;

export const input = element('input', {
  type: attr(oneOf('mouse', 'tablet', 'keyboard', 'passthrough', 'evdev'), {
    required: true,
    refuse: ['XML_ERROR', (raw) => `unknown input device type '${raw}'`],
  }),
  bus: attr(oneOf('ps2', 'usb', 'xen', 'parallels', 'virtio', 'none'), {
    omit: 'none',
    refuse: ['XML_ERROR', (raw) => `unknown input bus type '${raw}'`],
  }),
  model: attr(oneOf(...virtioModels)),
  driver: one(virtioDriver),
  source: one(
    element('source', {
      evdev: attr(string),
      dev: attr(string),
      grab: attr(oneOf('all')),
      grabToggle: attr(oneOf('ctrl-ctrl', 'alt-alt', 'shift-shift', 'meta-meta', 'scrolllock', 'ctrl-scrolllock')),
      repeat: attr(onOff),
    }),
  ),
  ...deviceInfo,
});
export type Input = ModelOf<typeof input>;

export const rng = element('rng', {
  model: attr(oneOf(...virtioModels), { required: true }),
  rate: one(element('rate', { bytes: attr(uint, { required: true }), period: attr(uint) })),
  backend: one(
    element(
      'backend',
      {
        model: attr(oneOf('random', 'egd', 'builtin'), { required: true }),
        type: attr(oneOf(...characterTypes), { when: on('model', 'egd') }),
        path: text(string),
        ...backendChildren(),
      },
      {
        refine: (model, source, context) => {
          if (model.type === undefined) return;
          refineCharacter({ ...model, type: model.type }, source, context);
          requirePath({ ...model, type: model.type }, source, context);
          if (model.type === 'tcp') model.protocol ??= { type: 'raw' };
          else delete model.protocol;
        },
      },
    ),
    { required: true },
  ),
  driver: one(virtioDriver),
  ...deviceInfo,
});
export type Rng = ModelOf<typeof rng>;

export const memballoon = element('memballoon', {
  model: attr(oneOf(...virtioModels, 'xen', 'none'), { required: true }),
  autodeflate: attr(onOff),
  freePageReporting: attr(onOff),
  stats: one(element('stats', { period: attr(uint) })),
  ...deviceInfo,
  driver: one(virtioDriver),
});
export type Memballoon = ModelOf<typeof memballoon>;

export const watchdog = element('watchdog', {
  model: attr(oneOf('i6300esb', 'ib700', 'diag288', 'itco'), { required: true }),
  action: attr(oneOf('reset', 'shutdown', 'poweroff', 'pause', 'dump', 'none', 'inject-nmi'), { default: 'reset' }),
  ...deviceInfo,
});
export type Watchdog = ModelOf<typeof watchdog>;

export const panic = element('panic', {
  model: attr(oneOf('isa', 'pseries', 'hyperv', 's390', 'pvpanic')),
  ...deviceInfo,
});
export type Panic = ModelOf<typeof panic>;

export const vsock = element('vsock', {
  model: attr(oneOf(...virtioModels)),
  cid: one(element('cid', { auto: attr(yesNo), address: attr(uint) })),
  ...deviceInfo,
  driver: one(virtioDriver),
});
export type Vsock = ModelOf<typeof vsock>;

export const iommu = element('iommu', {
  model: attr(oneOf('intel', 'smmuv3', 'virtio'), { required: true }),
  driver: one(
    element('driver', {
      intremap: attr(onOff),
      caching_mode: attr(onOff),
      eim: attr(onOff),
      iotlb: attr(onOff),
      aw_bits: attr(uint),
      dma_translation: attr(onOff),
    }),
  ),
  ...deviceInfo,
});
export type Iommu = ModelOf<typeof iommu>;

export const crypto = element('crypto', {
  model: attr(oneOf('virtio'), { required: true }),
  type: attr(oneOf('qemu'), { required: true }),
  backend: one(element('backend', { model: attr(oneOf('builtin', 'lkcf'), { required: true }), queues: attr(uint) }), {
    required: true,
  }),
  driver: one(virtioDriver),
  ...deviceInfo,
});
export type Crypto = ModelOf<typeof crypto>;

/** A size in bytes that is written in MiB. */
const mib = { ...kib, unit: { name: 'M', scale: 1024 ** 2 } };

export const shmem = element('shmem', {
  name: attr(string, { required: true }),
  role: attr(oneOf('master', 'peer')),
  model: one(element('model', { type: attr(oneOf('ivshmem', 'ivshmem-plain', 'ivshmem-doorbell')) })),
  size: leaf(mib),
  server: one(element('server', { path: attr(string) }, { keepEmpty: true })),
  msi: one(element('msi', { vectors: attr(uint), ioeventfd: attr(onOff) }, { keepEmpty: true })),
  ...deviceInfo,
});
export type Shmem = ModelOf<typeof shmem>;

export const hub = element('hub', { type: attr(oneOf('usb'), { required: true }), ...deviceInfo });
export type Hub = ModelOf<typeof hub>;

export const nvramDevice = element('nvram', { ...deviceInfo });

export const pstore = element('pstore', {
  backend: attr(oneOf('acpi-erst'), { required: true }),
  path: leaf(string),
  size: leaf(kib),
  ...deviceInfo,
});

export const lease = element('lease', {
  lockspace: leaf(string),
  key: leaf(string, { required: true }),
  target: one(element('target', { path: attr(string, { required: true }), offset: attr(ulong) }), { required: true }),
});

/** A release number of two decimals; -1 stands for any. */
const usbVersion = pattern(/^(-1|\d{1,2}(\.\d{1,2})?)$/, "a version such as '2.10'", (raw) => {
  const [major = '', minor = ''] = raw.split('.');
  return raw === '-1' ? raw : `${major}.${minor.padEnd(2, '0')}`;
});

export const redirfilter = element('redirfilter', {
  usbdevs: many(
    element('usbdev', {
      class: attr(usbIdValue(2), { omit: -1 }),
      vendor: attr(usbIdValue(4), { omit: -1 }),
      product: attr(usbIdValue(4), { omit: -1 }),
      version: attr(usbVersion, { omit: '-1' }),
      allow: attr(yesNo, { required: true }),
    }),
  ),
});

/** -1 stands for any. */
function usbIdValue(digits: number) {
  return {
    ...int({ min: -1, max: 0xffff }),
    format: (id: number) => (id < 0 ? '-1' : `0x${id.toString(16).toUpperCase().padStart(digits, '0')}`),
  };
}
