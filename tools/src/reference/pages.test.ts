import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { contracts, errorTable } from '@virtbus/shared';
import { referencePages } from './pages';

const folder = resolve(__dirname, '../../../docs/reference');

test('the reference in docs/ is what the contracts say today', () => {
  const stale = [...referencePages()].filter(([name, text]) => readFileSync(join(folder, name), 'utf8') !== text);
  expect(stale.map(([name]) => name)).toEqual([]);
});

test('every operation and every error has its place on a page', () => {
  const pages = referencePages();
  for (const { name } of contracts) expect(pages.get('operations.md')).toContain(`## ${name}`);
  for (const code of Object.keys(errorTable)) expect(pages.get('errors.md')).toContain(code);
});

test('every example is a request that its contract accepts', () => {
  for (const { request, example } of contracts) expect(request.safeParse(example).success).toBe(true);
});
