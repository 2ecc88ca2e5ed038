/** Where a guest of a host that is being emptied goes: what placement names, and the pre-flight has nothing against. */
import { hostPlace, isActive, MigrationOptions, type DomainSummary, type DrainOptions } from '@virtbus/shared';
import { callService, type Bus } from '@virtbus/shared/bus';
import { inWords, preflight, type Preflight } from '../preflight';

export interface Choice {
  among: readonly string[] | undefined;
  /** The host itself, and those on which it has failed. */
  except: readonly string[];
  /** Hosts that have as many migrations as they may. */
  busy: readonly string[];
}

/** `full`: some host that may have room later has as many migrations as it may. */
export type Way = { to: Preflight; options: MigrationOptions } | { stays: string[] } | 'full';

/** Each guest goes as it is: one that runs live, a paused one paused, of one that is shut off the definition. */
export function optionsFor({ state }: DomainSummary, options: DrainOptions): MigrationOptions {
  if (!isActive(state)) return MigrationOptions.parse({ offline: true, unsafe: options.unsafe });
  const { postcopy, ...rest } = options;
  const paused = state === 'paused';
  return MigrationOptions.parse({ ...rest, live: true, paused, postcopy: postcopy && !paused });
}

export async function whereTo(bus: Bus, domain: DomainSummary, wish: DrainOptions, choice: Choice): Promise<Way> {
  const options = optionsFor(domain, wish);
  const { among, except, busy } = choice;
  const refused: string[] = [];
  const reasons: string[] = [];
  for (;;) {
    const { virtType, arch } = domain;
    const memoryKiB = isActive(domain.state) ? domain.memoryKiB : 0;
    const open = { ...(among && { among: [...among] }), except: [...except, ...refused, ...busy] };
    const { host, reason } = await callService(bus, 'domain', hostPlace, { virtType, arch, memoryKiB, ...open });
    if (host === undefined) {
      if (busy.length > 0) return 'full';
      if (reason !== undefined) reasons.push(reason);
      return { stays: reasons };
    }
    const to = await preflight(bus, domain.uuid, { to: host, driver: domain.driver, options });
    if (to.reasons.length === 0) return { to, options };
    refused.push(host);
    reasons.push(...to.reasons.map((one) => inWords(one, host)).filter((words) => !reasons.includes(words)));
    // What keeps it on its host keeps it there whatever the target.
    if (to.reasons.some(({ where }) => where === 'source')) return { stays: reasons };
  }
}
