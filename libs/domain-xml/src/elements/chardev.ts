/**
 * Character devices: `<serial>`, `<parallel>`, `<console>`, `<channel>`, `<smartcard>`, `<redirdev>`, and the backends that
 * speak the same language. They share where their bytes go (`type`, `<source>`, `<protocol>`, `<log>`).
 */
import {
  element,
  attr,
  leaf,
  leaves,
  one,
  many,
  oneOf,
  string,
  yesNo,
  onOff,
  int,
  on,
  type Model,
  type ModelOf,
  type ReadContext,
} from '../schema';
import type { XmlElement } from '../xml/reader';
import { bootableInfo, deviceInfo, deviceSeclabel } from './device-info';
import { reconnect } from './storage-source';

export const characterTypes = [
  'null',
  'vc',
  'pty',
  'dev',
  'file',
  'pipe',
  'stdio',
  'udp',
  'tcp',
  'unix',
  'spicevmc',
  'spiceport',
  'nmdm',
  'qemu-vdagent',
  'dbus',
] as const;
export type CharacterType = (typeof characterTypes)[number];

const source = element('source', {
  mode: attr(oneOf('connect', 'bind')),
  host: attr(string),
  service: attr(string),
  path: attr(string),
  channel: attr(string),
  master: attr(string),
  slave: attr(string),
  append: attr(onOff),
  tls: attr(yesNo),
  reconnect: one(reconnect),
  seclabels: many(deviceSeclabel),
  clipboard: one(element('clipboard', { copypaste: attr(yesNo) })),
  mouse: one(element('mouse', { mode: attr(oneOf('server', 'client')) })),
});
export type CharacterSource = ModelOf<typeof source>;

/** The backend of a character device. */
export const characterBackend = {
  type: attr(oneOf(...characterTypes), {
    required: true,
    refuse: [
      'CONFIG_UNSUPPORTED',
      (raw: string) => `unknown type presented to host for character device: ${raw}`,
    ] as const,
  }),
  ...backendChildren(),
};

function backendChildren() {
  return {
    /** One, except that `udp` may have one to bind and one to connect. */
    sources: many(source),
    protocol: one(element('protocol', { type: attr(oneOf('raw', 'telnet', 'telnets', 'tls')) })),
    log: one(element('log', { file: attr(string), append: attr(onOff) })),
  };
}

/** What a backend of this type needs from its `<source>`. */
export function checkBackend(
  { type, sources }: { type: CharacterType; sources: CharacterSource[] },
  { name, line }: XmlElement,
  context: ReadContext,
): void {
  const where = { element: name, line };
  const first = sources[0];
  switch (type) {
    case 'file':
    case 'dev':
    case 'pipe':
      if (first?.path === undefined)
        context.fault('INTERNAL_ERROR', 'Missing source path attribute for char device', where);
      break;
    case 'nmdm':
      if (first?.master === undefined)
        context.fault('XML_ERROR', 'Missing master path attribute for nmdm device', where);
      else if (first.slave === undefined)
        context.fault('XML_ERROR', 'Missing slave path attribute for nmdm device', where);
      break;
    case 'tcp':
      if (sources.length > 1)
        context.fault('XML_ERROR', 'only one <source> element is allowed for a tcp character device', where);
      if (first?.host === undefined)
        context.fault('INTERNAL_ERROR', 'Missing source host attribute for char device', where);
      else if (first?.service === undefined)
        context.fault('INTERNAL_ERROR', 'Missing source service attribute for char device', where);
      break;
    case 'udp':
      if (sources.length > 2)
        context.fault('XML_ERROR', 'only two <source> elements are allowed for a udp character device', where);
      if (!sources.some((one) => one.mode !== 'bind' && one.service !== undefined))
        context.fault('INTERNAL_ERROR', 'Missing source service attribute for char device', where);
      break;
    case 'spiceport':
      if (first?.channel === undefined)
        context.fault('XML_ERROR', 'Missing source channel attribute for char device', where);
      else if (!/^[a-zA-Z0-9_.\-:]+$/.test(first.channel))
        context.fault('INVALID_ARG', 'Invalid character in source channel for char device', where);
      break;
    default:
  }
  if (type === 'tcp' || type === 'unix') {
    for (const one of sources)
      if (one.reconnect?.enabled && (one.mode === 'bind' || (type === 'unix' && one.path === undefined)))
        context.fault('INTERNAL_ERROR', 'chardev reconnect is possible only for connect mode', where);
  }
}

const serialTypes = [
  'isa-serial',
  'usb-serial',
  'pci-serial',
  'spapr-vio-serial',
  'system-serial',
  'sclp-serial',
  'isa-debug',
  'none',
] as const;
const serialModels = [
  'isa-serial',
  'usb-serial',
  'pci-serial',
  'spapr-vty',
  'pl011',
  'sclpconsole',
  'sclplmconsole',
  '16550a',
  'isa-debugcon',
] as const;

const port = attr(int({ min: 0, max: 2 ** 31 - 1 }, 'non-negative integer value'), {
  refuse: ['XML_ERROR', (raw: string) => `Invalid port number: ${raw}`] as const,
});

export const serial = element(
  'serial',
  {
    ...characterBackend,
    target: one(
      element('target', {
        type: attr(oneOf(...serialTypes), {
          omit: 'none',
          refuse: ['CONFIG_UNSUPPORTED', (raw) => `unknown target type '${raw}' specified for character device`],
        }),
        port,
        model: one(
          element('model', {
            name: attr(oneOf(...serialModels), {
              refuse: ['CONFIG_UNSUPPORTED', (raw) => `unknown target model '${raw}' specified for character device`],
            }),
          }),
        ),
      }),
    ),
    ...deviceInfo,
  },
  { refine: refineCharacter, alsoReads: ['tty'] },
);
export type Serial = ModelOf<typeof serial>;

export const parallel = element(
  'parallel',
  { ...characterBackend, target: one(element('target', { port })), ...deviceInfo },
  { refine: refineCharacter },
);
export type Parallel = ModelOf<typeof parallel>;

export const consoleTargets = [
  'serial',
  'xen',
  'uml',
  'virtio',
  'lxc',
  'openvz',
  'sclp',
  'sclplm',
  'isa-debug',
] as const;

const consoleFields = {
  ...characterBackend,
  type: attr(oneOf(...characterTypes), {
    default: 'pty',
    refuse: ['CONFIG_UNSUPPORTED', (raw) => `unknown type presented to host for character device: ${raw}`],
  }),
  tty: attr(string, { live: true }),
  ...backendChildren(),
  target: one(
    element('target', {
      type: attr(oneOf(...consoleTargets), {
        refuse: ['CONFIG_UNSUPPORTED', (raw) => `unknown target type '${raw}' specified for character device`],
      }),
      port,
    }),
  ),
  ...deviceInfo,
};
export type Console = Model<typeof consoleFields>;

export const console = element('console', consoleFields, {
  refine: refineCharacter,
  // Said twice: old clients look for the terminal here.
  shape: (model: Console) => (model.type === 'pty' ? { ...model, tty: model.sources[0]?.path } : model),
});

const channelFields = {
  ...characterBackend,
  target: one(
    element('target', {
      type: attr(oneOf('guestfwd', 'virtio', 'xen'), {
        refuse: ['CONFIG_UNSUPPORTED', (raw) => `unknown target type '${raw}' specified for character device`],
      }),
      address: attr(string),
      name: attr(string),
      port: attr(string),
      state: attr(oneOf('connected', 'disconnected'), { live: true }),
    }),
  ),
  ...deviceInfo,
};
export type Channel = Model<typeof channelFields>;
export const channel = element('channel', channelFields, { refine: refineChannel });

export type Character = {
  type: CharacterType;
  sources: CharacterSource[];
  protocol?: { type?: 'raw' | 'telnet' | 'telnets' | 'tls' | undefined } | undefined;
};

/** A socket that nobody chooses a path for. */
export function requirePath({ type, sources }: Character, { name, line }: XmlElement, context: ReadContext): void {
  if (type === 'unix' && sources[0]?.path === undefined)
    context.fault('INTERNAL_ERROR', 'Missing source path attribute for char device', { element: name, line });
}

/** libvirt's reading of a backend: modes and protocols that need not be said, and data that is a running guest's. */
export function refineCharacter(model: Character, source: XmlElement, context: ReadContext): void {
  checkBackend(model, source, context);
  const first = model.sources[0];
  if (model.type === 'tcp' || model.type === 'udp') for (const one of model.sources) one.mode ??= 'connect';
  if (model.type === 'udp') model.sources.sort((a, b) => (a.mode ?? '').localeCompare(b.mode ?? ''));
  if (model.type === 'tcp') model.protocol = { type: model.protocol?.type ?? 'raw' };
  else delete model.protocol;
  if (model.type === 'pty' && first && !context.live) delete first.path;
  if (model.type === 'unix' && first?.path !== undefined) first.mode ??= 'connect';
  else if (model.type === 'unix') model.sources = [];
}

function refineChannel(model: Channel, source: XmlElement, context: ReadContext): void {
  refineCharacter(model, source, context);
  const where = { element: 'channel', line: source.line };
  const { target } = model;
  if (target?.type === undefined)
    context.fault('XML_ERROR', 'character device target type must be given: guestfwd, virtio or xen', where);
  else if (target.type === 'guestfwd') {
    if (target.address === undefined)
      context.fault('XML_ERROR', 'guestfwd channel does not define a target address', where);
    else if (target.port === undefined)
      context.fault('XML_ERROR', 'guestfwd channel does not define a target port', where);
  }
}

const smartcardFields = {
  mode: attr(oneOf('host', 'host-certificates', 'passthrough'), {
    required: true,
    refuse: ['CONFIG_UNSUPPORTED', (raw) => `unknown smartcard device mode: ${raw}`],
  }),
  type: attr(oneOf(...characterTypes), { when: on('mode', 'passthrough') }),
  ...backendChildren(),
  certificates: leaves(string, { name: 'certificate', when: on('mode', 'host-certificates') }),
  database: leaf(string, { when: on('mode', 'host-certificates') }),
  ...deviceInfo,
};
export type Smartcard = Model<typeof smartcardFields>;
export const smartcard = element('smartcard', smartcardFields, {
  refine: (model: Smartcard, source, context) => {
    if (model.type === undefined) return;
    refineCharacter(model as Character, source, context);
    requirePath(model as Character, source, context);
  },
});

export const redirdev = element(
  'redirdev',
  { bus: attr(oneOf('usb'), { default: 'usb' }), ...characterBackend, ...bootableInfo },
  {
    refine: (model: Character, source, context) => {
      refineCharacter(model, source, context);
      requirePath(model, source, context);
    },
  },
);
export type Redirdev = ModelOf<typeof redirdev>;

export { backendChildren, source as characterSource };
