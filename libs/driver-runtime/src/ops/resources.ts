/** Memory and virtual CPUs, live and in the definition. */
import { setMemory, setVcpus, VirtError } from '@virtbus/shared';
import { memoryOf, vcpusOf, withMemory, withVcpus } from '../document';
import { facet } from '../driver';
import { affected, redefinition } from './affect';
import { change, guestOf } from './op';

export const memory = change(setMemory, 'any', async ({ kib, maximum, affect }, context) => {
  const { host, actor, call } = context;
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
  const redefined = redefinition(context, (config) => withMemory(config, kib, maximum));
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

export const vcpus = change(setVcpus, 'any', async ({ count, maximum, affect }, context) => {
  const { host, actor, call } = context;
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
  const redefined = redefinition(context, (config) => withVcpus(config, count, maximum));
  if (sides.includes('config')) redefined();
  if (sides.includes('live')) await facet(host.implementation, 'vcpus').set(guestOf(actor), count, call.signal);
  if (sides.includes('config')) actor.setConfig(redefined());
  actor.emit({ class: 'config', type: 'vcpus', data: { count, maximum, affect: sides } });
  return { domain: actor.summary() };
});
