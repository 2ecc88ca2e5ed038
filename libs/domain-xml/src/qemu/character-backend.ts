/**
 * Where the bytes of a character device go: `-chardev` words and the arguments of `chardev-add`, out of one description.
 */
import { VirtError } from '@virtbus/shared';
import type { CharacterSource, CharacterType } from '../elements/chardev';
import { hasFlag, unsupported, type Guest, type ObjectProps } from './context';
import { props, toJson, words, type JsonValue, type LooseProps, type Props } from './props';
import { secretObject, tlsCredentials } from './secrets';
import type { CommandWords } from './words';

/** What serial ports, channels, redirected devices and random sources have in common. */
export interface Character {
  readonly type?: CharacterType | undefined;
  readonly sources: readonly CharacterSource[];
  readonly protocol?: { type?: 'raw' | 'telnet' | 'telnets' | 'tls' | undefined } | undefined;
  readonly log?: { file?: string | undefined; append?: boolean | undefined } | undefined;
}

/** Descriptors and fdset paths that stand for this device's files and sockets. */
interface Passed {
  readonly listening?: number;
  readonly file?: string;
  readonly log?: string;
}

export interface BackendOptions {
  /** The chardev's id. */
  readonly id: string;
  /** The device's alias, by which the caller knows what to pass. */
  readonly alias: string;
  /** The name of the stream for backends that belong to a display protocol. */
  readonly name?: string;
  /** A device of the host (`dev`) is a parallel port. */
  readonly isParallel?: boolean;
  /** Whether a socket that listens makes QEMU wait for its peer; left to QEMU with `unsaid`. */
  readonly wait?: boolean | 'unsaid';
  /** Never passed as a descriptor, whatever the context says. */
  readonly pass?: false;
}

/** Adds the backend to the command line, after the objects and descriptors that it needs. */
export function addBackend(out: CommandWords, guest: Guest, device: Character, options: BackendOptions): void {
  const passed = options.pass === false ? {} : passFiles(out, guest, device, options.alias);
  out.objects(backendObjects(guest, device, options.id));
  const backend = describe(guest, device, options, passed);
  if (hasFlag(guest, 'chardev.json')) out.add('-chardev', toJson(asQmp(backend, options.id)));
  else out.add('-chardev', asWords(backend, options.id));
}

/** Arguments of `chardev-add`, and the objects to add before. Nothing is passed: QEMU opens files and sockets itself. */
export function backendForQmp(
  guest: Guest,
  device: Character,
  options: BackendOptions,
): { objects: ObjectProps[]; chardev: Props } {
  return {
    objects: backendObjects(guest, device, options.id),
    chardev: asQmp(describe(guest, device, options, {}), options.id),
  };
}

const tlsId = (id: string): string => `obj${id}_tls0`;

function usesTls({ context }: Guest, { type, sources }: Character): boolean {
  const tls = sources[0]?.tls;
  return type === 'tcp' && (tls ?? context.settings?.chardevTls?.byDefault === true);
}

function backendObjects(guest: Guest, device: Character, id: string): ObjectProps[] {
  if (!usesTls(guest, device)) return [];
  const { chardevTls, tlsFolders } = guest.context.settings ?? {};
  if (chardevTls === undefined || tlsFolders?.chardev === undefined)
    return unsupported('TLS is wanted for a character device, but no TLS certificates are set for the host');
  const passwordId = `${tlsId(id).slice(3, -'_tls0'.length)}-secret0`;
  const objects: ObjectProps[] = [];
  if (chardevTls.secret !== undefined)
    objects.push(secretObject(guest, passwordId, { type: 'tls', uuid: chardevTls.secret }));
  objects.push(
    tlsCredentials({
      id: tlsId(id),
      dir: tlsFolders.chardev,
      endpoint: device.sources[0]?.mode === 'bind' ? 'server' : 'client',
      verifyPeer: chardevTls.verifyPeer,
      ...(chardevTls.secret !== undefined && { passwordId }),
    }),
  );
  return objects;
}

function passFiles(out: CommandWords, { context }: Guest, device: Character, alias: string): Passed {
  const [source] = device.sources;
  const { file, append } = device.log ?? {};
  const path = source?.path;
  return {
    ...(context.passSockets && device.type === 'unix' && source?.mode === 'bind' && path !== undefined
      ? { listening: out.descriptor({ kind: 'listening-socket', alias, path }) }
      : {}),
    ...(context.passFiles && device.type === 'file' && path !== undefined
      ? { file: out.fdSet({ kind: 'file', alias, path, append: source?.append === true }, `${alias}-source`) }
      : {}),
    ...(context.passFiles && file !== undefined
      ? { log: out.fdSet({ kind: 'log', alias, path: file, append: append !== false }, `${alias}-log`) }
      : {}),
  };
}

/** A backend of a type, told both ways: as QMP data and as words. */
interface Backend {
  readonly type: string;
  readonly data: LooseProps;
  readonly words: LooseProps;
}

function describe(guest: Guest, device: Character, options: BackendOptions, passed: Passed): Backend {
  const backend = describeSource(guest, device, options, passed);
  const log = logOptions(device, passed);
  return { ...backend, data: { ...backend.data, ...log }, words: { ...backend.words, ...log } };
}

function logOptions({ log }: Character, passed: Passed): { logfile?: string; logappend?: boolean } {
  if (log?.file === undefined) return {};
  if (passed.log !== undefined) return { logfile: passed.log, logappend: true };
  return { logfile: log.file, ...(log.append !== undefined && { logappend: log.append }) };
}

function describeSource(guest: Guest, device: Character, options: BackendOptions, passed: Passed): Backend {
  const { type } = device;
  const source: CharacterSource = device.sources[0] ?? { seclabels: [] };
  switch (type) {
    case 'null':
    case 'vc':
    case 'pty':
    case 'stdio':
      return { type, data: {}, words: {} };
    case 'dev':
      return {
        type: options.isParallel ? 'parallel' : 'serial',
        data: { device: source.path },
        words: { path: source.path },
      };
    case 'file': {
      const append = passed.file !== undefined ? true : source.append;
      const path = passed.file ?? source.path;
      return { type, data: { out: path, append }, words: { path, append } };
    }
    case 'pipe':
      return { type, data: { device: source.path }, words: { path: source.path } };
    case 'udp':
      return udp(device);
    case 'tcp':
      return tcp(guest, device, options, source);
    case 'unix':
      return unix(guest, options, source, passed);
    case 'spicevmc':
      return { type, data: { type: options.name }, words: { name: options.name } };
    case 'spiceport':
      return { type, data: { fqdn: source.channel }, words: { name: source.channel } };
    case 'dbus':
      return { type, data: { name: source.channel }, words: { name: source.channel } };
    case 'qemu-vdagent': {
      const clipboard = source.clipboard?.copypaste ?? false;
      const mouse = source.mouse === undefined ? false : source.mouse.mode === 'client';
      return {
        type,
        data: { clipboard, mouse },
        words: { name: options.name ?? 'vdagent', clipboard, mouse },
      };
    }
    default:
      return unsupported(`unsupported chardev '${type ?? 'none'}'`);
  }
}

function udp({ sources }: Character): Backend {
  const connect = sources.find(({ mode }) => mode !== 'bind');
  const bind = sources.find(({ mode }) => mode === 'bind');
  const host = connect?.host ?? '';
  const port = connect?.service ?? '';
  const localaddr = bind?.host ?? '';
  const localport = bind?.service ?? '0';
  return {
    type: 'udp',
    data: { remote: inet(host, port), local: bind && inet(localaddr, localport) },
    words: { host, port, localaddr, localport },
  };
}

const inet = (host: string, port: string): JsonValue => ({ type: 'inet', data: { host, port } });

function tcp(guest: Guest, device: Character, { id, wait }: BackendOptions, source: CharacterSource): Backend {
  const telnet = device.protocol?.type === 'telnet';
  const host = source.host ?? '';
  const port = source.service ?? '';
  const side = socketSide(guest, source, wait);
  const tls = usesTls(guest, device) ? tlsId(id) : undefined;
  return {
    type: 'socket',
    data: { addr: inet(host, port), telnet, ...side.data, 'tls-creds': tls },
    words: { host, port, telnet: telnet || undefined, ...side.words, 'tls-creds': tls },
  };
}

function unix(guest: Guest, { wait }: BackendOptions, source: CharacterSource, { listening }: Passed): Backend {
  const side = socketSide(guest, source, wait);
  if (listening !== undefined)
    return {
      type: 'socket',
      data: { addr: { type: 'fd', data: { str: String(listening) } }, ...side.data },
      words: { fd: listening, ...side.words },
    };
  if (source.path === undefined) throw new VirtError('INTERNAL_ERROR', { detail: 'a unix socket has no path yet' });
  return {
    type: 'socket',
    data: { addr: { type: 'unix', data: { path: source.path } }, ...side.data },
    words: { path: source.path, ...side.words },
  };
}

/** Server or client, and how a client comes back. */
function socketSide(
  guest: Guest,
  source: CharacterSource,
  wait: BackendOptions['wait'] = false,
): { data: LooseProps; words: LooseProps } {
  if (source.mode === 'bind') {
    const server = { server: true, wait: wait === 'unsaid' ? undefined : wait };
    return { data: server, words: server };
  }
  const again = reconnectOptions(guest, source.reconnect);
  return { data: { server: false, ...again }, words: again };
}

/** How long a client waits before it connects again; 0 for never again. */
export function reconnectOptions(
  guest: Guest,
  reconnect: { enabled?: boolean | undefined; timeout?: number | undefined } | undefined,
): LooseProps {
  if (reconnect?.enabled === undefined) return {};
  const seconds = reconnect.enabled ? (reconnect.timeout ?? 0) : 0;
  return hasFlag(guest, 'chardev-reconnect-miliseconds') ? { 'reconnect-ms': seconds * 1000 } : { reconnect: seconds };
}

const asWords = ({ type, words: options }: Backend, id: string): string => words(type, { id, ...options });

const asQmp = ({ type, data }: Backend, id: string): Props => ({ id, backend: { type, data: props(data) } });
