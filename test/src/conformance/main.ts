/**
 * `npm run conformance -- [--kits DIR] [--kit NAME] [--json FILE] [--all] [--report] [--start-qemu]`
 *
 * Measures this build against recorded cases of libvirt, kit by kit. Exit code 0 when the kits were run, whatever the numbers;
 * 2 when there was nothing to run. With `--start-qemu` the installed QEMU is started with our command lines instead (as root); with
 * `--report` the page of the reference is written, too.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { findProgram } from '@virtbus/testkit';
import { Kit } from './kit';
import { conformancePage, pagePath } from './page';
import { failingCases, table } from './report';
import { runKits } from './run';
import { startReport } from './start-qemu/report';
import { startCases } from './start-qemu/run';

const { values } = parseArgs({
  options: {
    kits: { type: 'string', default: resolve(__dirname, '../../../../shared/conformance') },
    kit: { type: 'string' },
    json: { type: 'string' },
    all: { type: 'boolean', default: false },
    report: { type: 'boolean', default: false },
    'start-qemu': { type: 'boolean', default: false },
  },
});

if (!existsSync(values.kits)) {
  console.error(`there are no conformance kits in ${values.kits}; name their folder with --kits DIR`);
  process.exit(2);
}
if (values['start-qemu']) void tellStarts(values.kits);
else void tellScores(values.kits, values);

async function tellScores(
  kits: string,
  { kit, all, json, report }: { kit?: string; all: boolean; json?: string; report: boolean },
): Promise<void> {
  const { scores, withoutRunner } = await runKits(kits, kit);
  if (scores.length + withoutRunner.length === 0) {
    console.error(`there is no kit${kit === undefined ? '' : ` named '${kit}'`} in ${kits}`);
    process.exit(2);
  }
  console.log(table(scores));
  for (const name of withoutRunner) console.log(`${name}: no runner`);
  console.log(failingCases(scores, all ? Infinity : 8));
  if (report) writeFileSync(pagePath, conformancePage(scores));
  if (json === undefined) return;
  const rows = scores.map(({ kit: name, kind, cases, passed }) => ({ kit: name, kind, cases, passed }));
  writeFileSync(json, `${JSON.stringify(rows, null, 2)}\n`);
}

async function tellStarts(kits: string): Promise<void> {
  const emulator = findProgram('qemu-system-x86_64');
  if (emulator === undefined || process.getuid?.() !== 0) {
    console.error(
      '--start-qemu starts qemu-system-x86_64, each in a network of its own: install it, and run this as root',
    );
    process.exit(2);
  }
  const kit = new Kit('domain-xml-qemu', join(kits, 'domain-xml-qemu'));
  console.log(startReport(await startCases(kit, { emulator, every: 1, parallel: availableParallelism() })));
}
