/** Memory and virtual CPUs, live and in the definition. */
import type { Domain } from '@virtbus/domain-xml';
import { setMemory, setVcpus, VirtError } from '@virtbus/shared';
import type { Actor } from '../actor';
import { memoryOf, vcpusOf, withMemory, withVcpus } from '../document';
import { facet } from '../driver';
import type { DriverHost } from '../host';
import { affected } from './affect';
import { change, guestOf } from './op';

/** As `define` would take it: made before the guest is touched, and anew when it is kept. */
const checked = (host: DriverHost, actor: Actor, domain: Domain): Domain =>
  host.implementation.prepare(domain, { before: actor.config }).domain;

export const memory = change(setMemory, 'any', async ({ kib, maximum, affect }, { host, actor, call }) => {
  const sides = affected(actor, affect);
  for (const side of sides) {
    const { maxMemoryKiB } = memoryOf(side === 'live' ? actor.live! : actor.config!);
    if (!maximum && kib > maxMemoryKiB) {
      throw new VirtError('INVALID_ARG', { detail: `cannot set memory higher than max memory (${maxMemoryKiB} KiB)` });
    }
    if (maximum && side === 'live') {
      throw new VirtError('OPERATION_INVALID', { detail: 'cannot resize the maximum memory on an active domain' });
    }
  }
  const redefined = (): Domain => checked(host, actor, withMemory(actor.config!, kib, maximum));
  if (sides.includes('config')) redefined();
  if (sides.includes('live')) {
    actor.ballooning = { id: call.id, kib };
    await facet(host.implementation, 'memory').set(guestOf(actor), kib, call.signal);
  }
  if (sides.includes('config')) {
    actor.setConfig(redefined());
    actor.emit({ class: 'config', type: 'memory', data: { kib, maximum } });
  }
  return { domain: actor.summary() };
});

export const vcpus = change(setVcpus, 'any', async ({ count, maximum, affect }, { host, actor, call }) => {
  const sides = affected(actor, affect);
  for (const side of sides) {
    const { maxVcpus } = vcpusOf(side === 'live' ? actor.live! : actor.config!);
    if (!maximum && count > maxVcpus) {
      const detail = `requested vcpus is greater than max allowable vcpus for the ${side} domain: ${count} > ${maxVcpus}`;
      throw new VirtError('INVALID_ARG', { detail });
    }
    if (maximum && side === 'live') {
      throw new VirtError('INVALID_ARG', { detail: 'maximum vcpu count of a live domain cannot be modified' });
    }
  }
  const redefined = (): Domain => checked(host, actor, withVcpus(actor.config!, count, maximum));
  if (sides.includes('config')) redefined();
  if (sides.includes('live')) await facet(host.implementation, 'vcpus').set(guestOf(actor), count, call.signal);
  if (sides.includes('config')) actor.setConfig(redefined());
  actor.emit({ class: 'config', type: 'vcpus', data: { count, maximum, affect: sides } });
  return { domain: actor.summary() };
});
