/** A text in the user's editor, until it is accepted, left as it was, or given up. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { UsageError } from './spec';

/**
 * @param apply takes the edited text; when it fails, a person at a terminal may edit again
 * @param note says where a text is kept that was refused
 * @returns what `apply` answered, or undefined when nothing was changed
 */
export async function editText<T>(
  text: string,
  name: string,
  apply: (edited: string) => Promise<T>,
  note: (text: string) => void,
): Promise<T | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'virtbus-edit-'));
  const path = join(folder, basename(name));
  let keep = false;
  try {
    await writeFile(path, text, { mode: 0o600 });
    for (;;) {
      await runEditor(path);
      const edited = await readFile(path, 'utf8');
      if (edited === text) return undefined;
      try {
        return await apply(edited);
      } catch (error) {
        if (await again(error)) continue;
        keep = true;
        note(`note: your text is kept in ${path}`);
        throw error;
      }
    }
  } finally {
    if (!keep) await rm(folder, { recursive: true, force: true });
  }
}

/** The editor and its own arguments, split at blanks; no shell sees the path. */
async function runEditor(path: string): Promise<void> {
  const [program = 'vi', ...args] = (process.env.VISUAL || process.env.EDITOR || 'vi').split(/\s+/).filter(Boolean);
  const child = spawn(program, [...args, path], { stdio: 'inherit' });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', () =>
      reject(new UsageError(`cannot run the editor '${program}': set EDITOR to one that is installed`)),
    );
    child.on('exit', resolve);
  });
  if (code !== 0) throw new UsageError(`the editor '${program}' ended with ${code ?? 'a signal'}; nothing was changed`);
}

async function again(error: unknown): Promise<boolean> {
  if (!process.stdin.isTTY) return false;
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^(y|yes|)$/i.test((await prompt.question('Failed. Edit again? [Y/n] ')).trim());
  } finally {
    prompt.close();
  }
}
