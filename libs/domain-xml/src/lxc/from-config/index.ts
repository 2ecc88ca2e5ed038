/** A domain out of liblxc's own configuration, as libvirt converts it. */
import { domain as domainElement, type Domain } from '../../elements/domain';
import type { PrepareOptions } from '../../passes/options';
import { emptyModel, type Warning } from '../../schema/parse';
import { fillLxcDefaults } from '../prepare';
import { readLimits } from './limits';
import { readMounts } from './mounts';
import { readNetwork } from './network';
import { readGuest, readSecurity } from './guest';
import { Reading } from './reading';

interface FromLxcOptions extends PrepareOptions {
  /** Shown as `<emulator>`. */
  readonly emulator: string;
}

/**
 * The domain that a configuration describes, in keys of any version of liblxc. Warnings name what a document has no
 * words for. Throws CONFIG_UNSUPPORTED with the line for what is wrong or would be lost: a missing root file system, mounts in a
 * file of their own, a tmpfs of relative size.
 */
export function fromLxcConfig(
  text: string,
  { emulator, ...options }: FromLxcOptions,
): { domain: Domain; warnings: Warning[] } {
  const reading = new Reading(text);
  const domain = { ...emptyModel(domainElement), type: 'lxc' } as unknown as Domain;
  readGuest(reading, domain);
  readMounts(reading, domain);
  readLimits(reading, domain);
  readSecurity(reading, domain);
  readNetwork(reading, domain);
  const warnings = reading.warnings();
  reading.faults.throwIfAny();
  return { domain: fillLxcDefaults(domain, { emulator, arches: [] }, options), warnings };
}
