/** `lxc-tools`: the configuration that liblxc's own tools start a document with, and the document that a configuration says. */
import { existsSync } from 'node:fs';
import { fromLxcConfig, prepareLxcDomain, toLxcConfig, warningText, type Domain } from '@virtbus/domain-xml';
import type { Facets } from '@virtbus/driver-runtime';
import { deviceAt, isFile, mapsMount, mapsRoot } from '../configuration';
import { idsInside } from '../ids-inside';
import { mapIds } from '../live';
import type { Machine } from '../machine';

export const nativeFacet = (machine: Machine): NonNullable<Facets['native']> => ({
  formats: ['lxc-tools'],
  toNative: (_format, domain) => configurationAlone(domain, machine),
  fromNative: (_format, text) => {
    const { domain, warnings } = fromLxcConfig(text, { emulator: machine.capabilities.emulator });
    return { domain, warnings: warnings.map(warningText) };
  },
});

/** As a start would write it, without what a start makes ready: folders, images, names of cards. */
export function configurationAlone(domain: Domain, { capabilities, subIds }: Machine): string {
  const prepared = prepareLxcDomain(domain, capabilities);
  mapIds(prepared, subIds);
  const { cgroups, apparmor } = capabilities;
  return toLxcConfig(prepared, {
    cgroups,
    apparmor,
    ids: idsInside(prepared),
    device: deviceAt,
    isFile,
    idmapRoot: mapsRoot(prepared),
    idmapMount: (path) => existsSync(path) && mapsMount(prepared, path),
  });
}
