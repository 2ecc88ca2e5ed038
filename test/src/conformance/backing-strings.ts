/** The kit of backing strings: what each one means, how layers are named by relative paths, how one is found in a chain. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { findLayer, parseLocation, relativeName } from '@virtbus/disk-image';
import type { Location } from '@virtbus/shared';
import { temporaryFolder } from '@virtbus/testkit';
import { differenceInText } from './compare';
import { Tally, type Kit, type Runner } from './kit';
import { sourceXml } from './source-xml';

interface ParseCase {
  name: string;
  input: string;
  expectedXml: string | null;
  expectError: boolean;
  unrepresentableParts: boolean;
}

interface RelativeCases {
  chain: { relPath: string | null }[];
  cases: { name: string; top: number; base: number; expected: string | null }[];
}

interface LookupCases {
  filesystem: { path: string; type: 'file' | 'directory' | 'symlink'; target?: string }[];
  chains: { path: string; relPath?: string; index?: number }[][];
  cases: {
    name: string;
    chain: number;
    diskTarget: string | null;
    startFrom: number | null;
    lookFor: string | null;
    expectedElement: number | null;
    expectedParent: number | null;
    expectedIndex: number | null;
  }[];
}

export const backingStrings: Runner = async (kit) => {
  const tally = new Tally(kit.name);
  for (const one of JSON.parse(kit.read('cases.json')) as ParseCase[]) tally.add('parse', one.name, parses(one));
  const { chain, cases } = JSON.parse(kit.read('relative.json')) as RelativeCases;
  for (const { name, top, base, expected } of cases) {
    const found = relativeName(chain, top, base) ?? null;
    tally.add('relative', name, found === expected ? undefined : `expected ${expected}, got ${found}`);
  }
  await lookUp(kit, tally);
  return tally.scores();
};

function parses({ input, expectedXml, expectError, unrepresentableParts }: ParseCase): string | undefined {
  let location: Location;
  let dropped: readonly string[];
  try {
    ({ location, dropped } = parseLocation(input));
  } catch (error) {
    return expectError ? undefined : `refused: ${(error as Error).message}`;
  }
  if (expectError || expectedXml === null) return `accepted, but should be refused: ${JSON.stringify(location)}`;
  if (dropped.length > 0 !== unrepresentableParts) return `left out: ${dropped.join(', ') || 'nothing'}`;
  return differenceInText(expectedXml, sourceXml(location));
}

async function lookUp(kit: Kit, tally: Tally): Promise<void> {
  using folder = temporaryFolder();
  const { filesystem, chains, cases } = JSON.parse(
    kit.read('lookup.json').replaceAll('$DIR', folder.path),
  ) as LookupCases;
  for (const { path, type, target } of filesystem) {
    const place = folder.file(path);
    mkdirSync(dirname(place), { recursive: true });
    if (type === 'file') writeFileSync(place, '');
    else if (type === 'symlink') symlinkSync(target ?? '', place);
    else mkdirSync(place);
  }
  const before = process.cwd();
  process.chdir(folder.path);
  try {
    for (const one of cases) {
      const layers = (chains[one.chain] ?? []).map(({ path, ...names }) => ({
        ...names,
        location: { type: 'file' as const, path },
      }));
      const found = await findLayer(layers, one.lookFor ?? undefined, {
        target: one.diskTarget ?? undefined,
        below: one.startFrom ?? undefined,
      });
      const parent = found === undefined || found === 0 ? null : found - 1;
      const right =
        (found ?? null) === one.expectedElement &&
        parent === one.expectedParent &&
        (one.expectedIndex === null || layers[found ?? 0]?.index === one.expectedIndex);
      tally.add('lookup', one.name, right ? undefined : `expected ${one.expectedElement}, got ${found ?? null}`);
    }
  } finally {
    process.chdir(before);
  }
}
