/**
 * `npm run conformance -- [--kits DIR] [--kit NAME] [--json FILE] [--all]`
 *
 * Measures this build against recorded cases of libvirt, kit by kit. Exit code 0 when the kits were run, whatever the numbers;
 * 2 when there was nothing to run.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { failingCases, table } from './report';
import { runKits } from './run';

const { values } = parseArgs({
  options: {
    kits: { type: 'string', default: resolve(__dirname, '../../../../shared/conformance') },
    kit: { type: 'string' },
    json: { type: 'string' },
    all: { type: 'boolean', default: false },
  },
});

if (!existsSync(values.kits)) {
  console.error(`there are no conformance kits in ${values.kits}; name their folder with --kits DIR`);
  process.exit(2);
}
const { scores, withoutRunner } = runKits(values.kits, values.kit);
if (scores.length + withoutRunner.length === 0) {
  console.error(`there is no kit${values.kit === undefined ? '' : ` named '${values.kit}'`} in ${values.kits}`);
  process.exit(2);
}
console.log(table(scores));
for (const name of withoutRunner) console.log(`${name}: no runner`);
console.log(failingCases(scores, values.all ? Infinity : 8));
if (values.json !== undefined)
  writeFileSync(
    values.json,
    `${JSON.stringify(
      scores.map(({ kit, kind, cases, passed }) => ({ kit, kind, cases, passed })),
      null,
      2,
    )}\n`,
  );
