/** Disks of a domain: their size, limits on their traffic, thresholds, sizes and errors. */
import { diskNamed, type Domain } from '@virtbus/domain-xml';
import {
  getDiskErrors,
  getDiskLimits,
  getDiskSizes,
  resizeDisk,
  setDiskLimits,
  setDiskThreshold,
  VirtError,
} from '@virtbus/shared';
import { limitsOf, withDiskLimits } from '../disk-limits';
import { facet } from '../driver';
import { affected, redefinition } from './affect';
import { change, guestOf, look } from './op';

export const resize = change(resizeDisk, 'active', async ({ disk, ...size }, { host, actor, call }) => {
  if (size.bytes === undefined && !size.capacity)
    throw new VirtError('INVALID_ARG', { detail: 'a new size is needed, or that it is to be the capacity' });
  const guest = guestOf(actor);
  const bytes = await facet(host.implementation, 'disks').resize(guest, diskNamed(guest.live, disk), size, call.signal);
  actor.emit({ class: 'config', type: 'disk-size', data: { disk: diskNamed(guest.live, disk).target.dev, bytes } });
  return { domain: actor.summary(), bytes };
});

export const limits = look(getDiskLimits, 'any', async ({ disk, affect }, { actor }) => {
  const [side] = affected(actor, affect);
  return limitsOf(diskNamed(side === 'live' ? actor.live! : actor.config!, disk));
});

export const limit = change(setDiskLimits, 'any', async ({ disk, affect, ...wish }, context) => {
  const { host, actor, call } = context;
  const sides = affected(actor, affect);
  const redefined = redefinition(context, (config) => withDiskLimits(config, disk, wish));
  if (sides.includes('config')) redefined();
  if (sides.includes('live')) {
    const guest = guestOf(actor);
    const target = diskNamed(guest.live, disk).target.dev ?? '';
    const limited = (live: Domain) => withDiskLimits(live, target, wish);
    await facet(host.implementation, 'disks').limit(guest, target, limited, call.signal);
    actor.setLive(guest.live);
  }
  if (sides.includes('config')) actor.setConfig(redefined());
  actor.emit({ class: 'tunable', type: 'disk', data: { disk, ...wish, affect: sides } });
  return { domain: actor.summary() };
});

export const threshold = change(setDiskThreshold, 'active', async ({ image, bytes }, { host, actor, call }) => {
  await facet(host.implementation, 'disks').setThreshold(guestOf(actor), image, bytes, call.signal);
  return { domain: actor.summary() };
});

export const sizes = look(getDiskSizes, 'any', async ({ disk }, { host, actor, call }) => {
  const document = actor.live ?? actor.config!;
  const asked = disk === undefined ? document.devices.disks : [diskNamed(document, disk)];
  const facility = facet(host.implementation, 'disks');
  return { disks: await Promise.all(asked.map((one) => facility.sizes(actor.guest, one, call.signal))) };
});

export const errors = look(getDiskErrors, 'active', async (_request, { host, actor, call }) => {
  return { errors: await facet(host.implementation, 'disks').errors(guestOf(actor), call.signal) };
});
