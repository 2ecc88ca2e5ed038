/**
 * The HTTP endpoint of a service, where one is asked for: `/healthz` (the process lives and its event loop turns), `/readyz`
 * (it can do its work), `/metrics` (for Prometheus). It shows figures and reasons, never a document or a secret; who may
 * reach it is up to the address or the file's folder.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { lstatSync, unlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { VirtError } from '../errors';
import type * as Prometheus from '../metrics/prometheus';
import type { Readiness } from './readiness';

const load = createRequire(__filename);
/** Loaded where it is wanted alone: prom-client takes memory and time to load. */
const prometheus = (): typeof Prometheus => load('../metrics/prometheus') as typeof Prometheus;

export interface Observed {
  service: string;
  host: string | undefined;
  readiness: Readiness;
}

/**
 * @param listen `HOST:PORT`, or `unix:PATH`, where `{service}` stands for the service's name
 * @returns where it listens: `http://127.0.0.1:9464`, `unix:/run/virtbus/domain.sock`
 * @throws SYSTEM_ERROR when it cannot listen there
 */
export async function serveHttp(listen: string, { service, host, readiness }: Observed): Promise<string> {
  const exposition = prometheus().exposePrometheus({ service, ...(host === undefined ? {} : { host }) });
  const server = createServer((request, response) => {
    answer(request, response, { readiness, exposition }).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else send(response, 500, 'text/plain', `${String(error)}\n`);
    });
  });
  server.requestTimeout = 10_000;
  const place = placeOf(listen.replaceAll('{service}', service));
  if ('path' in place) removeLeftSocket(place.path);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(place, () => resolve());
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const detail = `VIRTBUS_HTTP_LISTEN: cannot listen on ${listen}: ${why}`;
    throw new VirtError('SYSTEM_ERROR', { detail }, { cause });
  }
  server.unref();
  return urlOf(server.address());
}

async function answer(
  { method, url = '' }: IncomingMessage,
  response: ServerResponse,
  { readiness, exposition }: { readiness: Readiness; exposition: Prometheus.Exposition },
): Promise<void> {
  if (method !== 'GET' && method !== 'HEAD') return send(response, 405, 'text/plain', 'only GET\n');
  switch (url.split('?')[0]) {
    case '/healthz':
      return sendJson(response, 200, { alive: true, uptimeSeconds: Math.floor(process.uptime()) });
    case '/readyz': {
      const report = readiness.report();
      return sendJson(response, report.ready ? 200 : 503, report);
    }
    case '/metrics':
      return send(response, 200, exposition.contentType, await exposition.text());
    default:
      return send(response, 404, 'text/plain', 'there are /healthz, /readyz and /metrics\n');
  }
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  send(response, status, 'application/json', `${JSON.stringify(value)}\n`);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body);
}

function placeOf(listen: string): { path: string } | { host: string; port: number } {
  if (listen.startsWith('unix:')) return { path: listen.slice('unix:'.length) };
  const colon = listen.lastIndexOf(':');
  return { host: listen.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(listen.slice(colon + 1)) };
}

/** The socket of a process that is no more; one lock a state folder keeps a second one of us from coming this far. */
function removeLeftSocket(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) unlinkSync(path);
}

function urlOf(address: AddressInfo | string | null): string {
  if (typeof address !== 'object' || address === null) return `unix:${address}`;
  const { address: host, port, family } = address;
  return `http://${family === 'IPv6' ? `[${host}]` : host}:${port}`;
}
