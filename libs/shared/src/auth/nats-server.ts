/** The configuration of a nats-server that trusts an authority: alone on the loopback, or one of a cluster with TLS. */
import { isIP } from 'node:net';
import type { Authority } from './authority';

/** A server as clients and the other servers reach it. */
export interface ServerAddress {
  name: string;
  /** DNS name or address; certificates are made for it. */
  host: string;
  port: number;
  /** Where the other servers of the cluster reach it. */
  clusterPort: number;
}

export interface ServerOptions {
  server: ServerAddress;
  /** All servers of the cluster, this one among them. */
  cluster: readonly ServerAddress[];
  /** JetStream's data, and what the server keeps of accounts. */
  storeDir: string;
  /** Folder with `ca.pem`, `cert.pem` and `key.pem`; absent: no TLS. */
  tlsDir?: string | undefined;
  /** Port on the loopback that answers `/healthz`, `/varz` and the like. */
  monitorPort?: number | undefined;
}

const quote = JSON.stringify;

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** How clients reach the servers: `tls://n1:4222,tls://n2:4222`. */
export function clientUrl(servers: readonly ServerAddress[], tls: boolean): string {
  return servers.map(({ host, port }) => `${tls ? 'tls' : 'nats'}://${bracketed(host)}:${port}`).join(',');
}

/** The text of a nats-server configuration file. */
export async function serverConfig(authority: Authority, o: ServerOptions): Promise<string> {
  const { server } = o;
  const listen = (port: number): string =>
    quote(`${isLoopback(server.host) ? bracketed(server.host) : '0.0.0.0'}:${port}`);
  return [
    `server_name: ${quote(server.name)}`,
    `listen: ${listen(server.port)}`,
    ...(o.monitorPort === undefined ? [] : [`http: "127.0.0.1:${o.monitorPort}"`]),
    'max_payload: 1MB',
    // Another server or a client that hangs is dropped after three of these. Until then part of what is asked goes to it.
    'ping_interval: "5s"',
    `jetstream { store_dir: ${quote(o.storeDir)} }`,
    ...(o.tlsDir === undefined ? [] : [`tls ${certificates(o.tlsDir, false)}`]),
    ...(o.cluster.length < 2 ? [] : clusterBlock(o, listen(server.clusterPort))),
    await trustIn(authority, o.storeDir),
    '',
  ].join('\n');
}

/**
 * What makes a server trust an authority. It keeps the accounts it has been told of below `storeDir`: what it learned
 * later is good over a restart, and servers of a cluster tell each other.
 */
export async function trustIn(authority: Authority, storeDir: string): Promise<string> {
  return [
    `operator: ${await authority.operatorJwt()}`,
    `system_account: ${authority.systemAccountKey}`,
    `resolver { type: full, dir: ${quote(`${storeDir}/accounts`)}, allow_delete: false, interval: "10s" }`,
    'resolver_preload {',
    `  ${authority.systemAccountKey}: ${await authority.systemAccountJwt()}`,
    `  ${authority.accountKey}: ${await authority.accountJwt()}`,
    '}',
  ].join('\n');
}

/**
 * Clients know every server from their context file, and servers tell each other their names: nobody learns an address that
 * no certificate names.
 */
function clusterBlock({ server, cluster, tlsDir }: ServerOptions, listen: string): string[] {
  const others = cluster.filter(({ name }) => name !== server.name);
  const routes = others.map(({ host, clusterPort }) => quote(`nats-route://${bracketed(host)}:${clusterPort}`));
  return [
    'cluster {',
    '  name: virtbus',
    `  listen: ${listen}`,
    `  advertise: ${quote(`${bracketed(server.host)}:${server.clusterPort}`)}`,
    '  no_advertise: true',
    `  routes: [${routes.join(', ')}]`,
    ...(tlsDir === undefined ? [] : [`  tls ${certificates(tlsDir, true)}`]),
    '}',
  ];
}

/** @param mutual both sides show a certificate: servers know each other by it, clients by their nkey */
function certificates(dir: string, mutual: boolean): string {
  const files = `cert_file: ${quote(`${dir}/cert.pem`)}, key_file: ${quote(`${dir}/key.pem`)}`;
  return `{ ${files}${mutual ? `, ca_file: ${quote(`${dir}/ca.pem`)}, verify: true` : ''} }`;
}

const bracketed = (host: string): string => (isIP(host) === 6 ? `[${host}]` : host);
