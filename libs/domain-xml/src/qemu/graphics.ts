/** How a guest's screen is shown: VNC, SPICE, a window, D-Bus, or rendered for nobody. */
import type { Graphics } from '../elements/graphics';
import { audioId } from './audio';
import { unsupported, type Guest } from './context';
import { loopback, renderNode } from './display';
import { escapeWord, onOrOff } from './props';
import { secretObject, tlsCredentials } from './secrets';
import { addSpice } from './spice';
import type { CommandWords } from './words';

export function addGraphics(out: CommandWords, guest: Guest): void {
  for (const graphics of guest.domain.devices.graphics) {
    switch (graphics.type) {
      case 'vnc':
        addVnc(out, guest, graphics);
        break;
      case 'spice':
        addSpice(out, guest, graphics);
        break;
      case 'sdl':
        addSdl(out, graphics);
        break;
      case 'egl-headless':
        out.add('-display', ['egl-headless', ...renderNode(guest, graphics)].join(','));
        break;
      case 'dbus':
        addDbus(out, guest, graphics);
        break;
      case 'rdp':
        // Served by a program of its own, which looks through D-Bus.
        break;
      case 'desktop':
        unsupported("unsupported graphics type 'desktop'");
    }
  }
}

function addSdl(out: CommandWords, { gl, fullscreen }: Graphics): void {
  const parts = ['sdl'];
  if (gl?.enable !== undefined) parts.push(`gl=${onOrOff(gl.enable)}`);
  if (fullscreen) parts.push('full-screen=on');
  out.add('-display', parts.join(','));
}

function addDbus(out: CommandWords, guest: Guest, graphics: Graphics): void {
  const { runDir, shortName } = guest.context;
  const address = graphics.address ?? `unix:path=${runDir}/dbus/${shortName}-dbus.sock`;
  const audio = graphics.audio && audioId(guest, graphics.audio);
  out.add(
    '-display',
    [
      'dbus',
      graphics.p2p ? 'p2p=on' : `addr=${escapeWord(address)}`,
      ...(graphics.gl?.enable === undefined
        ? []
        : [`gl=${onOrOff(graphics.gl.enable)}`, ...renderNode(guest, graphics)]),
      ...(audio ? [`audiodev=${audio}`] : []),
    ].join(','),
  );
}

/** TCP port of display 0. */
const firstVncPort = 5900;

function addVnc(out: CommandWords, guest: Guest, graphics: Graphics): void {
  const { settings } = guest.context;
  const parts = [vncAddress(guest, graphics)];
  if (graphics.websocket !== undefined) parts.push(`websocket=${graphics.websocket}`);
  if (graphics.sharePolicy && graphics.sharePolicy !== 'default') parts.push(`share=${graphics.sharePolicy}`);
  if (settings?.vncTls) {
    const id = 'vnc-tls-creds0';
    const passwordId = `${id}-secret0`;
    const { verifyPeer, secret } = settings.vncTls;
    if (secret !== undefined) out.object(secretObject(guest, passwordId, { type: 'tls', uuid: secret }));
    out.object(
      tlsCredentials({
        id,
        dir: settings.tlsFolders?.vnc ?? unsupported('no folder with TLS certificates for VNC is set'),
        endpoint: 'server',
        verifyPeer,
        ...(secret !== undefined && { passwordId }),
      }),
    );
    parts.push(`tls-creds=${id}`);
  }
  if (graphics.passwd !== undefined || settings?.vncPassword) parts.push('password=on');
  if (settings?.vncSasl) parts.push('sasl=on');
  if (graphics.powerControl !== undefined) parts.push(`power-control=${onOrOff(graphics.powerControl)}`);
  const audio = audioId(guest, graphics.audio);
  if (audio !== undefined) parts.push(`audiodev=${audio}`);
  out.add('-vnc', parts.join(','));
  if (graphics.keymap !== undefined) out.add('-k', graphics.keymap);
}

function vncAddress({ context }: Guest, { listens, port }: Graphics): string {
  const [listen] = listens;
  switch (listen?.type) {
    case 'socket':
      return `vnc=unix:${escapeWord(listen.socket ?? `${context.domainDir}/vnc.sock`)}`;
    case 'none':
      return 'none';
    default: {
      if (port === undefined) return unsupported('no port was chosen for VNC; set one or have the host choose it');
      const address = listen?.address ?? loopback;
      return `${address.includes(':') ? `[${address}]` : address}:${port - firstVncPort}`;
    }
  }
}

/** Environment that displays read instead of options. */
export function displayEnvironment({ domain, context }: Guest): Record<string, string> {
  const env: Record<string, string> = {};
  for (const { type, display, xauth } of domain.devices.graphics) {
    const sasl = type === 'vnc' ? context.settings?.vncSasl : type === 'spice' ? context.settings?.spiceSasl : false;
    if (sasl && context.settings?.saslFolder) env['SASL_CONF_PATH'] = context.settings.saslFolder;
    if (type !== 'sdl') continue;
    if (xauth !== undefined) env['XAUTHORITY'] = xauth;
    if (display !== undefined) env['DISPLAY'] = display;
  }
  return env;
}
