/** Everything that `npm run fuzz` can be pointed at. */
import { diskImage } from './disk-image';
import { domainXml } from './domain-xml';
import { lxcConfig, lxcXml } from './lxc';
import { migrationCookie } from './migration-cookie';
import type { FuzzTarget } from './target';

export const targets: readonly FuzzTarget[] = [domainXml, lxcXml, lxcConfig, diskImage, migrationCookie];

export const targetNamed = (name: string): FuzzTarget | undefined => targets.find((target) => target.name === name);
