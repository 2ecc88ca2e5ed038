import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { findProgram, requirement } from '@virtbus/testkit';
import { Kit } from '../kit';
import { startReport } from './report';
import { startCases, type Judged } from './run';

const folder = resolve(__dirname, '../../../../../shared/conformance/domain-xml-qemu');
const emulator = findProgram('qemu-system-x86_64');
const needed = requirement(
  `root, qemu-system-x86_64, qemu-img, unshare, setpriv, ip, and a kit in ${folder}`,
  () =>
    process.getuid?.() === 0 &&
    existsSync(folder) &&
    ['qemu-system-x86_64', 'qemu-img', 'unshare', 'setpriv', 'ip'].every(
      (program) => findProgram(program) !== undefined,
    ),
);

needed.test(
  'QEMU accepts the command lines of all cases that need nothing of the host and that it has',
  async () => {
    const options = { emulator: emulator ?? '', every: 4, parallel: 2 };
    const judged = await startCases(new Kit('domain-xml-qemu', folder), options);
    const of = (kind: Judged['verdict']['kind']): Judged[] => judged.filter(({ verdict }) => verdict.kind === kind);
    console.log(startReport(judged));
    expect(of('refused')).toEqual([]);
    expect(of('accepted').length).toBeGreaterThan(judged.length / 3);
  },
  120_000,
);
