/** What our own sources say: the names by which they ask what a QEMU can do. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(__dirname, '../../..');
/** Code that asks for flags of capabilities. */
const askers = ['libs/domain-xml/src', 'services/driver-qemu/src'];
/** Code that derives them, where each flag is named, used or not. */
const deriving = join('qemu', 'probe');

/** All words in quotes in the code that asks; every flag that it can ask for is among them. */
export function quotedInSources(): Set<string> {
  const words = new Set<string>();
  for (const folder of askers) {
    for (const path of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      if (!path.endsWith('.ts') || path.endsWith('.test.ts') || path.includes(deriving)) continue;
      const text = readFileSync(join(root, folder, path), 'utf8');
      for (const [, word = ''] of text.matchAll(/'([^'\n]+)'/g)) words.add(word);
    }
  }
  return words;
}
