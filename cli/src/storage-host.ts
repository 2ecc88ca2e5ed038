/** On which host a pool or a volume is: the one that is named, else the only one that has it. */
import type { Session } from './session';
import { fail } from './failure';
import { shared } from './lazy';
import { UsageError, value } from './spec';

export const onHost = { host: value('HOST', 'its host; may be left out when only one has it', 'host') };

/** Hosts of the fleet that answer. */
export async function onlineHosts(session: Session): Promise<string[]> {
  const { hosts } = await session.call('listHosts', {});
  return [...new Set(hosts.filter(({ online }) => online).map(({ host }) => host))];
}

/** Asks each host; one that does not answer, or has no such thing, is passed over. */
export async function askHosts<T>(
  session: Session,
  ask: (host: string) => Promise<T>,
): Promise<{ found: { host: string; answer: T }[]; silent: string[] }> {
  const silent: string[] = [];
  const asked = (await onlineHosts(session)).map(async (host) => {
    try {
      return [{ host, answer: await ask(host) }];
    } catch (error) {
      const { isVirtError } = shared();
      if (isVirtError(error, 'HOST_OFFLINE') || isVirtError(error, 'OPERATION_TIMEOUT')) silent.push(host);
      else if (!isVirtError(error, 'POOL_NOT_FOUND') && !isVirtError(error, 'VOLUME_NOT_FOUND')) throw error;
      return [];
    }
  });
  return { found: (await Promise.all(asked)).flat(), silent };
}

export async function hostOfPool(session: Session, named: string | undefined, pool: string): Promise<string> {
  if (named !== undefined) return named;
  const { found } = await askHosts(session, (host) => session.call('getPool', { pool }, host));
  return onlyOne(found, `pool '${pool}'`, () => fail('POOL_NOT_FOUND', { pool }));
}

export interface VolumeRef {
  pool?: string | undefined;
  volume: string;
}

export async function hostOfVolume(session: Session, named: string | undefined, ref: VolumeRef): Promise<string> {
  if (named !== undefined) return named;
  const { found } = await askHosts(session, (host) => session.call('getVolume', ref, host));
  return onlyOne(found, `volume '${ref.volume}'`, () => fail('VOLUME_NOT_FOUND', ref));
}

function onlyOne(found: readonly { host: string }[], what: string, none: () => Error): string {
  const [first, ...others] = found;
  if (!first) throw none();
  if (others.length === 0) return first.host;
  throw new UsageError(
    `${what} is on several hosts: name one with --host (${found.map(({ host }) => host).join(', ')})`,
  );
}
