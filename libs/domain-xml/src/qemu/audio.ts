/** Sound: the host's backends (`-audiodev`) and the guest's cards. */
import type { Audio, Sound } from '../elements/media';
import { aliasOf, unsupported, type Guest } from './context';
import { addressProps } from './device-address';
import { props, type LooseProps, type Props, toJson } from './props';
import { virtioProps } from './virtio';
import type { CommandWords } from './words';

export function addAudios(out: CommandWords, guest: Guest): void {
  for (const audio of guest.domain.devices.audios) out.add('-audiodev', toJson(audiodevProps(audio)));
}

/** The `-audiodev` id of a sound card's or display's backend; the first one unless it names another. */
export function audioId({ domain }: Guest, wish: { id: number } | undefined): string | undefined {
  const id = wish?.id ?? domain.devices.audios[0]?.id;
  return id === undefined ? undefined : `audio${id}`;
}

const drivers: Readonly<Partial<Record<Audio['type'], string>>> = { pulseaudio: 'pa', file: 'wav' };

function audiodevProps(audio: Audio): Props {
  const stream = (side: Audio['input']): Props | undefined => {
    const described = side && streamProps(side);
    return described && Object.keys(described).length > 0 ? described : undefined;
  };
  return props({
    id: `audio${audio.id}`,
    driver: drivers[audio.type] ?? audio.type,
    'timer-period': audio.timerPeriod,
    path: audio.path,
    server: audio.serverName,
    'try-mmap': audio.tryMMap,
    exclusive: audio.exclusive,
    'dsp-policy': audio.dspPolicy,
    in: stream(audio.input),
    out: stream(audio.output),
  });
}

function streamProps(side: NonNullable<Audio['input']>): Props {
  return props({
    'mixing-engine': side.mixingEngine,
    'fixed-settings': side.fixedSettings,
    voices: side.voices,
    'buffer-length': side.bufferLength,
    frequency: side.settings?.frequency,
    channels: side.settings?.channels,
    format: side.settings?.format,
    'server-name': side.serverName,
    'client-name': side.clientName,
    'connect-ports': side.connectPorts,
    'exact-name': side.exactName,
    dev: side.dev,
    'buffer-count': side.bufferCount,
    'try-poll': side.tryPoll,
    name: side.name,
    'stream-name': side.streamName,
    latency: side.latency,
  });
}

/** Environment that backends read instead of options. */
export function audioEnvironment({ domain }: Guest): Record<string, string> {
  const env: Record<string, string> = {};
  for (const { type, driver, runtimeDir } of domain.devices.audios) {
    if (type === 'sdl' && driver) env['SDL_AUDIODRIVER'] = driver;
    if (type === 'pipewire' && runtimeDir) env['PIPEWIRE_RUNTIME_DIR'] = runtimeDir;
  }
  return env;
}

export function addSounds(out: CommandWords, guest: Guest): void {
  for (const sound of guest.domain.devices.sounds) {
    // The speaker is part of the machine.
    if (sound.model === 'pcspk') continue;
    out.device(soundProps(guest, sound));
    for (const codec of codecProps(guest, sound)) out.device(codec);
  }
}

const soundDrivers: Readonly<Partial<Record<Sound['model'], string>>> = {
  es1370: 'ES1370',
  ac97: 'AC97',
  ich6: 'intel-hda',
  ich9: 'ich9-intel-hda',
  usb: 'usb-audio',
  sb16: 'sb16',
};

const hasCodecs = ({ model }: Sound): boolean => model === 'ich6' || model === 'ich9';

export function soundProps(guest: Guest, sound: Sound): Props {
  const backend = { id: aliasOf(sound), audiodev: audioId(guest, sound.audio) };
  if (sound.model === 'virtio')
    return props(
      virtioProps('virtio-sound', sound, sound.driver),
      backend,
      { streams: sound.streams ?? 2 },
      addressProps(guest, sound),
    );
  const driver = soundDrivers[sound.model] ?? unsupported(`sound card model '${sound.model}' is not supported by QEMU`);
  return props(
    { driver },
    hasCodecs(sound) ? { id: aliasOf(sound) } : backend,
    sound.model === 'usb' ? { multi: sound.multichannel } : {},
    addressProps(guest, sound),
  );
}

/** What is soldered to an HD-audio controller; one that plays and records unless the document lists others. */
function codecProps(guest: Guest, sound: Sound): Props[] {
  if (!hasCodecs(sound)) return [];
  const codecs: { type: string }[] = sound.codecs.length > 0 ? sound.codecs : [{ type: 'duplex' }];
  return codecs.map(({ type }, cad) => {
    const codec: LooseProps = {
      driver: `hda-${type}`,
      id: `${aliasOf(sound)}-codec${cad}`,
      bus: `${aliasOf(sound)}.0`,
      cad,
      audiodev: audioId(guest, sound.audio),
    };
    return props(codec);
  });
}
