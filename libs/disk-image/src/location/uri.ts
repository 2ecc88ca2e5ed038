/** `proto[+transport]://[user@]host[:port]/path[?query]`: read and written. */
import { VirtError, type StorageHost, type StorageProtocol } from '@virtbus/shared';
import { portNumber, protocolOf, unbracketed, type NetworkLocation } from './network';
import type { ParsedLocation } from './parse';
import { portOf } from './default-ports';

const shape =
  /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(?:([^@/?#]*)@)?(\[[^\]/?#]*\]|[^:/?#]*)(?::(\d*))?(?:\/([^?#]*))?(?:\?([^#]*))?(?:#.*)?$/;

/** @throws VirtError INTERNAL_ERROR or CONFIG_UNSUPPORTED */
export function parseUri(text: string): ParsedLocation {
  const match = shape.exec(text);
  if (!match) throw new VirtError('INTERNAL_ERROR', { detail: `failed to parse backing file location '${text}'` });
  const [, scheme = '', user, server = '', port, rawPath = '', query] = match;
  const [protocolName = '', transport = 'tcp'] = scheme.split('+');
  const protocol = protocolOf(protocolName);
  if (transport !== 'tcp' && transport !== 'unix' && transport !== 'rdma') {
    throw new VirtError('INTERNAL_ERROR', { detail: `invalid protocol transport type '${transport}'` });
  }
  const name = nameIn(protocol, unescaped(rawPath));
  const keepsQuery = protocol === 'http' || protocol === 'https';
  const location: NetworkLocation = {
    type: 'network',
    protocol,
    ...(name !== undefined && { name }),
    hosts: hostsOf(transport, unbracketed(unescaped(server)), port, keepsQuery ? undefined : query),
    ...(keepsQuery && query !== undefined && query !== '' && { query }),
  };
  return { location, dropped: user === undefined ? [] : ['user'] };
}

/** The path as libvirt names it. @throws VirtError CONFIG_UNSUPPORTED */
function nameIn(protocol: StorageProtocol, path: string): string | undefined {
  if (protocol === 'nbd' && path === '') return undefined;
  if (protocol !== 'gluster') return path;
  const slash = path.indexOf('/');
  if (path === '') {
    throw new VirtError('CONFIG_UNSUPPORTED', { detail: 'missing volume name and path for gluster volume' });
  }
  if (slash <= 0 || slash === path.length - 1) {
    throw new VirtError('CONFIG_UNSUPPORTED', {
      detail: `missing volume name or file name in gluster source path '${path}'`,
    });
  }
  return path;
}

function hostsOf(
  transport: 'tcp' | 'unix' | 'rdma',
  name: string,
  port: string | undefined,
  query: string | undefined,
): StorageHost[] {
  const socket = /^socket=([^&]*)/.exec(query ?? '')?.[1];
  if (transport === 'unix') {
    if (!socket) throw new VirtError('INTERNAL_ERROR', { detail: 'missing socket for unix transport' });
    return [{ transport, socket: unescaped(socket) }];
  }
  return name === '' ? [] : [{ transport, name, ...(port && { port: portNumber(port) }) }];
}

/** @throws VirtError INTERNAL_ERROR */
function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new VirtError('INTERNAL_ERROR', { detail: `'${text}' is no escaped UTF-8` }, { cause });
  }
}

/** The URI of a place with one host. */
export function formatUri({ protocol, name, query }: NetworkLocation, host: StorageHost): string {
  const path = name?.startsWith('/') ? name.slice(1) : (name ?? '');
  const escaped = encodeURI(path).replaceAll('?', '%3F').replaceAll('#', '%23');
  if (host.transport === 'unix') {
    return `${protocol}+unix:///${escaped}?socket=${encodeURI(host.socket).replaceAll('&', '%26').replaceAll('#', '%23')}`;
  }
  const server = host.name.includes(':') ? `[${unbracketed(host.name)}]` : host.name;
  const port = portOf(protocol, host.port);
  const scheme = host.transport === 'tcp' ? protocol : `${protocol}+${host.transport}`;
  const authority = `${server}${port === undefined ? '' : `:${port}`}`;
  return `${scheme}://${authority}${name === undefined ? '' : `/${escaped}`}${query === undefined ? '' : `?${query}`}`;
}
