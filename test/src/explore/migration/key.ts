/** A world as a short text: the same for worlds that differ in nothing that matters. */
import type { World } from './world';

const texts = new WeakMap<object, number>();
const numbers = new Map<string, number>();

/** Values are many times the same: each is a number, and its text is made once. */
function numberOf(value: object): number {
  let number = texts.get(value);
  if (number !== undefined) return number;
  const text = JSON.stringify(value);
  number = numbers.get(text);
  if (number === undefined) numbers.set(text, (number = numbers.size));
  texts.set(value, number);
  return number;
}

/** The order of messages says nothing, and of two alike that nobody waits for one may as well never arrive. */
export function keyOf({ sides, journal, driver, copies, net, faults, aborts }: World): string {
  const { source, target, registry } = sides;
  const messages = new Set(net.map(numberOf));
  return [
    `${faults}${aborts}${driver}${source.phase} ${source.gone} ${source.ended} ${target.phase} ${target.stream} ${target.memory} ${target.listens} ${target.lost} ${target.forgot} ${registry} ${sides.hurt}`,
    numberOf(journal),
    ...copies.map((copy) => (copy ? numberOf(copy) : '-')),
    ...[...messages].sort((a, b) => a - b),
  ].join(' ');
}
