import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { read, type JestReport } from './jest-project';
import { skipReasons, summary } from './summary';

const test1 = (status: string, title: string): JestReport['testResults'][0]['assertionResults'][0] => ({
  status,
  title,
  fullName: `a guest ${title}`,
});

const report: JestReport = {
  numPassedTests: 2,
  numFailedTests: 1,
  testResults: [
    { name: '/a.test.ts', status: 'passed', assertionResults: [test1('passed', 'starts'), test1('pending', 'floats')] },
    { name: '/b.test.ts', status: 'failed', assertionResults: [test1('failed', 'stops'), test1('passed', 'pauses')] },
    { name: join(process.cwd(), 'c.test.ts'), status: 'failed', assertionResults: [] },
  ],
};

test('the count is the last line, and what went wrong beside the tests counts as failed', () => {
  const outcomes = [read('unit', report), { ...read('integration', report), problems: [] }];
  const result = summary({ outcomes, leftovers: ['pid 7: qemu-system-x86_64'], reasons: new Map() });
  expect(result.good).toBe(false);
  expect(result.lines.at(-1)).toBe('4 passed, 4 failed, 2 skipped');
  expect(result.lines).toContain('failed: could not run c.test.ts');
  expect(result.lines).toContain('failed: a test left this running: pid 7: qemu-system-x86_64');
});

test('a skipped test is told with what it needed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vb-'));
  try {
    const notes = join(folder, 'skips');
    expect(skipReasons(notes).size).toBe(0);
    writeFileSync(notes, `${JSON.stringify({ test: 'floats', needs: 'water' })}\n`);
    const { lines } = summary({ outcomes: [read('unit', report)], leftovers: [], reasons: skipReasons(notes) });
    expect(lines).toContain('skipped: a guest floats: needs water');
    const unexplained = summary({ outcomes: [read('unit', report)], leftovers: [], reasons: new Map() });
    expect(unexplained.lines).toContain('skipped: a guest floats: no reason given');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a run without failures and leftovers is good', () => {
  const fine = { ...report, numFailedTests: 0, testResults: report.testResults.slice(0, 1) };
  expect(summary({ outcomes: [read('unit', fine)], leftovers: [], reasons: new Map() }).good).toBe(true);
});
