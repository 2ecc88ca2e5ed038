/** How much of its host a domain may take: asked of the running guest or of the definition, and changed in either. */
import type { Domain } from '@virtbus/domain-xml';
import {
  getBlockIo,
  getMemoryLimits,
  getScheduler,
  setBlockIo,
  setMemoryLimits,
  setScheduler,
  type Affect,
  type EventType,
} from '@virtbus/shared';
import type { Actor } from '../actor';
import { facet } from '../driver';
import type { DriverHost } from '../host';
import { tuningOf, withBlockIo, withMemoryLimits, withScheduler } from '../tuning';
import { affected, redefinition } from './affect';
import { change, guestOf, look, type Context } from './op';

export const scheduler = look(getScheduler, 'any', async ({ affect }, { host, actor }) => {
  return toldOf(host, actor, affect).cpu ?? {};
});
export const memoryLimits = look(getMemoryLimits, 'any', async ({ affect }, { host, actor }) => {
  return toldOf(host, actor, affect).memory ?? {};
});
export const blockIo = look(getBlockIo, 'any', async ({ affect }, { host, actor }) => {
  return toldOf(host, actor, affect).blockIo ?? { devices: [] };
});

export const tuneScheduler = change(setScheduler, 'any', async ({ affect, ...wish }, context) =>
  tune(context, affect, 'cpu', wish, (domain) => withScheduler(domain, wish)),
);
export const tuneMemory = change(setMemoryLimits, 'any', async ({ affect, ...wish }, context) =>
  tune(context, affect, 'memory', wish, (domain) => withMemoryLimits(domain, wish)),
);
export const tuneBlockIo = change(setBlockIo, 'any', async ({ affect, ...wish }, context) =>
  tune(context, affect, 'block-io', wish, (domain) => withBlockIo(domain, wish)),
);

function toldOf(host: DriverHost, actor: Actor, affect: Affect) {
  const [side] = affected(actor, affect);
  return side === 'live' ? facet(host.implementation, 'tuning').read(guestOf(actor)) : tuningOf(actor.config!);
}

function tune(
  context: Context,
  affect: Affect,
  type: EventType<'tunable'>,
  wish: Record<string, unknown>,
  tuned: (domain: Domain) => Domain,
) {
  const { host, actor } = context;
  const sides = affected(actor, affect);
  const redefined = redefinition(context, tuned);
  if (sides.includes('config')) redefined();
  if (sides.includes('live')) {
    const guest = guestOf(actor);
    facet(host.implementation, 'tuning').apply(guest, tuned(guest.live));
    actor.setLive(guest.live);
  }
  if (sides.includes('config')) actor.setConfig(redefined());
  actor.emit({ class: 'tunable', type, data: { ...wish, affect: sides } });
  return { domain: actor.summary() };
}
