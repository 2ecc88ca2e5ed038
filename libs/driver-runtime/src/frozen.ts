/** Work that is done while the guest agent has frozen the guest's file systems. */
import { facet } from './driver';
import { guestOf, type Context } from './ops/op';

/** How long thawing may take, milliseconds: longer than the agent itself keeps trying. */
const thawMs = 20_000;

/** Thawed again whatever comes of the work, also when the freezing itself was not answered. */
export async function withFrozenFilesystems<T>({ host, actor, call }: Context, work: () => Promise<T>): Promise<T> {
  const agent = facet(host.implementation, 'agent');
  const guest = guestOf(actor);
  try {
    await agent.execute(guest, { execute: 'guest-fsfreeze-freeze' }, { timeoutMs: thawMs, signal: call.signal });
    return await work();
  } finally {
    const how = { timeoutMs: thawMs, signal: AbortSignal.timeout(thawMs) };
    await agent.execute(guest, { execute: 'guest-fsfreeze-thaw' }, how).catch((err: unknown) => {
      actor.log.error({ err }, 'the file systems of the guest cannot be thawed');
    });
  }
}
