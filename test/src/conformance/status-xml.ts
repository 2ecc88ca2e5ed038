/** The kit of status documents: what libvirt keeps of running guests, read and written again. */
import { formatStatus, parseStatus } from '@virtbus/domain-xml';
import { differenceInText, differenceInTrees } from './compare';
import { Tally, type Runner } from './kit';

interface Case {
  id: string;
  input: string;
  expectXml: string;
}

export const statusXml: Runner = (kit) => {
  const tally = new Tally(kit.name);
  for (const one of kit.cases<Case>()) {
    const expected = kit.read(one.expectXml);
    let output: string | undefined;
    let refusal = '';
    try {
      const { status, warnings } = parseStatus(kit.read(one.input), { memoryDir: '/var/lib/libvirt/qemu/ram' });
      output = formatStatus(status);
      refusal = warnings.map(({ line, detail }) => `line ${line}: ${detail}`).join('; ');
    } catch (error) {
      refusal = `refused: ${error instanceof Error ? error.message : String(error)}`;
    }
    tally.add('nothing unknown', one.id, refusal === '' ? undefined : refusal);
    tally.add('round trip (lenient)', one.id, output === undefined ? refusal : differenceInTrees(expected, output));
    tally.add('round trip (strict)', one.id, output === undefined ? refusal : differenceInText(expected, output));
  }
  return tally.scores();
};
