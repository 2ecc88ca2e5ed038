/** QEMU's old forms: `nbd:host:port[:exportname=x]`, `nbd:unix:/socket[:exportname=x]`, `rbd:pool/image[@snapshot][:option=value]…`. */
import { VirtError, type Location, type StorageHost } from '@virtbus/shared';
import { protocolOf, tcpHost, unbracketed } from './network';

const exportName = ':exportname=';

/** @throws VirtError INTERNAL_ERROR */
export function parseColonForm(text: string): Location {
  const colon = text.indexOf(':');
  const protocol = protocolOf(text.slice(0, colon));
  const rest = text.slice(colon + 1);
  switch (protocol) {
    case 'nbd':
      return parseNbd(rest, text);
    case 'rbd':
      return parseRbd(rest);
    case 'sheepdog':
      throw new VirtError('INTERNAL_ERROR', {
        detail: 'backing store parser is not implemented for protocol sheepdog',
      });
    default:
      throw new VirtError('INTERNAL_ERROR', { detail: `malformed backing store path for protocol ${protocol}` });
  }
}

function parseNbd(rest: string, text: string): Location {
  const malformed = (): never => {
    throw new VirtError('INTERNAL_ERROR', { detail: `malformed nbd string '${text}'` });
  };
  if (rest.startsWith('unix:')) {
    const at = rest.indexOf(exportName);
    const socket = rest.slice('unix:'.length, at < 0 ? undefined : at);
    if (socket === '') malformed();
    return nbd({ transport: 'unix', socket }, at < 0 ? undefined : rest.slice(at + exportName.length));
  }
  const match = /^(\[[^\]]*\]|[^:]+):([^:]+)(?::(.*))?$/s.exec(rest);
  const [, host = '', port = '', options] = match ?? malformed();
  if (options !== undefined && !options.startsWith('exportname=')) malformed();
  return nbd(tcpHost(unbracketed(host), port), options?.slice('exportname='.length));
}

const nbd = (host: StorageHost, name: string | undefined): Location => ({
  type: 'network',
  protocol: 'nbd',
  ...(name && { name }),
  hosts: [host],
});

/** Splits at a character that no backslash stands before; escapes stay. */
function splitUnescaped(text: string, at: string): string[] {
  const parts = [''];
  for (let i = 0; i < text.length; i++) {
    const char = text.charAt(i);
    if (char === at) parts.push('');
    else if (char === '\\' && i + 1 < text.length) parts[parts.length - 1] += char + text.charAt(++i);
    else parts[parts.length - 1] += char;
  }
  return parts;
}

const unescaped = (text: string): string => text.replace(/\\(.)/gs, '$1');

function parseRbd(rest: string): Location {
  const [path = '', ...options] = splitUnescaped(rest, ':');
  const [name = '', ...snapshot] = splitUnescaped(path, '@');
  const option = (key: string): string | undefined =>
    options.find((one) => one.startsWith(`${key}=`))?.slice(key.length + 1);
  const config = option('conf');
  return {
    type: 'network',
    protocol: 'rbd',
    name: unescaped(name),
    hosts: (option('mon_host') ?? '').split(/\\?[;,]|\\ | /).flatMap(monitor),
    ...(snapshot.length > 0 && { snapshot: unescaped(snapshot.join('@')) }),
    ...(config !== undefined && { config: unescaped(config) }),
  };
}

/** `host`, `host\:port`, `[v6]\:port`. */
function monitor(text: string): StorageHost[] {
  const [, name = '', port] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(unescaped(text)) ?? [];
  return name === '' ? [] : [tcpHost(unbracketed(name), port)];
}
