/** The definition itself: undefine, rename, autostart, metadata, and the documents. */
import { domainToJson, formatDomain, type Domain } from '@virtbus/domain-xml';
import {
  getDomainXml,
  getDomainXmlWithSecrets,
  getMetadata,
  setAutostart,
  setMetadata,
  undefineDomain,
  VirtError,
  type Contract,
  type Request,
} from '@virtbus/shared';
import { existsSync, rmSync } from 'node:fs';
import type { Actor } from '../actor';
import { checkpointsOf } from '../checkpoints';
import { snapshotsOf } from '../snapshots';
import { metadataOf, nvramOf, withMetadata } from '../document';
import { affected } from './affect';
import { change, look, type Context } from './op';
import { dropManagedSave } from './start';

export const undefine = change(undefineDomain, 'any', async (request, { host, actor }) => {
  refuseUndefine(actor, request);
  const nvramFile = actor.config && nvramOf(actor.config);
  const hasNvram = nvramFile !== undefined && existsSync(nvramFile);
  if (hasNvram && request.nvram === 'refuse' && !actor.active) {
    throw new VirtError('OPERATION_INVALID', { detail: 'cannot undefine domain with nvram; keep or delete it' });
  }
  dropManagedSave(host, actor);
  if (hasNvram && request.nvram === 'delete' && !actor.active) rmSync(nvramFile, { force: true });
  actor.record.persistent = false;
  actor.record.autostart = false;
  if (actor.active) actor.dropConfig();
  actor.lifecycle('undefined', 'removed');
  const domain = actor.summary();
  if (actor.active) actor.establish();
  else host.gone(actor);
  return { domain };
});

function refuseUndefine(actor: Actor, request: Request<typeof undefineDomain>): void {
  const refuse = (detail: string): never => {
    throw new VirtError('OPERATION_INVALID', { detail });
  };
  if (!actor.record.persistent) refuse('cannot undefine transient domain');
  if (actor.managedSave && !request.managedSave)
    refuse('Refusing to undefine while domain managed save image exists; remove it first or ask for it too');
  const { size: snapshots } = snapshotsOf(actor);
  if (snapshots > 0 && !actor.active && !request.snapshotsMetadata)
    refuse(
      `cannot delete inactive domain with ${snapshots} snapshots; delete them, or ask for their descriptions to go too`,
    );
  const { size: checkpoints } = checkpointsOf(actor);
  if (checkpoints > 0 && !actor.active && !request.checkpointsMetadata)
    refuse(
      `cannot delete inactive domain with ${checkpoints} checkpoints; delete them, or ask for their descriptions to go too`,
    );
}

export const autostart = change(setAutostart, 'any', async ({ enabled }, { actor }) => {
  if (!actor.record.persistent) {
    throw new VirtError('OPERATION_INVALID', { detail: 'cannot set autostart for transient domain' });
  }
  if (actor.record.autostart !== enabled) {
    actor.record.autostart = enabled;
    actor.emit({ class: 'config', type: 'autostart', data: { enabled } });
    actor.establish();
  }
  return { domain: actor.summary() };
});

async function documentOf(
  request: { inactive: boolean; migratable: boolean; format: 'xml' | 'json' },
  actor: Actor,
  secrets: boolean,
): Promise<{ xml?: string; document?: unknown }> {
  const domain = request.inactive ? (actor.config ?? actor.document) : actor.document;
  const view = request.inactive || !actor.active ? 'inactive' : 'live';
  const how = { view, secrets, migratable: request.migratable } as const;
  return request.format === 'json' ? { document: domainToJson(domain, how) } : { xml: formatDomain(domain, how) };
}

const document = <C extends Contract>(contract: C, secrets: boolean) =>
  look(
    contract,
    'any',
    (request: unknown, { actor }: Context) =>
      documentOf(request as Parameters<typeof documentOf>[0], actor, secrets) as never,
  );

export const xml = document(getDomainXml, false);
export const xmlWithSecrets = document(getDomainXmlWithSecrets, true);

export const readMetadata = look(getMetadata, 'any', async ({ type, uri, affect }, { actor }) => {
  const [side] = affected(actor, affect);
  const value = metadataOf(side === 'live' ? actor.live! : actor.config!, type, uri);
  if (value === undefined) {
    const what = type === 'element' ? `element with namespace '${uri}'` : type;
    throw new VirtError('NO_DOMAIN_METADATA', { detail: `the domain has no ${what}` });
  }
  return { value };
});

/** The guest's own document, too: it is what the next change is made to. */
function changeLive(actor: Actor, to: (live: Domain) => Domain): void {
  const { guest } = actor;
  if (guest) guest.live = to(guest.live);
  actor.setLive(guest?.live ?? to(actor.live!));
}

export const writeMetadata = change(setMetadata, 'any', async ({ affect, ...change }, { actor }) => {
  for (const side of affected(actor, affect)) {
    if (side === 'live') changeLive(actor, (live) => withMetadata(live, change));
    else actor.setConfig(withMetadata(actor.config!, change));
  }
  actor.emit({ class: 'metadata', type: change.type, data: change.uri ? { uri: change.uri } : {} });
  return { domain: actor.summary() };
});
