/** The kit of storage documents: pools, volumes, and the qemu-img command lines that make volumes. */
import {
  formatPool,
  formatVolume,
  imageCommands,
  parsePool,
  parseVolume,
  type Volume,
  type VolumeParseOptions,
} from '@virtbus/domain-xml/storage';
import { differenceInText, differenceInTrees } from './compare';
import { Tally, type Kit, type Runner } from './kit';
import { differenceInWords, shellWords } from './words';

interface Case {
  id: string;
  kind: 'pool-xml' | 'pool-argv' | 'volume-xml' | 'volume-argv';
  expect: 'ok' | 'error' | 'no-command';
  input: string;
  pool: string;
  sourceVolume?: string;
  sourcePool?: string;
  capacity?: 'not-required' | 'optional';
  preallocateMetadata?: boolean;
  expectXml?: string;
  expectArgs?: string;
}

export const storage: Runner = (kit) => {
  const tally = new Tally(kit.name);
  for (const one of kit.cases<Case>()) {
    // Mounting and activating pools is done by the service, by other means than libvirt's.
    if (one.kind === 'pool-argv') continue;
    let output: string | string[] | undefined;
    let refusal = '';
    try {
      output = one.kind === 'volume-argv' ? commandsOf(kit, one).flat() : documentOf(kit, one);
    } catch (error) {
      refusal = `refused: ${error instanceof Error ? error.message : String(error)}`;
    }
    const refused = output === undefined;
    const asExpected = refused === (one.expect === 'error');
    tally.add(`${one.kind} verdict`, one.id, asExpected ? undefined : refusal || 'accepted, but should be refused');
    if (one.expectArgs !== undefined) {
      const words = shellWords(kit.read(one.expectArgs));
      tally.add(`${one.kind} words`, one.id, Array.isArray(output) ? differenceInWords(words, output) : refusal);
    }
    if (one.expectXml === undefined) continue;
    const expected = kit.read(one.expectXml);
    const got = typeof output === 'string' ? output : '';
    tally.add(`${one.kind} output (lenient)`, one.id, refused ? refusal : differenceInTrees(expected, got));
    tally.add(`${one.kind} output (strict)`, one.id, refused ? refusal : differenceInText(expected, got));
  }
  return tally.scores();
};

function documentOf(kit: Kit, one: Case): string {
  if (one.kind === 'pool-xml') return formatPool(parsePool(kit.read(one.input), { unknown: 'warn' }));
  const capacity = one.capacity === 'not-required' ? 'optional' : 'required';
  return formatVolume(volumeIn(kit, one.pool, one.input, capacity));
}

function commandsOf(kit: Kit, one: Case): string[][] {
  const source =
    one.sourceVolume === undefined || one.sourcePool === undefined
      ? undefined
      : volumeIn(kit, one.sourcePool, one.sourceVolume, 'backed');
  const capacity = source ? 'optional' : one.capacity === 'optional' ? 'backed' : 'required';
  return imageCommands({
    volume: volumeIn(kit, one.pool, one.input, capacity),
    source,
    preallocate: one.preallocateMetadata,
    secretFile: '/path/to/secretFile',
    sourceSecretFile: '/path/to/inputSecretFile',
  });
}

function volumeIn(kit: Kit, pool: string, path: string, capacity: VolumeParseOptions['capacity']): Volume {
  const { type } = parsePool(kit.read(pool), { unknown: 'warn' });
  return parseVolume(kit.read(path), { poolType: type, unknown: 'warn', ...(capacity && { capacity }) });
}
