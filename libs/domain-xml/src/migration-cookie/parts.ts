/** Which part of a cookie is read in which phase, and the names by which a part can be made one that must be understood. */
import type { MigrationCookie } from './elements';

type Part = Exclude<keyof MigrationCookie, 'name' | 'uuid' | 'hostname' | 'hostuuid' | 'features'>;

/** The step that reads a cookie: A, B, C and D in this order. */
export type CookieReader = 'prepare' | 'perform' | 'finish' | 'confirm';

/** libvirt's names of features. Without a part: the flag is all that there is to say. */
const features = {
  graphics: 'graphics',
  lockstate: 'lockstate',
  persistent: 'domain',
  network: 'network',
  nbd: 'nbd',
  statistics: 'statistics',
  'memory-hotplug': undefined,
  'cpu-hotplug': undefined,
  cpu: 'cpu',
  allowReboot: undefined,
  capabilities: 'capabilities',
  'block-dirty-bitmaps': 'blockDirtyBitmaps',
} as const satisfies Record<string, Part | undefined>;

export type CookieFeature = keyof typeof features;

const read: Readonly<Record<CookieReader, readonly CookieFeature[]>> = {
  prepare: ['lockstate', 'nbd', 'memory-hotplug', 'cpu-hotplug', 'cpu', 'capabilities', 'block-dirty-bitmaps'],
  perform: ['graphics', 'nbd', 'capabilities', 'block-dirty-bitmaps'],
  finish: ['persistent', 'network', 'nbd', 'statistics'],
  confirm: ['statistics'],
};

export const isFeature = (name: string): name is CookieFeature => Object.hasOwn(features, name);

export const isReadIn = (reader: CookieReader, feature: CookieFeature): boolean => read[reader].includes(feature);

/** Takes out what this phase does not read. In place. */
export function keepPartsOf(reader: CookieReader, cookie: MigrationCookie): void {
  for (const feature of Object.keys(features) as CookieFeature[]) {
    const part = features[feature];
    if (part !== undefined && !isReadIn(reader, feature)) delete cookie[part];
  }
}
