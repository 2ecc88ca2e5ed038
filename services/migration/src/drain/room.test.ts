/** Whether a guest can be sent off, by what other migrations leave of the limits, and by its own earlier ones. */
import { DrainLimits } from '@virtbus/shared';
import type { Saga } from '../journal';
import { roomFor } from './room';

const limits = DrainLimits.parse({ perHost: 2, perLink: 1 });

const saga = (domain: string, source: string, target: string, ledger: Partial<Saga['ledger']> = {}): Saga =>
  ({ domain, source: { host: source }, target: { host: target }, ledger: { step: 'perform', ...ledger } }) as Saga;
const room = (...sagas: Saga[]) => roomFor('web1', 'h1', limits, sagas);

test('where nothing is under way there is room everywhere', () => {
  expect(room()).toEqual({ busy: [] });
  expect(room(saga('web1', 'h1', 'h2', { settled: 'failed', closed: true }))).toEqual({ busy: [] });
});

test('a move of the guest itself holds it alone, until it has ended for its host', () => {
  expect(room(saga('web1', 'h1', 'h2'))).toBe('held');
  expect(room(saga('web1', 'h1', 'h2', { settled: 'failed', owes: 'source' }))).toBe('held');
  expect(room(saga('web1', 'h1', 'h2', { settled: 'failed' }))).toBe('held');
  expect(room(saga('web2', 'h1', 'h2', { settled: 'failed', owes: 'source' }))).toEqual({ busy: [] });
});

test('a move that owes only another host a word holds nobody: that host may be gone for ever', () => {
  expect(room(saga('web1', 'h1', 'h2', { settled: 'failed', owes: 'target' }))).toEqual({ busy: [] });
  expect(room(saga('web1', 'h3', 'h1', { settled: 'completed', owes: 'source' }))).toEqual({ busy: [] });
});

test('as many as a host may have are all that it gets, and a link that has its share makes its other end busy', () => {
  expect(room(saga('web2', 'h1', 'h2'))).toEqual({ busy: ['h2'] });
  expect(room(saga('web2', 'h1', 'h2'), saga('web3', 'h3', 'h1'))).toBe('full');
  expect(room(saga('web2', 'h3', 'h4'), saga('web3', 'h4', 'h5'))).toEqual({ busy: ['h4'] });
});
