/** The kit of documents that the core alone handles: no hypervisor, no capabilities, no addresses. */
import { fillDefaults, formatDomain, parseDomain } from '@virtbus/domain-xml';
import { differenceInText, differenceInTrees } from './compare';
import { Tally, type Runner } from './kit';

interface Case {
  id: string;
  expect: 'ok' | 'parse-error';
  mode: 'live' | 'inactive';
  input: string;
  expectXml?: string;
}

/** The bytes that the reference's random source yields, as a UUID. */
export const fixedUuid = '00010203-0405-4607-8809-0a0b0c0d0e0f';

export const genericDomainXml: Runner = (kit) => {
  const tally = new Tally(kit.name);
  for (const one of kit.cases<Case>()) {
    let output: string | undefined;
    let refusal = '';
    try {
      const { domain } = parseDomain(kit.read(one.input), { mode: one.mode, unknown: 'warn' });
      output = formatDomain(
        fillDefaults(domain, undefined, { newUuid: () => fixedUuid, newMac: () => '52:54:00:00:00:00' }),
        {
          view: one.mode === 'live' && domain.id !== undefined ? 'live' : 'inactive',
          secrets: true,
        },
      );
    } catch (error) {
      refusal = String(error instanceof Error ? error.message : error);
    }
    const refused = output === undefined;
    tally.add(
      'verdict',
      one.id,
      refused === (one.expect === 'parse-error')
        ? undefined
        : refused
          ? `refused: ${refusal}`
          : 'accepted, but should be refused',
    );
    if (one.expectXml === undefined) continue;
    const expected = kit.read(one.expectXml);
    tally.add('output (lenient)', one.id, refused ? `refused: ${refusal}` : differenceInTrees(expected, output ?? ''));
    tally.add('output (strict)', one.id, refused ? `refused: ${refusal}` : differenceInText(expected, output ?? ''));
  }
  return tally.scores();
};
