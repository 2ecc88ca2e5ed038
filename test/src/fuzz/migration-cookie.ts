/**
 * Migration cookies as they come from a peer: bytes that are damaged as text and as bytes, read in every phase. What is
 * accepted is written again, and read again as the same.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { formatCookie, readCookie, type CookieReader } from '@virtbus/domain-xml';
import { isVirtError } from '@virtbus/shared';
import { checkout } from '@virtbus/testkit';
import { mutateBytes } from './bytes';
import type { Random } from './random';
import type { FuzzTarget } from './target';
import { damageXml } from './xml-damage';

const kit = resolve(checkout, '../shared/conformance/migration-cookies/cookie');
const uuid = '6a1c0000-0000-4000-8000-000000000001';
const context = {
  name: 'web1',
  uuid,
  hostUuid: '0f3b0000-0000-4000-8000-00000000000b',
  locks: { driver: 'nop', usesState: false },
};
const readers: readonly CookieReader[] = ['prepare', 'perform', 'finish', 'confirm'];

const identity = `<name>web1</name><uuid>${uuid}</uuid><hostname>node-a</hostname><hostuuid>0f3b0000-0000-4000-8000-00000000000a</hostuuid>`;
const parts = [
  "<feature name='lockstate'/><lockstate driver='nop'><leases>text</leases></lockstate>",
  "<feature name='memory-hotplug'/><nbd><disk target='vda' capacity='67108864'/></nbd><capabilities><cap name='postcopy-ram' auto='no'/></capabilities>",
  "<nbd port='49153'><disk target='vda' capacity='67108864'/></nbd><blockDirtyBitmaps><disk target='vda'><bitmap name='chk1' alias='vda-chk1'/></disk></blockDirtyBitmaps>",
  "<graphics type='spice' port='5900' listen='10.0.0.2' tlsPort='-1'><cert info='subject' value='O=Example,CN=node-b'/></graphics>",
  "<network><interface index='0' vporttype='openvswitch'><portdata>text</portdata></interface></network>",
  '<statistics><started>1700000000000</started><delta>-3</delta><downtime>75</downtime><memory_total>67641344</memory_total></statistics>',
  `<feature name='persistent'/><domain type='qemu'><name>web1</name><uuid>${uuid}</uuid><memory>65536</memory><os><type arch='x86_64'>hvm</type></os></domain>`,
  "<cpu mode='custom' match='exact'><model fallback='forbid'>qemu64</model><feature policy='disable' name='svm'/></cpu>",
];

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const wire = (xml: string): Uint8Array => encode(`${xml}\0`);
const cookie = (inner: string): Uint8Array => wire(`<qemu-migration>${identity}${inner}</qemu-migration>`);

/** libvirt's own, as if they were about our guest. */
function fromKit(): Uint8Array[] {
  if (!existsSync(kit)) return [];
  const names = readdirSync(kit).filter((name) => name.endsWith('.xml'));
  return names.sort().map((name) =>
    wire(
      readFileSync(join(kit, name), 'utf8')
        .replace(/<name>.*<\/name>/, '<name>web1</name>')
        .replace(/<uuid>.*<\/uuid>/, `<uuid>${uuid}</uuid>`),
    ),
  );
}

export const migrationCookie: FuzzTarget = {
  name: 'migration-cookie',
  seeds: () => [...parts.map(cookie), cookie(parts.slice(0, 3).join('')), cookie(''), ...fromKit()],
  mutate: (document: Uint8Array, other: Uint8Array, random: Random) => {
    if (random.chance(0.2)) return mutateBytes(document, other, random);
    const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes.subarray(0, -1));
    return wire(damageXml(text(document), text(other), random));
  },
  run: (document) => {
    const outcomes = readers.map((reader) => read(document, reader));
    return outcomes.find((outcome) => outcome === 'accepted') ?? outcomes[0]!;
  },
};

function read(document: Uint8Array, reader: CookieReader): string {
  try {
    const once = readCookie(document, reader, context);
    if (once) stays(formatCookie(once), reader);
    return 'accepted';
  } catch (error) {
    if (isVirtError(error)) return error.code;
    throw error;
  }
}

function stays(written: string, reader: CookieReader): void {
  let again: string;
  try {
    again = formatCookie(readCookie(wire(written), reader, context)!);
  } catch (cause) {
    throw new Error('what was accepted is refused once it was written', { cause });
  }
  if (again !== written) throw new Error('what was accepted is another cookie once it was written');
}
