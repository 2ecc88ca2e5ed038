/** The kit of migration cookies: read in the context of a running guest, written again by another host. */
import { isDeepStrictEqual } from 'node:util';
import {
  bitmapMapping,
  formatCookie,
  parseCookie,
  parseStatus,
  type Domain,
  type MigrationCookie,
} from '@virtbus/domain-xml';
import { differenceInText, differenceInTrees } from './compare';
import { Tally, type Kit, type Runner } from './kit';

interface Case {
  id: string;
  status: string;
  input: string;
  expectXml: string;
  expectMigrationParameters?: string;
}

/** The host that the kit's expectations were written by. */
const here = { hostname: 'hostname', hostuuid: '4a802f00-4cba-5df6-9679-a08c4c5b577f' };

export const migrationCookies: Runner = (kit) => {
  const tally = new Tally(kit.name);
  for (const one of kit.cases<Case>()) {
    const judge = (kind: string, look: () => string | undefined): void => {
      let reason: string | undefined;
      try {
        reason = look();
      } catch (error) {
        reason = `refused: ${error instanceof Error ? error.message : String(error)}`;
      }
      tally.add(kind, one.id, reason);
    };
    judge('round trip (lenient)', () => differenceInTrees(kit.read(one.expectXml), answered(kit, one)));
    judge('round trip (strict)', () => differenceInText(kit.read(one.expectXml), answered(kit, one)));
    const { expectMigrationParameters: expected } = one;
    if (expected !== undefined) judge('migration parameters', () => parametersDiffer(kit, one, expected));
  }
  return tally.scores();
};

function read(kit: Kit, one: Case): { cookie: MigrationCookie; domain: Domain } {
  const { domain } = parseStatus(kit.read(one.status), { memoryDir: '/var/lib/libvirt/qemu/ram' }).status;
  const context = { name: domain.name, uuid: domain.uuid ?? '', hostUuid: here.hostuuid };
  return { cookie: parseCookie(kit.read(one.input), 'any', context), domain };
}

/** What this host would write of all that it understood. */
function answered(kit: Kit, one: Case): string {
  const { cookie } = read(kit, one);
  return formatCookie({ capabilities: { capabilities: [] }, ...cookie, ...here, features: [] });
}

function parametersDiffer(kit: Kit, one: Case, expected: string): string | undefined {
  const { cookie, domain } = read(kit, one);
  const { blockDirtyBitmaps = { disks: [] } } = cookie;
  const nodeOf = (target: string): string | undefined =>
    domain.devices.disks
      .find((disk) => disk.target.dev === target)
      ?.source?.privateData?.nodenames?.nodenames.find(({ type }) => type === 'format')?.name;
  const first = new Map(blockDirtyBitmaps.disks.map(({ target, bitmaps }) => [target, bitmaps[0]?.name]));
  const found = {
    'block-bitmap-mapping': bitmapMapping(blockDirtyBitmaps, nodeOf, (target, name) => first.get(target) === name),
  };
  const wanted = JSON.parse(kit.read(expected)) as unknown;
  return isDeepStrictEqual(found, wanted) ? undefined : `expected ${kit.read(expected)}, got ${JSON.stringify(found)}`;
}
