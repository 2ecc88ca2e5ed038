import type { Actor } from './actor';
import { beganAt } from './began-at';

const actor = (): Actor => ({}) as Actor;

test('a command began when it was first heard of, however often it is asked', () => {
  const domain = actor();
  const first = beganAt(domain, 'one');
  expect(Math.abs(first - Date.now() / 1_000)).toBeLessThan(5);
  beganAt(domain, 'two');
  expect(beganAt(domain, 'one')).toBe(first);
});

test('commands of one domain that come in the same second began one after the other', () => {
  const domain = actor();
  const times = ['one', 'two', 'three'].map((id) => beganAt(domain, id));
  expect(new Set(times).size).toBe(3);
  expect(times).toEqual([...times].sort((a, b) => a - b));
});
