/** The richest CPU that several hosts can all give (libvirt: `virConnectBaselineHypervisorCPU`). */
import { VirtError } from '@virtbus/shared';
import { cpu as declaration, type Cpu } from '../elements/cpu';
import { emptyModel } from '../schema/parse';
import { documentName } from './feature-names';
import { wantedCpu, without, type CpuKnowledge, type FeatureSet, type NamedModel } from './features';

export interface BaselineOptions {
  /** Name each feature, also those of the model. */
  readonly features?: boolean;
  /** Leave out what would tie a guest to its host. */
  readonly migratable?: boolean;
  /** Leave out what this host's QEMU cannot give. */
  readonly onHost?: boolean;
}

/** Throws OPERATION_FAILED for CPUs that have nothing in common. */
export function baselineCpu(cpus: readonly Cpu[], known: CpuKnowledge, options: BaselineOptions = {}): Cpu {
  const all = cpus.map((cpu) => wantedCpu(cpu, known));
  const named = new Set(all.flatMap(({ vendor }) => vendor ?? []));
  if (named.size > 1)
    throw new VirtError('OPERATION_FAILED', { detail: `CPU vendors do not match: ${[...named].join(', ')}` });
  const common = all.map(({ features }) => features).reduce((left, right) => intersection(left, right));
  const here = options.onHost ? intersection(common, known.host.features) : common;
  const kept = options.migratable ? new Set([...here].filter((one) => isMigratable(one, known))) : here;
  return describe({ vendor: [...named][0], features: kept }, known, options.features === true);
}

/** What `host-model` stands for on this host: its CPU by name, as far as guests may be migrated with it. */
export function hostModelCpu(known: CpuKnowledge): Cpu {
  return describe({ vendor: known.host.vendor, features: known.migratable }, known, false);
}

const intersection = (left: ReadonlySet<string>, right: ReadonlySet<string>): ReadonlySet<string> =>
  new Set([...left].filter((one) => right.has(one)));

/** A feature that the host lacks may still be migratable; one that it has says itself. */
const isMigratable = (feature: string, { host, migratable }: CpuKnowledge): boolean =>
  !host.features.has(feature) || migratable.has(feature);

/** QEMU's numbered versions of a model; people and libvirt name the model itself. */
const isNumbered = ({ name }: NamedModel): boolean => /-v\d+$/.test(name);

/** The model that needs the fewest words besides its name, and those words. */
function describe(set: FeatureSet, known: CpuKnowledge, expand: boolean): Cpu {
  const candidates = [...known.models.values()].filter(
    (model) =>
      !isNumbered(model) && (set.vendor === undefined || model.vendor === undefined || model.vendor === set.vendor),
  );
  const cost = ({ features }: NamedModel): number =>
    without(set.features, features).length + without(features, set.features).length;
  const best = candidates.reduce<NamedModel | undefined>(
    (found, one) => (found === undefined || cost(one) < cost(found) ? one : found),
    undefined,
  );
  if (best === undefined || set.features.size === 0)
    throw new VirtError('OPERATION_FAILED', { detail: 'CPUs are incompatible: no feature is common to all of them' });
  const required = expand ? [...set.features] : without(set.features, best.features);
  const feature = (policy: 'require' | 'disable') => (name: string) => ({ name: documentName(name), policy });
  return {
    ...(emptyModel(declaration) as Cpu),
    mode: 'custom',
    match: 'exact',
    model: { name: best.name, fallback: 'forbid' },
    features: [
      ...required.sort().map(feature('require')),
      ...without(best.features, set.features).sort().map(feature('disable')),
    ],
  };
}
