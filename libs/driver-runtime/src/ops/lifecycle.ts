/** What is done to a running guest as a whole. */
import {
  destroyDomain,
  rebootDomain,
  resetDomain,
  resumeDomain,
  shutdownDomain,
  suspendDomain,
  VirtError,
} from '@virtbus/shared';
import { facet } from '../driver';
import { change, guestOf, notRunning } from './op';

export const suspend = change(
  suspendDomain,
  'active',
  async (_request, { actor, call }) => {
    if (actor.record.state === 'pmsuspended') throw asleep();
    if (actor.record.state !== 'paused') await guestOf(actor).suspend('user', call.signal);
    return { domain: actor.summary() };
  },
  'suspend',
);

export const resume = change(resumeDomain, 'active', async (_request, { actor, call }) => {
  const { state } = actor.record;
  if (state === 'running') throw new VirtError('OPERATION_INVALID', { detail: 'domain is already running' });
  if (state === 'pmsuspended') throw asleep();
  if (state === 'shutdown') throw notRunning();
  await guestOf(actor).resume('unpaused', call.signal);
  return { domain: actor.summary() };
});

const asleep = (): VirtError => new VirtError('OPERATION_INVALID', { detail: 'domain is pmsuspended' });

export const shutdown = change(shutdownDomain, 'running', async ({ mode }, { host, actor, call }) => {
  actor.record.asked = call.id;
  await facet(host.implementation, 'power').shutdown(guestOf(actor), mode, call.signal);
  return { domain: actor.summary() };
});

export const reboot = change(rebootDomain, 'running', async ({ mode }, { host, actor, call }) => {
  actor.record.asked = call.id;
  await facet(host.implementation, 'power').reboot(guestOf(actor), mode, call.signal);
  return { domain: actor.summary() };
});

export const reset = change(resetDomain, 'active', async (_request, { host, actor, call }) => {
  actor.record.asked = call.id;
  await facet(host.implementation, 'power').reset(guestOf(actor), call.signal);
  return { domain: actor.summary() };
});

/** Takes no job: it ends whatever holds one. */
export const destroy = change(
  destroyDomain,
  'active',
  async ({ graceful }, { actor, call }) => {
    if (actor.starting && !actor.guest) {
      actor.starting.abort(new VirtError('OPERATION_ABORTED', { detail: 'the domain was destroyed while it started' }));
      using _turn = await actor.jobs.normal('modify', 'destroy', call.signal);
      return { domain: actor.summary() };
    }
    await guestOf(actor).destroy({ graceful, reason: 'destroyed', detail: 'destroyed', signal: call.signal });
    return { domain: actor.summary() };
  },
  'none',
);
