/** QEMU's protocol drivers: which place the options of each describe. (facts: images §4b) */
import type { Location, StorageHost, StorageProtocol } from '@virtbus/shared';
import { parseColonForm } from './colon-form';
import type { JsonFields } from './json-fields';
import { tcpHost, type NetworkLocation } from './network';
import type { ParsedLocation } from './parse';
import { parseUri } from './uri';

type Driver = (fields: JsonFields, driver: string) => ParsedLocation;

const whole = (location: Location): ParsedLocation => ({ location, dropped: [] });

function network(
  protocol: StorageProtocol,
  hosts: StorageHost[],
  name: string | undefined,
  more: Partial<NetworkLocation> = {},
): NetworkLocation {
  return { type: 'network', protocol, ...(name !== undefined && { name }), hosts, ...more };
}

/** What only says how to log in: left out, and told. */
const credentials = (fields: JsonFields, ...keys: string[]): string[] => keys.filter((key) => fields.has(key));

/** A URI in an option, which must be of the driver's own protocol. */
function uriOf(fields: JsonFields, key: string, driver: string): ParsedLocation & { location: NetworkLocation } {
  const uri = fields.required(key);
  const parsed = parseUri(uri);
  if (parsed.location.type !== 'network' || parsed.location.protocol !== driver) {
    fields.invalid(`the protocol of '${uri}' is not ${driver}`);
  }
  return parsed as ParsedLocation & { location: NetworkLocation };
}

const local =
  (type: 'file' | 'block'): Driver =>
  (fields) =>
    whole({ type, path: fields.required('filename') });

const curl: Driver = (fields, driver) => {
  const { location, dropped } = uriOf(fields, 'url', driver);
  const isHttp = driver.startsWith('http');
  const sslVerify = driver.endsWith('s') ? fields.boolean('sslverify') : undefined;
  const cookie = isHttp ? fields.string('cookie') : undefined;
  const [readahead, timeout] = [fields.number('readahead'), fields.number('timeout')];
  return {
    location: {
      ...location,
      ...(sslVerify !== undefined && { sslVerify }),
      ...(cookie !== undefined && { cookies: cookiesOf(cookie, fields) }),
      ...(readahead !== undefined && { readahead }),
      ...(timeout !== undefined && { timeout }),
    },
    dropped: [...dropped, ...credentials(fields, 'username', 'proxy-username', 'password-secret')],
  };
};

function cookiesOf(text: string, fields: JsonFields): { name: string; value: string }[] {
  return text.split(/;\s*/).map((one) => {
    const equals = one.indexOf('=');
    if (equals <= 0) fields.invalid('malformed cookies');
    return { name: one.slice(0, equals), value: one.slice(equals + 1) };
  });
}

const gluster: Driver = (fields, driver) => {
  if (fields.has('filename')) return uriOf(fields, 'filename', driver);
  const hosts = fields.servers();
  if (hosts.length === 0) fields.invalid("missing 'server'");
  return whole(network('gluster', hosts, `${fields.required('volume')}/${fields.required('path').replace(/^\//, '')}`));
};

const iscsi: Driver = (fields, driver) => {
  const dropped = credentials(fields, 'user', 'password', 'password-secret');
  if (fields.has('filename')) {
    const parsed = uriOf(fields, 'filename', driver);
    return { ...parsed, dropped: [...parsed.dropped, ...dropped] };
  }
  const transport = fields.required('transport');
  if (transport !== 'tcp') fields.invalid(`unsupported iSCSI transport '${transport}'`);
  // The brackets of an IPv6 address stay: libvirt shows it so.
  const portal = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(fields.required('portal'));
  if (!portal?.[1]) return fields.invalid("malformed 'portal'");
  const name = `${fields.required('target')}/${fields.number('lun') ?? 0}`;
  return { location: network('iscsi', [tcpHost(portal[1], portal[2])], name), dropped };
};

const nbd: Driver = (fields) => {
  const path = fields.string('path');
  const host = fields.string('host');
  const port = fields.number('port');
  const hosts: StorageHost[] = fields.has('server')
    ? fields.servers()
    : path !== undefined
      ? [{ transport: 'unix', socket: path }]
      : host !== undefined
        ? [tcpHost(host, port === undefined ? undefined : String(port))]
        : fields.invalid("missing 'server'");
  const name = fields.string('export');
  return whole(network('nbd', hosts, name === '' ? undefined : name));
};

const sheepdog: Driver = (fields, driver) =>
  fields.has('filename')
    ? uriOf(fields, 'filename', driver)
    : whole(network('sheepdog', oneServer(fields), fields.required('vdi')));

const ssh: Driver = (fields) => {
  const host = fields.string('host');
  const port = fields.number('port');
  const user = fields.string('user');
  const hosts = host === undefined ? oneServer(fields) : [tcpHost(host, port === undefined ? undefined : String(port))];
  return whole(network('ssh', hosts, fields.required('path'), { ...(user !== undefined && { user }) }));
};

const rbd: Driver = (fields) => {
  const filename = fields.string('filename');
  if (filename !== undefined) {
    if (!filename.startsWith('rbd:')) fields.invalid(`'${filename}' is no place of an rbd image`);
    return whole(parseColonForm(filename));
  }
  const [snapshot, config] = [fields.string('snapshot'), fields.string('conf')];
  const path = [fields.required('pool'), fields.string('namespace'), fields.required('image')];
  return {
    location: network('rbd', fields.servers(), path.filter((part) => part !== undefined).join('/'), {
      ...(snapshot !== undefined && { snapshot }),
      ...(config !== undefined && { config }),
    }),
    dropped: [],
  };
};

const nfs: Driver = (fields) => {
  const [user, group] = [fields.number('user'), fields.number('group')];
  return whole(
    network('nfs', oneServer(fields), fields.required('path'), {
      ...(user !== undefined && { user: `+${user}` }),
      ...(group !== undefined && { group: `+${group}` }),
    }),
  );
};

const vxhs: Driver = (fields) => whole(network('vxhs', oneServer(fields), fields.required('vdisk-id')));

const nvme: Driver = (fields) => {
  const device = fields.required('device');
  const match = /^([\da-f]{1,4}):([\da-f]{1,2}):([\da-f]{1,2})\.([0-7])$/i.exec(device);
  if (!match) return fields.invalid(`'${device}' is no PCI address`);
  const [domain = 0, bus = 0, slot = 0, fn = 0] = match.slice(1).map((digits) => Number.parseInt(digits, 16));
  const namespace = fields.number('namespace') ?? 0;
  if (namespace < 1) fields.invalid("missing 'namespace'");
  return whole({ type: 'nvme', address: { domain, bus, slot, function: fn }, namespace });
};

function oneServer(fields: JsonFields): StorageHost[] {
  const hosts = fields.servers();
  return hosts.length === 1 ? hosts : fields.invalid("missing 'server'");
}

export const protocolDrivers: Readonly<Record<string, Driver>> = {
  file: local('file'),
  host_device: local('block'),
  host_cdrom: local('block'),
  http: curl,
  https: curl,
  ftp: curl,
  ftps: curl,
  tftp: curl,
  gluster,
  iscsi,
  nbd,
  sheepdog,
  ssh,
  rbd,
  nfs,
  vxhs,
  nvme,
};
