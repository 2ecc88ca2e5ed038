/** What a guest shows and sounds like: `-vnc`, `-spice`, `-display`, `-vga`, video devices, sound cards and their backends. */
import { peek, type DeviceSketch, type Draft } from './draft';
import { leaveOut } from './character';
import { NotUnderstood } from './not-understood';
import type { Places } from './places';
import type { Values } from './values';
import { optional, virtioDriver, virtioName } from './virtio';

type Graphics = DeviceSketch<'graphics'>;
type Video = DeviceSketch<'videos'>;
type VideoType = NonNullable<NonNullable<Video['model']>['type']>;
type SoundModel = NonNullable<DeviceSketch<'sounds'>['model']>;
type AudioType = NonNullable<DeviceSketch<'audios'>['type']>;

export function readDisplay(draft: Draft, places: Places): void {
  const audios = readAudios(draft);
  for (const option of draft.open('-vnc')) {
    if (option.value === 'none') option.state = 'read';
    else draft.understand(option, (_, values) => vncOf(draft, values, audios));
  }
  for (const option of draft.open('-spice')) draft.understand(option, (_, values) => spiceOf(draft, values));
  readWindows(draft);
  draft.each(['-k'], (keymap) => {
    const [screen] = (draft.domain.devices.graphics ?? []).filter(({ type }) => type === 'vnc' || type === 'spice');
    if (!screen) throw new NotUnderstood('there is no VNC or SPICE display that it could be for');
    screen.keymap = keymap;
  });
  readVideos(draft, places);
  readSounds(draft, places, audios);
}

const audioTypes: Readonly<Record<string, AudioType>> = {
  pa: 'pulseaudio',
  wav: 'file',
  none: 'none',
  alsa: 'alsa',
  coreaudio: 'coreaudio',
  jack: 'jack',
  oss: 'oss',
  sdl: 'sdl',
  spice: 'spice',
  dbus: 'dbus',
  pipewire: 'pipewire',
};

/** Numbers of the audio backends in the document, by the ids they have on the line. */
function readAudios(draft: Draft): Map<string, number> {
  const numbers = new Map<string, number>();
  for (const option of draft.open('-audiodev')) {
    draft.understand(option, (_, values) => {
      const id = values.take('id') ?? '';
      const type = audioTypes[values.take('driver') ?? ''];
      if (!type) throw new NotUnderstood('its driver has no place in a document');
      const wish = Number(/^audio(\d+)$/.exec(id)?.[1] ?? 0);
      const taken = [...numbers.values()];
      const number = wish > 0 && !taken.includes(wish) ? wish : Math.max(0, ...taken) + 1;
      const audio = {
        id: number,
        type,
        ...optional('serverName', values.take('server')),
        ...optional('path', values.take('path')),
      };
      return () => {
        numbers.set(id, number);
        draft.add('audios', audio);
      };
    });
  }
  return numbers;
}

function audioOf(values: Values, audios: ReadonlyMap<string, number>): { audio?: { id: number } } {
  const id = values.take('audiodev');
  if (id === undefined) return {};
  const number = audios.get(id);
  if (number === undefined) throw new NotUnderstood(`audio backend '${id}' is not in the document`);
  // The first one need not be named.
  return number === Math.min(...audios.values()) ? {} : { audio: { id: number } };
}

function vncOf(draft: Draft, values: Values, audios: ReadonlyMap<string, number>): () => void {
  const address = values.take('vnc', 'address') ?? '';
  const screen: Graphics = { type: 'vnc', ...audioOf(values, audios) };
  const port = /^(?:\[([^\]]*)\]|([^:]*)):(\d+)$/.exec(address);
  if (address.startsWith('unix:')) screen.listens = [{ type: 'socket', socket: address.slice('unix:'.length) }];
  else if (port) {
    screen.port = 5900 + Number(port[3]);
    // Without an address QEMU listens on all.
    screen.listens = [{ type: 'address', address: port[1] ?? (port[2] === '' ? '0.0.0.0' : port[2]) }];
  } else throw new NotUnderstood(`'${address}' is no address of a VNC display`);
  const websocket = values.takeNumber('websocket');
  const share = values.take('share') as Graphics['sharePolicy'];
  const power = values.takeFlag('power-control');
  Object.assign(
    screen,
    optional('websocket', websocket),
    optional('sharePolicy', share),
    optional('powerControl', power),
  );
  if (values.peek('password') === 'on')
    throw new NotUnderstood('its password is not on the line; a document names it in passwd');
  return () => draft.add('graphics', screen);
}

function spiceOf(draft: Draft, values: Values): () => void {
  const flag = (name: string): boolean | undefined => values.takeFlag(name);
  const address = values.take('addr');
  values.take('seamless-migration');
  if (!flag('disable-ticketing'))
    throw new NotUnderstood('its password is not on the line; a document names it in passwd');
  const isSocket = flag('unix');
  const mouse = flag('agent-mouse');
  const [copy, transfer, gl] = [flag('disable-copy-paste'), flag('disable-agent-file-xfer'), flag('gl')];
  const [image, streaming] = [values.take('image-compression'), values.take('streaming-video')];
  const playback = flag('playback-compression');
  const screen: Graphics = {
    type: 'spice',
    ...optional('port', values.takeNumber('port')),
    ...optional('tlsPort', values.takeNumber('tls-port')),
    listens: [isSocket ? { type: 'socket', socket: address } : { type: 'address', address: address ?? '0.0.0.0' }],
    ...(image !== undefined && { image: { compression: image as 'off' } }),
    ...(streaming !== undefined && { streaming: { mode: streaming as 'off' } }),
    ...(playback !== undefined && { playback: { compression: playback } }),
    ...(mouse !== undefined && { mouse: { mode: mouse ? 'client' : 'server' } }),
    ...(copy && { clipboard: { copypaste: false } }),
    ...(transfer && { filetransfer: { enable: false } }),
    ...(gl !== undefined && { gl: { enable: gl, ...optional('rendernode', values.take('rendernode')) } }),
  };
  return () => draft.add('graphics', screen);
}

/** Windows on the desktop of whoever starts QEMU: a guest of a host has none, and gets a screen over the network. */
function readWindows(draft: Draft): void {
  const { domain, warnings } = draft;
  let isHidden = draft.isBare;
  let window: string | undefined;
  for (const option of draft.open('-nographic', '-display', '-sdl', '-curses')) {
    const kind = option.flag === '-display' ? /^[^,]*/.exec(option.value ?? '')![0] : option.flag.slice(1);
    if (kind === 'none' || kind === 'nographic') {
      isHidden = true;
      option.state = 'read';
    } else if (kind === 'egl-headless') {
      draft.add('graphics', { type: 'egl-headless' });
      option.state = 'read';
    } else if (['gtk', 'sdl', 'curses', 'cocoa'].includes(kind)) {
      window = kind;
      leaveOut(option, 'a guest in the background has no window; the document has a VNC display instead');
    }
  }
  if ((domain.devices.graphics ?? []).length > 0 || (isHidden && window === undefined)) return;
  draft.add('graphics', { type: 'vnc', port: -1, autoport: true });
  if (window === undefined) warnings.push('QEMU would open a window; the document has a VNC display instead');
}

const vgaTypes: Readonly<Record<string, VideoType>> = {
  std: 'vga',
  cirrus: 'cirrus',
  vmware: 'vmvga',
  qxl: 'qxl',
  virtio: 'virtio',
};
const videoDrivers: Readonly<Record<string, VideoType>> = {
  VGA: 'vga',
  'secondary-vga': 'vga',
  'cirrus-vga': 'cirrus',
  'vmware-svga': 'vmvga',
  'qxl-vga': 'qxl',
  qxl: 'qxl',
  'virtio-vga': 'virtio',
  'virtio-vga-gl': 'virtio',
  'virtio-gpu': 'virtio',
  'virtio-gpu-gl': 'virtio',
  'bochs-display': 'bochs',
  ramfb: 'ramfb',
};

function readVideos(draft: Draft, places: Places): void {
  for (const option of draft.open('-device')) {
    const { name } = virtioName(peek(option, 'driver') ?? '');
    if (videoDrivers[name]) draft.understand(option, (_, values) => videoOf(draft, places, values, name));
  }
  const isSaid = draft.line.options.some(({ flag }) => flag === '-vga');
  draft.each(['-vga'], (kind) => {
    if (kind === 'none') return;
    const type = vgaTypes[kind];
    if (!type) throw new NotUnderstood(`'${kind}' has no place in a document`);
    draft.add('videos', { model: { type } });
  });
  const { videos } = draft.domain.devices;
  const none = (videos ?? []).length === 0;
  // The card that a PC has when nobody says anything (QEMU 7.2, `default_display`).
  const machine = draft.domain.os?.type?.machine ?? 'pc';
  if (none && !isSaid && !draft.isBare && /^pc|q35/.test(machine)) draft.add('videos', { model: { type: 'vga' } });
  else if (none && (draft.domain.devices.graphics ?? []).length > 0) draft.add('videos', { model: { type: 'none' } });
}

const mib = 1024;

function videoOf(draft: Draft, places: Places, values: Values, name: string): () => void {
  values.take('driver');
  values.take('id');
  const type = videoDrivers[name]!;
  const megabytes = values.takeNumber('vgamem_mb');
  const bytes = (key: string): number | undefined => {
    const size = values.takeNumber(key);
    return size === undefined ? undefined : size / 1024;
  };
  const [x, y] = [values.takeNumber('xres'), values.takeNumber('yres')];
  const memory = megabytes === undefined ? undefined : megabytes * mib;
  const is3d = name.endsWith('-gl') || values.takeFlag('virgl');
  const model: NonNullable<Video['model']> = {
    type,
    ...optional('heads', values.takeNumber('max_outputs')),
    ...(type === 'qxl'
      ? {
          ...optional('ram', bytes('ram_size')),
          ...optional('vram', bytes('vram_size')),
          ...optional('vgamem', memory),
          ...vram64(values),
        }
      : type === 'bochs'
        ? optional('vram', bytes('vgamem'))
        : optional('vram', memory)),
    ...(x !== undefined && y !== undefined && { resolution: { x, y } }),
    ...optional('blob', values.takeFlag('blob')),
    ...(is3d !== undefined && type === 'virtio' && { acceleration: { accel3d: is3d } }),
  };
  const video: Video = { model, ...virtioDriver(values), ...places.address(values) };
  return () => draft.add('videos', video);
}

function vram64(values: Values): { vram64?: number } {
  const size = values.takeNumber('vram64_size_mb');
  return size ? { vram64: size * mib } : {};
}

const soundDrivers: Readonly<Record<string, SoundModel>> = {
  AC97: 'ac97',
  ES1370: 'es1370',
  sb16: 'sb16',
  'intel-hda': 'ich6',
  'ich9-intel-hda': 'ich9',
  'usb-audio': 'usb',
  'virtio-sound': 'virtio',
};
const oldNames: Readonly<Record<string, SoundModel>> = {
  ac97: 'ac97',
  es1370: 'es1370',
  sb16: 'sb16',
  hda: 'ich6',
  pcspk: 'pcspk',
};
const codecs: Readonly<Record<string, 'duplex' | 'micro' | 'output'>> = {
  'hda-duplex': 'duplex',
  'hda-micro': 'micro',
  'hda-output': 'output',
};

function readSounds(draft: Draft, places: Places, audios: ReadonlyMap<string, number>): void {
  for (const option of draft.open('-device')) {
    const { name } = virtioName(peek(option, 'driver') ?? '');
    const model = soundDrivers[name];
    if (!model) continue;
    draft.understand(option, (attempt, values) => {
      const backend: { audio?: { id: number } } = {};
      values.take('driver');
      const id = values.take('id');
      const found = attempt.findDevices(
        (one) => codecs[peek(one, 'driver') ?? ''] !== undefined && peek(one, 'bus') === `${id}.0`,
      );
      const types = found.map((codec) => {
        for (const known of ['id', 'bus', 'cad']) codec.take(known);
        Object.assign(backend, audioOf(codec, audios));
        return { type: codecs[codec.take('driver')!]! };
      });
      Object.assign(backend, audioOf(values, audios));
      const streams = values.takeNumber('streams');
      const multi = values.takeFlag('multi');
      // One that plays and records is what a card has in any case.
      const isPlain = types.length === 1 && types[0]!.type === 'duplex';
      const sound = {
        model,
        ...(types.length > 0 && !isPlain && { codecs: types }),
        ...backend,
        ...virtioDriver(values),
        ...optional('streams', streams),
        ...optional('multichannel', multi),
        ...(name === 'usb-audio' ? places.usb(values) : places.address(values)),
      };
      return () => draft.add('sounds', sound);
    });
  }
  draft.each(['-soundhw'], (names) => {
    const models = names.split(',').map((name) => oldNames[name]);
    if (models.some((model) => model === undefined)) throw new NotUnderstood(`'${names}' has no place in a document`);
    for (const model of models) draft.add('sounds', { model });
  });
}
