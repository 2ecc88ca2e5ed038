/** What becomes of a container's document here, and the configuration that liblxc would start it with, key by key. */
import { explainLxcDomain } from '@virtbus/domain-xml';
import type { Facets } from '@virtbus/driver-runtime';
import { mapIds } from '../live';
import type { Machine } from '../machine';
import { configurationAlone } from './native';

const reason = 'what liblxc is started with';

export const explainFacet = (machine: Machine): NonNullable<Facets['explain']> => ({
  explain: (xml) => {
    const live = (domain: Parameters<typeof mapIds>[0]): void => mapIds(domain, machine.subIds);
    const explained = explainLxcDomain(xml, machine.capabilities, { newDefinition: true }, live);
    const { lines, warnings, prepared } = explained;
    return { lines: [...lines, ...keysOf(configurationAlone(prepared, machine))], warnings };
  },
});

/** lxc.container.conf(5): `key = value` a line. */
function keysOf(configuration: string): { path: string; value: string; reason: string }[] {
  return configuration.split('\n').flatMap((line) => {
    const [, path, value] = /^(lxc\.\S+) = (.*)$/.exec(line) ?? [];
    return path === undefined ? [] : [{ path, value: value!, reason }];
  });
}
