/** Everything that `npm run fuzz` can be pointed at. */
import { domainXml } from './domain-xml';
import { lxcConfig, lxcXml } from './lxc';
import type { FuzzTarget } from './target';

export const targets: readonly FuzzTarget[] = [domainXml, lxcXml, lxcConfig];

export const targetNamed = (name: string): FuzzTarget | undefined => targets.find((target) => target.name === name);
