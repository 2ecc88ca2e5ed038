/** `<graphics>`: VNC, SPICE and the other ways to look at a guest's screen. */
import {
  element,
  attr,
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

export const graphicsTypes = ['sdl', 'vnc', 'rdp', 'desktop', 'spice', 'egl-headless', 'dbus'] as const;

const port = int({ min: -1, max: 65535 });

const listen = element('listen', {
  type: attr(oneOf('none', 'address', 'network', 'socket'), { required: true }),
  address: attr(string),
  network: attr(string),
  socket: attr(string),
});
export type GraphicsListen = ModelOf<typeof listen>;

const compression = (name: string) =>
  element(name, { compression: attr(oneOf('auto', 'never', 'always'), { required: true }) });

const fields = {
  type: attr(oneOf(...graphicsTypes), {
    required: true,
    refuse: ['INTERNAL_ERROR', (raw) => `unknown graphics device type '${raw}'`],
  }),
  display: attr(string, { when: on('type', 'sdl', 'desktop') }),
  xauth: attr(string, { when: on('type', 'sdl') }),
  fullscreen: attr(yesNo, { when: on('type', 'sdl', 'desktop') }),
  socket: attr(string, { when: on('type', 'vnc') }),
  port: attr(port),
  tlsPort: attr(port, { when: on('type', 'spice') }),
  autoport: attr(yesNo),
  replaceUser: attr(yesNo, { when: on('type', 'rdp') }),
  multiUser: attr(yesNo, { when: on('type', 'rdp') }),
  websocket: attr(port, { when: on('type', 'vnc') }),
  listen: attr(string),
  keymap: attr(string, { when: on('type', 'vnc', 'spice') }),
  defaultMode: attr(oneOf('any', 'secure', 'insecure'), { when: on('type', 'spice'), omit: 'any' }),
  sharePolicy: attr(oneOf('default', 'allow-exclusive', 'force-shared', 'ignore'), { when: on('type', 'vnc') }),
  powerControl: attr(yesNo, { when: on('type', 'vnc') }),
  username: attr(string, { when: on('type', 'rdp') }),
  passwd: attr(string, { secret: true }),
  passwdValidTo: attr(string, { secret: true }),
  connected: attr(oneOf('default', 'fail', 'disconnect', 'keep')),
  address: attr(string, { when: on('type', 'dbus') }),
  p2p: attr(yesNo, { when: on('type', 'dbus') }),
  listens: many(listen),
  channels: many(
    element('channel', {
      name: attr(oneOf('main', 'display', 'inputs', 'cursor', 'playback', 'record', 'smartcard', 'usbredir'), {
        required: true,
      }),
      mode: attr(oneOf('any', 'secure', 'insecure'), { required: true }),
    }),
  ),
  image: one(
    element('image', {
      compression: attr(oneOf('auto_glz', 'auto_lz', 'quic', 'glz', 'lz', 'off'), { required: true }),
    }),
  ),
  jpeg: one(compression('jpeg')),
  zlib: one(compression('zlib')),
  playback: one(element('playback', { compression: attr(onOff, { required: true }) })),
  streaming: one(element('streaming', { mode: attr(oneOf('filter', 'all', 'off'), { required: true }) })),
  mouse: one(element('mouse', { mode: attr(oneOf('client', 'server'), { required: true }) })),
  clipboard: one(element('clipboard', { copypaste: attr(yesNo, { required: true }) })),
  filetransfer: one(element('filetransfer', { enable: attr(yesNo, { required: true }) })),
  gl: one(element('gl', { enable: attr(yesNo), rendernode: attr(string) })),
  audio: one(element('audio', { id: attr(int({ min: 0, max: 2 ** 32 - 1 }), { required: true }) })),
};
export type Graphics = Model<typeof fields>;

export const graphics = element('graphics', fields, { refine: refineGraphics, shape: shapeGraphics });

const listening = new Set<string>(['vnc', 'spice', 'rdp']);

/** The old `listen` and `socket` attributes are the first `<listen>`; -1 stands for a port chosen at start. */
function refineGraphics(model: Graphics, source: XmlElement, context: ReadContext): void {
  const where = { element: 'graphics', line: source.line };
  if (!listening.has(model.type)) return;
  refineListens(model, where, context);
  if (model.listens.length === 0) model.listens.push({ type: 'address' });
  if (model.port === -1 || (model.type === 'vnc' && model.port === undefined && model.autoport === undefined)) {
    if (model.type === 'vnc' || model.type === 'rdp') model.autoport = model.port === -1 ? true : model.autoport;
  }
  if (model.autoport && !context.live) {
    delete model.port;
    if (model.type === 'spice') delete model.tlsPort;
  }
  if (model.port === -1 || model.port === 0) delete model.port;
}

function refineListens(model: Graphics, where: { element: string; line: number }, context: ReadContext): void {
  const { socket, listen } = model;
  delete model.socket;
  delete model.listen;
  const socketListen = model.listens.find((one) => one.type === 'socket');
  const first = model.listens[0];
  if (socketListen && socket !== undefined && socketListen.socket !== undefined && socketListen.socket !== socket)
    context.fault(
      'XML_ERROR',
      `graphics 'socket' attribute '${socket}' must match 'socket' attribute of first listen element (found '${socketListen.socket}')`,
      where,
    );
  else if (first?.type === 'address' && listen !== undefined && first.address !== undefined && first.address !== listen)
    context.fault(
      'XML_ERROR',
      `graphics 'listen' attribute '${listen}' must match 'address' attribute of first listen element (found '${first.address}')`,
      where,
    );
  else if (socket !== undefined && !socketListen) model.listens.splice(0, 1, { type: 'socket', socket });
  else if (socket !== undefined && socketListen) socketListen.socket ??= socket;
  else if (listen !== undefined && first === undefined)
    model.listens.push(
      listen.startsWith('/') && model.type === 'vnc'
        ? { type: 'socket', socket: listen }
        : { type: 'address', address: listen },
    );
  else if (listen !== undefined && first?.type === 'address') first.address ??= listen;
}

/** Repeats the first `<listen>` in the old attributes, which older clients read. */
function shapeGraphics(model: Graphics, { view }: { view: 'inactive' | 'live' }): object {
  if (!listening.has(model.type)) return model;
  const first = model.listens[0];
  const out: Graphics = { ...model };
  const showsPorts = first === undefined || first.type === 'address' || first.type === 'network';
  if (showsPorts) {
    if (model.type === 'vnc') {
      if (model.port === undefined || (model.autoport === true && view === 'inactive')) out.port = -1;
      out.autoport = model.autoport ?? model.port === undefined;
      if (out.port === -1) out.autoport = true;
    } else if (model.autoport && view === 'inactive') {
      delete out.port;
      delete out.tlsPort;
      if (model.type === 'rdp') out.port = 0;
    }
    if (first?.address !== undefined && (first.type === 'address' || view === 'live')) out.listen = first.address;
  } else {
    delete out.port;
    delete out.tlsPort;
    delete out.autoport;
    delete out.websocket;
    if (first.type === 'socket' && first.socket !== undefined && model.type === 'vnc') out.socket = first.socket;
  }
  out.listens = model.listens.map((one) =>
    one.type === 'network' && view === 'inactive' ? { ...one, address: undefined } : one,
  );
  return out;
}
