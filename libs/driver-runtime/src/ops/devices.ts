/** Devices, added, removed and changed: in the definition, in the running guest, or both. */
import {
  addDevice,
  formatDevice,
  parseDevice,
  removeDevice,
  replaceDevice,
  warningText,
  type Device,
  type Domain,
  type Warning,
} from '@virtbus/domain-xml';
import { attachDevice, detachDevice, updateDevice, type Affect } from '@virtbus/shared';
import type { Actor } from '../actor';
import { facet, type Facets } from '../driver';
import { chainsOf, heldBy, hold, release } from '../images';
import type { HeldDisks } from '../record';
import { affected } from './affect';
import { change, guestOf, type Context } from './op';

type How = 'attach' | 'detach' | 'update';

/** What each does to a definition. */
const onConfig: Record<How, (domain: Domain, device: Device) => Domain> = {
  attach: addDevice,
  detach: removeDevice,
  update: replaceDevice,
};

async function apply(how: How, { xml, affect }: { xml: string; affect: Affect }, context: Context) {
  const { host, actor, call, prepared } = context;
  const sides = affected(actor, affect);
  const ignored: Warning[] = [];
  const device = parseDevice(xml, ignored);
  // The new definition is made and checked first: when it is refused, the guest has not been touched.
  const config = sides.includes('config')
    ? host.implementation.prepare(onConfig[how](actor.config!, device), { before: actor.config }).domain
    : undefined;
  let now: Device | undefined;
  if (sides.includes('live')) {
    const facility: NonNullable<Facets['devices']> = facet(host.implementation, 'devices');
    const target = device.list === 'disks' ? device.value.target.dev : undefined;
    const disks = heldBy(prepared);
    // What joins the guest is held from before it does: a crash in between lets nothing of it go.
    const coming = how === 'update' ? asMedia(disks) : disks;
    hold(actor, coming);
    try {
      now = await facility[how](guestOf(actor), device, call.signal, chainsOf(disks).get(target ?? ''));
    } catch (error) {
      release(actor, coming);
      throw error;
    }
    if (how === 'update' && target !== undefined) exchange(actor, target, disks);
  }
  if (config) {
    actor.setConfig(config);
    actor.emit({ class: 'config', type: 'device', data: { change: how } });
  }
  actor.warnIgnored(ignored.map(warningText));
  return { domain: actor.summary(), ...(now ? { device: formatDevice(now) } : {}) };
}

/** A medium that comes is held beside the one that the drive has. */
const asMedia = (disks: HeldDisks): HeldDisks =>
  Object.fromEntries(Object.entries(disks).map(([target, held]) => [`medium:${target}`, held]));

/** The drive has let go of what it had. */
function exchange(actor: Actor, target: string, disks: HeldDisks): void {
  delete actor.record.disks?.[target];
  hold(actor, disks);
  release(actor, asMedia(disks));
}

export const attach = change(attachDevice, 'any', (request, context) => apply('attach', request, context));
export const detach = change(detachDevice, 'any', (request, context) => apply('detach', request, context));
export const update = change(updateDevice, 'any', (request, context) => apply('update', request, context));
