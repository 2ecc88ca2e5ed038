/** The kit of containers: documents as they are normalised, and configurations of liblxc as they are converted. */
import { fillLxcDefaults, formatDomain, fromLxcConfig, parseDomain } from '@virtbus/domain-xml';
import { differenceInText, differenceInTrees } from './compare';
import { Tally, type Runner } from './kit';

interface Case {
  id: string;
  kind: 'xml2xml' | 'conf2xml';
  expect: 'ok' | 'error';
  input: string;
  expectXml: string;
}

const emulator = '/usr/libexec/libvirt_lxc';
const host = { emulator, arches: ['x86_64', 'i686'] };
const fixedUuid = 'c7a5fdbd-edaf-9455-926a-d65c16db1809';

export const lxc: Runner = (kit) => {
  const tally = new Tally(kit.name);
  for (const one of kit.cases<Case>()) {
    const input = kit.read(one.input);
    let output: string | undefined;
    let refusal = '';
    try {
      output = one.kind === 'xml2xml' ? normalised(input) : converted(input);
    } catch (error) {
      refusal = `refused: ${error instanceof Error ? error.message : String(error)}`;
    }
    const refused = output === undefined;
    const wanted = one.expect === 'error';
    const verdict = refused === wanted ? undefined : refused ? refusal : 'accepted, but should be refused';
    tally.add(`${one.kind}: verdict`, one.id, verdict);
    if (wanted) continue;
    const expected = kit.read(one.expectXml);
    const judge = (compare: typeof differenceInText): string | undefined =>
      refused ? refusal : compare(expected, output ?? '');
    tally.add(`${one.kind}: output (lenient)`, one.id, judge(differenceInTrees));
    tally.add(`${one.kind}: output (strict)`, one.id, judge(differenceInText));
  }
  return tally.scores();
};

function normalised(xml: string): string {
  const { domain } = parseDomain(xml, { mode: 'live' });
  return formatDomain(fillLxcDefaults(domain, host), { view: 'live', secrets: true });
}

function converted(config: string): string {
  const { domain } = fromLxcConfig(config, { emulator, newUuid: () => fixedUuid });
  return formatDomain(domain, { view: 'live' });
}
