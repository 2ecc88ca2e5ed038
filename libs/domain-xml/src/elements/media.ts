/** What a guest shows and sounds like: `<video>`, `<sound>`, `<audio>`. */
import { element, attr, one, many, oneOf, string, yesNo, onOff, uint, int, on, type ModelOf } from '../schema';
import { deviceInfo, virtioOptions, virtioDriver } from './device-info';

const acceleration = element('acceleration', { accel2d: attr(yesNo), accel3d: attr(yesNo), rendernode: attr(string) });

export const video = element('video', {
  driver: one(
    element('driver', {
      ...virtioOptions,
      name: attr(oneOf('qemu', 'vhostuser')),
      vgaconf: attr(oneOf('io', 'on', 'off')),
    }),
  ),
  model: one(
    element('model', {
      type: attr(
        oneOf(
          'default',
          'vga',
          'cirrus',
          'vmvga',
          'xen',
          'vbox',
          'qxl',
          'parallels',
          'virtio',
          'gop',
          'none',
          'bochs',
          'ramfb',
        ),
        { default: 'default', refuse: ['XML_ERROR', (raw) => `unknown video model '${raw}'`] },
      ),
      ram: attr(uint, { when: on('type', 'qxl'), omit: 0 }),
      vram: attr(uint, { omit: 0 }),
      vram64: attr(uint, { when: on('type', 'qxl'), omit: 0 }),
      vgamem: attr(uint, { when: on('type', 'qxl'), omit: 0 }),
      heads: attr(uint, { omit: 0 }),
      primary: attr(yesNo, { omit: false }),
      blob: attr(onOff),
      acceleration: one(acceleration),
      resolution: one(element('resolution', { x: attr(uint, { required: true }), y: attr(uint, { required: true }) })),
    }),
  ),
  ...deviceInfo,
});
export type Video = ModelOf<typeof video>;
export type VideoType = NonNullable<Video['model']>['type'];

export const sound = element('sound', {
  model: attr(oneOf('sb16', 'es1370', 'pcspk', 'ac97', 'ich6', 'ich9', 'usb', 'ich7', 'virtio'), {
    required: true,
    refuse: ['XML_ERROR', (raw) => `Invalid value for attribute 'model' in element 'sound': '${raw}'`],
  }),
  multichannel: attr(yesNo),
  streams: attr(uint),
  codecs: many(element('codec', { type: attr(oneOf('duplex', 'micro', 'output'), { required: true }) })),
  audio: one(element('audio', { id: attr(uint, { required: true }) })),
  ...deviceInfo,
  driver: one(virtioDriver),
});
export type Sound = ModelOf<typeof sound>;

const stream = (name: 'input' | 'output') =>
  element(name, {
    mixingEngine: attr(yesNo),
    fixedSettings: attr(yesNo),
    voices: attr(uint),
    bufferLength: attr(uint),
    dev: attr(string),
    bufferCount: attr(uint),
    tryPoll: attr(yesNo),
    serverName: attr(string),
    clientName: attr(string),
    connectPorts: attr(string),
    exactName: attr(yesNo),
    name: attr(string),
    streamName: attr(string),
    latency: attr(uint),
    settings: one(
      element('settings', {
        frequency: attr(uint),
        channels: attr(uint),
        format: attr(oneOf('s8', 'u8', 's16', 'u16', 's32', 'u32', 'f32')),
      }),
    ),
  });

export const audio = element('audio', {
  id: attr(int({ min: 1, max: 2 ** 31 - 1 }), { required: true }),
  type: attr(
    oneOf('none', 'alsa', 'coreaudio', 'jack', 'oss', 'pulseaudio', 'sdl', 'spice', 'file', 'dbus', 'pipewire'),
    {
      required: true,
    },
  ),
  timerPeriod: attr(uint),
  serverName: attr(string, { when: on('type', 'pulseaudio') }),
  runtimeDir: attr(string, { when: on('type', 'pipewire') }),
  driver: attr(oneOf('esd', 'alsa', 'arts', 'pulseaudio'), { when: on('type', 'sdl') }),
  path: attr(string, { when: on('type', 'file') }),
  tryMMap: attr(yesNo, { when: on('type', 'oss') }),
  exclusive: attr(yesNo, { when: on('type', 'oss') }),
  dspPolicy: attr(int(), { when: on('type', 'oss') }),
  input: one(stream('input')),
  output: one(stream('output')),
});
export type Audio = ModelOf<typeof audio>;
