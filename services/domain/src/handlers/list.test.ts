import { listDomains, type DomainSummary } from '@virtbus/shared';
import { placeholder } from '../registry/entries';
import { matcher } from './glob';
import { page } from './list';

const domains: DomainSummary[] = ['db', 'web1', 'web2', 'web3', 'worker'].map((name, n) => ({
  ...placeholder({
    uuid: `00000000-0000-4000-8000-00000000000${n}`,
    name,
    host: `h${n % 2}`,
    driver: 'qemu',
    epoch: 1,
  }),
  state: n % 2 ? 'running' : 'shutoff',
}));
const ask = (filter: Parameters<typeof listDomains.request.parse>[0]) =>
  page(domains, listDomains.request.parse(filter));
const namesOf = (answer: { domains: DomainSummary[] }) => answer.domains.map(({ name }) => name);

test('filters narrow together', () => {
  expect(namesOf(ask({ name: 'web*', active: true }))).toEqual(['web1', 'web3']);
  expect(namesOf(ask({ host: 'h0', states: ['shutoff'] }))).toEqual(['db', 'web2', 'worker']);
  expect(ask({ name: 'nobody' })).toEqual({ domains: [], total: 0 });
});

test('pages follow one another without a gap, also when the last one seen is gone', () => {
  const first = ask({ limit: 2 });
  expect(namesOf(first)).toEqual(['db', 'web1']);
  expect(first.total).toBe(5);
  const shrunk = domains.filter(({ name }) => name !== 'web1');
  const second = page(shrunk, listDomains.request.parse({ limit: 2, after: first.next }));
  expect(namesOf(second)).toEqual(['web2', 'web3']);
  const last = ask({ limit: 2, after: second.next });
  expect(last).toEqual({ domains: [domains[4]], total: 5 });
});

test('patterns know * and ?, and are not expressions', () => {
  expect(matcher('w?b*')('web1')).toBe(true);
  expect(matcher('w?b')('web1')).toBe(false);
  expect(matcher('*1')('web11')).toBe(true);
  expect(matcher('a.c')('abc')).toBe(false);
  expect(matcher('(web)*')('web')).toBe(false);
  expect(matcher('*')('')).toBe(true);
});

test('a pattern full of stars comes to an answer', () => {
  expect(matcher(`${'*a'.repeat(100)}b`)('a'.repeat(10_000))).toBe(false);
});
