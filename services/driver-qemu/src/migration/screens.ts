/**
 * SPICE clients go with their guest: they are told before it is sent where they find it, open a second connection there
 * and go over to it at the switch. VNC knows no such thing. (facts: migration §7)
 */
import type { Domain, MigrationCookie } from '@virtbus/domain-xml';
import { VirtError, type MigrationOptions } from '@virtbus/shared';
import type { QemuGuest } from '../guest';
import { parsePlace } from './places';

type Screen = NonNullable<MigrationCookie['graphics']>;

/** What the target's cookie says of its screen: the first SPICE server that listens on the network. */
export function screenOf({ devices }: Domain): Screen | undefined {
  for (const { type, listens, port = -1, tlsPort = -1 } of devices.graphics) {
    const [listen] = listens;
    if (type !== 'spice' || (listen?.type !== 'address' && listen?.type !== 'network')) continue;
    return { type, port, tlsPort, listen: listen.address ?? '127.0.0.1', certificates: [] };
  }
  return undefined;
}

const wildcards: ReadonlySet<string> = new Set(['0.0.0.0', '::', '']);

/**
 * Source: send the clients there; nothing to do for a guest without SPICE on either side. What does not work costs the
 * clients their connection and not the guest its move: it is logged.
 * @param uri where the guest itself is sent
 */
export async function tellClients(
  guest: QemuGuest,
  screen: Screen | undefined,
  { options: { graphicsUri }, uri, signal }: { options: MigrationOptions; uri: string; signal: AbortSignal },
): Promise<void> {
  if (!guest.live.devices.graphics.some(({ type }) => type === 'spice')) return;
  const asked = graphicsUri === undefined ? undefined : parseGraphicsUri(graphicsUri);
  const port = asked?.port ?? screen?.port ?? -1;
  const tlsPort = asked?.tlsPort ?? screen?.tlsPort ?? -1;
  if (port <= 0 && tlsPort <= 0) return;
  const listen = screen?.listen ?? '';
  const subject = asked?.tlsSubject ?? screen?.certificates.find(({ info }) => info === 'subject')?.value;
  const there = {
    protocol: 'spice',
    hostname: asked?.host ?? (wildcards.has(listen) ? parsePlace(uri).host : listen),
    ...(port > 0 ? { port } : {}),
    ...(tlsPort > 0 ? { 'tls-port': tlsPort } : {}),
    ...(subject === undefined ? {} : { 'cert-subject': subject }),
  };
  try {
    await guest.askRaw('client_migrate_info', there, signal);
  } catch (err) {
    guest.log.warn({ err }, 'SPICE clients cannot be told where their guest goes; they have to connect again');
  }
}

interface GraphicsUri {
  host: string;
  port?: number;
  tlsPort?: number;
  tlsSubject?: string;
}

/** `spice://HOST[:PORT][?tlsPort=N&tlsSubject=TEXT]`. Throws INVALID_ARG. */
export function parseGraphicsUri(uri: string): GraphicsUri {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  const tlsPort = url?.searchParams.get('tlsPort');
  const tlsSubject = url?.searchParams.get('tlsSubject');
  if (url?.protocol !== 'spice:' || url.hostname === '' || Number.isNaN(Number(tlsPort ?? 0))) {
    const detail = `cannot send clients to '${uri}': give spice://HOST:PORT, with ?tlsPort=N where there is TLS`;
    throw new VirtError('INVALID_ARG', { detail });
  }
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    ...(url.port ? { port: Number(url.port) } : {}),
    ...(tlsPort ? { tlsPort: Number(tlsPort) } : {}),
    ...(tlsSubject ? { tlsSubject } : {}),
  };
}

/** How long clients may take to go over, milliseconds. */
const goOverMs = 5_000;
const lookMs = 50;

/** Source: the clients have gone over, or have had the time to; without any they have at once. */
export async function clientsHaveGone(guest: QemuGuest): Promise<void> {
  if (!guest.live.devices.graphics.some(({ type }) => type === 'spice')) return;
  const deadline = Date.now() + goOverMs;
  while (Date.now() < deadline) {
    const spice = (await guest.askRaw('query-spice').catch(() => undefined)) as { migrated?: boolean } | undefined;
    if (spice?.migrated !== false) return;
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}
