/** `-spice`. */
import type { Graphics } from '../elements/graphics';
import { unsupported, type Guest } from './context';
import { loopback, renderNode } from './display';
import { escapeWord, onOrOff } from './props';
import type { CommandWords } from './words';

export function addSpice(out: CommandWords, guest: Guest, graphics: Graphics): void {
  const { settings } = guest.context;
  const { mouse, gl } = graphics;
  const listens = graphics.listens[0]?.type;
  const isOnTcp = listens === undefined || listens === 'address' || listens === 'network';
  out.add(
    '-spice',
    [
      ...addressParts(guest, graphics),
      ...(settings?.spiceSasl ? ['sasl=on'] : []),
      ...(mouse ? [`agent-mouse=${onOrOff(mouse.mode === 'client')}`] : []),
      ...(graphics.passwd === undefined && !settings?.spicePassword ? ['disable-ticketing=on'] : []),
      ...(settings?.spiceTls && isOnTcp && graphics.tlsPort !== undefined ? tlsFolder(guest) : []),
      ...channelParts(graphics),
      ...compressionParts(graphics),
      ...(gl?.enable ? ['gl=on', ...renderNode(guest, graphics)] : []),
      'seamless-migration=on',
    ].join(','),
  );
  if (graphics.keymap !== undefined) out.add('-k', graphics.keymap);
}

function addressParts({ context }: Guest, { listens, port, tlsPort }: Graphics): string[] {
  const [listen] = listens;
  if (listen?.type === 'socket')
    return ['unix=on', `addr=${escapeWord(listen.socket ?? `${context.domainDir}/spice.sock`)}`];
  if (listen?.type === 'none') return ['port=0'];
  if (port === undefined && tlsPort === undefined)
    return unsupported('no port was chosen for SPICE; set one or have the host choose it');
  return [
    ...(port === undefined ? [] : [`port=${port}`]),
    ...(tlsPort === undefined ? [] : [`tls-port=${tlsPort}`]),
    `addr=${listen?.address ?? loopback}`,
  ];
}

const tlsFolder = ({ context }: Guest): string[] => [
  `x509-dir=${escapeWord(context.settings?.tlsFolders?.spice ?? unsupported('no folder with TLS certificates for SPICE is set'))}`,
];

function channelParts({ defaultMode, channels }: Graphics): string[] {
  const part = (mode: string | undefined, name: string): string[] =>
    mode === 'secure' ? [`tls-channel=${name}`] : mode === 'insecure' ? [`plaintext-channel=${name}`] : [];
  return [...part(defaultMode, 'default'), ...channels.flatMap(({ name, mode }) => part(mode, name))];
}

function compressionParts({ image, jpeg, zlib, playback, streaming, clipboard, filetransfer }: Graphics): string[] {
  return [
    ...(image ? [`image-compression=${image.compression}`] : []),
    ...(jpeg ? [`jpeg-wan-compression=${jpeg.compression}`] : []),
    ...(zlib ? [`zlib-glz-wan-compression=${zlib.compression}`] : []),
    ...(playback ? [`playback-compression=${onOrOff(playback.compression)}`] : []),
    ...(streaming ? [`streaming-video=${streaming.mode}`] : []),
    ...(clipboard?.copypaste === false ? ['disable-copy-paste=on'] : []),
    ...(filetransfer?.enable === false ? ['disable-agent-file-xfer=on'] : []),
  ];
}
