import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Score } from './kit';
import { conformancePage, pagePath } from './page';
import { failingCases } from './report';
import { runKits } from './run';

const kits = resolve(__dirname, '../../../../shared/conformance');
/** The share of cases that once passed; a change may raise it, never lower it. */
const floors = JSON.parse(readFileSync(join(__dirname, 'floors.json'), 'utf8')) as {
  kit: string;
  kind: string;
  passed: number;
}[];

if (existsSync(kits)) {
  let scores: readonly Score[];
  beforeAll(async () => {
    ({ scores } = await runKits(kits));
  }, 60_000);

  test('no kit passes fewer cases than it once did', () => {
    const below = floors.filter(({ kit, kind, passed }) => {
      const score = scores.find((one) => one.kit === kit && one.kind === kind);
      return (score?.passed ?? 0) < passed;
    });
    const blamed = scores.filter((score) => below.some(({ kit, kind }) => kit === score.kit && kind === score.kind));
    expect(below.length === 0 ? '' : failingCases(blamed, 200)).toBe('');
  });

  test('the page of the reference is as `npm run conformance -- --report` makes it', () => {
    expect(readFileSync(pagePath, 'utf8') === conformancePage(scores)).toBe(true);
  });
} else {
  test.skip(`no kit passes fewer cases than it once did (there are no kits in ${kits})`, () => undefined);
}
