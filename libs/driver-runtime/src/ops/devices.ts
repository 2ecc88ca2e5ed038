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
import { chainsOf, coming, heldBy, hold } from '../images';
import { affected, redefinition } from './affect';
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
  const redefined = redefinition(context, (config) => onConfig[how](config, device));
  if (sides.includes('config')) redefined();
  let now: Device | undefined;
  if (sides.includes('live')) {
    const facility: NonNullable<Facets['devices']> = facet(host.implementation, 'devices');
    const target = device.list === 'disks' ? device.value.target.dev : undefined;
    const disks = heldBy(prepared);
    // What joins the guest is held from before it does: a crash in between lets nothing of it go.
    const had = hasDisk(actor, target);
    const hasCome = hold(actor, coming(disks));
    try {
      now = await facility[how](guestOf(actor), device, call.signal, chainsOf(disks).get(target ?? ''));
    } catch (error) {
      // One that the guest has all the same is what it is told of.
      if (how === 'attach' && !had && hasDisk(actor, target)) hold(actor, disks);
      hasCome();
      throw error;
    }
    if (how === 'update' && target !== undefined) delete actor.record.disks?.[target];
    hold(actor, disks);
    hasCome();
  }
  if (sides.includes('config')) {
    actor.setConfig(redefined());
    actor.emit({ class: 'config', type: 'device', data: { change: how } });
  }
  actor.warnIgnored(ignored.map(warningText));
  return { domain: actor.summary(), ...(now ? { device: formatDevice(now) } : {}) };
}

/** The guest's own document is asked: it may be ahead of the one that is kept. */
const hasDisk = ({ guest, live }: Actor, dev: string | undefined): boolean =>
  dev !== undefined && (guest?.live ?? live)?.devices.disks.some(({ target }) => target.dev === dev) === true;

export const attach = change(attachDevice, 'any', (request, context) => apply('attach', request, context));
export const detach = change(detachDevice, 'any', (request, context) => apply('detach', request, context));
export const update = change(updateDevice, 'any', (request, context) => apply('update', request, context));
