/** virsh's `--live`, `--config`, `--current` and `--persistent`: which definition a change is for. */
import type { Affect } from '@virtbus/shared';
import { flag, UsageError } from './spec';

export const affectOptions = {
  live: flag('change the running domain'),
  config: flag('change the definition, for the next start'),
  current: flag('change the running domain, or the definition when it is inactive (default)'),
};

/** As virsh's device commands know it beside the three. */
export const persistently = {
  ...affectOptions,
  persistent: flag('change the definition, and the domain as well when it runs'),
};

/** @param active whether the domain runs; asked for `--persistent` alone */
export async function affectOf(
  options: { live: boolean; config: boolean; current: boolean; persistent?: boolean },
  active: () => Promise<boolean>,
): Promise<Affect> {
  const { live, config, current, persistent = false } = options;
  if (current && (live || config)) throw new UsageError('--current goes with neither --live nor --config');
  if (current && persistent) throw new UsageError('--current does not go with --persistent');
  if (persistent) return live || (await active()) ? 'both' : 'config';
  if (live && config) return 'both';
  return live ? 'live' : config ? 'config' : 'current';
}
