/** What a client of a release is recorded doing: a domain's life, a queued command, storage, and what is refused. */
import {
  callSubject,
  createPool,
  createVolume,
  defineDomain,
  destroyDomain,
  getDomain,
  getDomainXml,
  listDomains,
  listHosts,
  listPools,
  listVolumes,
  queueSubject,
  resumeDomain,
  startDomain,
  statsOfDomain,
  suspendDomain,
  undefineDomain,
  type Contract,
} from '@virtbus/shared';
import { encode, header, type Format } from '@virtbus/shared/bus';
import type { Sent } from './frozen-client';

/** The simulated host and the storage host that it speaks to, and the domain that it is about. */
export const simulatedHost = 't1';
export const storageHost = 'h1';
export const uuid = 'c0ffee00-0000-4000-8000-000000000001';
export const name = 'kept';
/** Stands for a folder of the machine in a document; a body with it is JSON. */
export const folderWord = '@folder@';

export const document = `<domain type='test'><name>${name}</name><uuid>${uuid}</uuid><memory>65536</memory><os><type>hvm</type></os></domain>`;
const pool = `<pool type='dir'><name>kept</name><target><path>${folderWord}</path></target></pool>`;
const volume = `<volume><name>a.raw</name><capacity>65536</capacity><target><format type='raw'/></target></volume>`;

const steps = {
  hosts: step(listHosts, {}, undefined, 'json'),
  define: step(defineDomain, { xml: document, host: simulatedHost }, undefined, 'msgpack'),
  get: step(getDomain, {}, name, 'json'),
  start: step(startDomain, { paused: false }, uuid, 'msgpack'),
  list: step(listDomains, { active: true }, undefined, 'msgpack'),
  stats: step(statsOfDomain, {}, uuid, 'msgpack'),
  suspend: step(suspendDomain, {}, uuid, 'json'),
  resume: step(resumeDomain, {}, name, 'msgpack'),
  xml: step(getDomainXml, {}, uuid, 'json'),
  'start what runs': step(startDomain, {}, uuid, 'json'),
  'start nobody': step(startDomain, {}, 'nobody', 'msgpack'),
  nonsense: step(startDomain, { paused: 'perhaps' }, uuid, 'json'),
  'destroy, queued': { ...step(destroyDomain, {}, uuid, 'msgpack'), queued: true },
  undefine: step(undefineDomain, {}, uuid, 'msgpack'),
  'create pool': step(createPool, { xml: pool }, storageHost, 'json'),
  'create volume': step(createVolume, { pool: 'kept', xml: volume }, storageHost, 'msgpack'),
  pools: step(listPools, {}, storageHost, 'msgpack'),
  volumes: step(listVolumes, { pool: 'kept' }, storageHost, 'json'),
} satisfies Record<string, Step>;

interface Step {
  contract: Contract;
  request: Record<string, unknown>;
  target: string | undefined;
  format: Format;
  queued?: boolean;
}

function step(contract: Contract, request: Record<string, unknown>, target: string | undefined, format: Format): Step {
  return { contract, request, target, format };
}

/** The messages of today's client. Command ids are the names of the steps: the bytes are the same each time. */
export function messages(): Record<string, Sent> {
  return Object.fromEntries(
    Object.entries<Step>(steps).map(([title, { contract, request, target, format, queued }]) => [
      title,
      {
        contract: contract.name,
        subject: queued ? queueSubject(contract, target) : callSubject(contract, target),
        headers: {
          [header.timeout]: '30000',
          ...(contract.kind === 'cmd' ? { [header.id]: `kept-${title.replaceAll(/\W+/g, '-')}` } : {}),
        },
        body: Buffer.from(encode(request, format)).toString('base64'),
      },
    ]),
  );
}
