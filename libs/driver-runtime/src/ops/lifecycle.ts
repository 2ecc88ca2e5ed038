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
import type { Actor } from '../actor';
import { facet } from '../driver';
import { mustBeHere } from '../handed-over';
import { change, guestOf, notRunning, turn, type Context } from './op';

export const suspend = change(
  suspendDomain,
  'active',
  async (_request, { actor, call }) => {
    // It stands still here, and may run there.
    mustBeHere(actor);
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
  await asking(actor, call, () => facet(host.implementation, 'power').shutdown(guestOf(actor), mode, call.signal));
  return { domain: actor.summary() };
});

export const reboot = change(rebootDomain, 'running', async ({ mode }, { host, actor, call }) => {
  await asking(actor, call, () => facet(host.implementation, 'power').reboot(guestOf(actor), mode, call.signal));
  return { domain: actor.summary() };
});

export const reset = change(resetDomain, 'active', async (_request, { host, actor, call }) => {
  await asking(actor, call, () => facet(host.implementation, 'reset').press(guestOf(actor), call.signal));
  return { domain: actor.summary() };
});

/** What the guest does next is the effect of this command, unless it could not be asked. */
async function asking(actor: Actor, call: Context['call'], ask: () => Promise<void>): Promise<void> {
  actor.record.asked = call.id;
  actor.record.askedBy = actor.current && { operation: actor.current.operation, caller: actor.current.caller };
  try {
    await ask();
  } catch (thrown) {
    if (actor.record.asked === call.id) actor.record.asked = undefined;
    throw thrown;
  }
}

/** Takes no job: it ends whatever holds one. */
export const destroy = change(
  destroyDomain,
  'active',
  async ({ graceful }, { host, actor, call }) => {
    if (actor.handedOver) await switched(host, actor, call);
    if (actor.starting && !actor.guest) {
      actor.starting.abort(new VirtError('OPERATION_ABORTED', { detail: 'the domain was destroyed while it started' }));
      using _turn = await actor.jobs.normal('modify', 'destroy', turn(call));
      return { domain: actor.summary() };
    }
    await guestOf(actor).destroy({ graceful, reason: 'destroyed', detail: 'destroyed', signal: call.signal });
    // Handed over before its process was gone.
    if (actor.handedOver) await switched(host, actor, call);
    return { domain: actor.summary() };
  },
  'none',
);

/** How long the switch of a migration that goes well may take, milliseconds. */
const switchMs = 5_000;

/**
 * A domain that is between two hosts may run on the other one by now. Where it does, it is gone here in a moment, and the
 * command is given there.
 */
async function switched(host: Context['host'], actor: Actor, call: Context['call']): Promise<void> {
  const { signal, forMs } = turn(call);
  const how = { signal, forMs: Math.min(forMs ?? switchMs, switchMs) };
  const turned = await actor.jobs.normal('modify', 'destroy', how).catch(() => undefined);
  turned?.[Symbol.dispose]();
  host.mustHave(actor);
  mustBeHere(actor);
}
