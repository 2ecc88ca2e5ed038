/** `npm run docs`: write `docs/reference/` anew. `--check` writes nothing and fails when a page is stale. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { referencePages } from './reference/pages';

const folder = resolve(__dirname, '../../docs/reference');

function stale(): string[] {
  const wanted = referencePages();
  const found = new Set(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1)),
  );
  const missing = [...wanted].filter(
    ([name, text]) => !found.has(name) || readFileSync(join(folder, name), 'utf8') !== text,
  );
  const surplus = [...found].filter((name) => name.startsWith('schemas/') && !wanted.has(name));
  return [...missing.map(([name]) => name), ...surplus];
}

if (process.argv.includes('--check')) {
  const pages = stale();
  if (pages.length > 0) {
    console.error(`docs/reference is stale (${pages.join(', ')}); run 'npm run docs'`);
    process.exit(1);
  }
} else {
  rmSync(join(folder, 'schemas'), { recursive: true, force: true });
  for (const [name, text] of referencePages()) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}
