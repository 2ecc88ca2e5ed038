/**
 * `node --expose-gc kept-documents.js COUNT`: reads so many documents, keeps their models and prints by how many MiB its heap and what
 * lies beside it have grown. A process of its own, so that nothing else is counted.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDomain, type Domain } from '@virtbus/domain-xml';
import { checkout } from '@virtbus/testkit';

function used(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const xml = readFileSync(join(checkout, 'docs/examples/server.xml'), 'utf8');
const read = (index: number): Domain =>
  parseDomain(xml.replace('<name>shop-web-3<', `<name>shop-web-${index}<`), { mode: 'inactive' }).domain;

read(0);
const before = used();
const kept = Array.from({ length: Number(process.argv[2]) }, (_, index) => read(index));
const grown = (used() - before) / 2 ** 20;
if (new Set(kept.map((domain) => domain.name)).size !== kept.length) throw new Error('documents were lost');
console.log(grown);
