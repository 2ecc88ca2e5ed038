/** The `virtbus` command: hands the process's streams to `run` and leaves with its exit code. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { complete } from './complete';
import { run } from './run';

const words = process.argv.slice(2);

/** A reader that has gone away (`virtbus list | head -1`) is no failure. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  process.stderr.write(`error: the answer cannot be written: ${error.message}\n`);
  process.exit(1);
});

async function main(): Promise<number> {
  if (words[0] === '__complete') return complete(words.slice(1), process.stdout);
  const manifest = JSON.parse(readFileSync(join(__dirname, '..', 'package.json'), 'utf8')) as { version: string };
  return run(words, process, manifest.version);
}

void main().then((code) => {
  process.exitCode = code;
});
