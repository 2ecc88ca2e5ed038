/** Programs of the host that the driver runs, and what they say when they fail. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { VirtError } from '@virtbus/shared';

const run = promisify(execFile);

/** Its output without blanks around it. Throws `SYSTEM_ERROR` with what was run and the program's words. */
export async function output(program: string, args: readonly string[]): Promise<string> {
  try {
    return (await run(program, args)).stdout.trim();
  } catch (cause) {
    const detail = `${program} ${args.join(' ')}: ${wordsOf(cause)}`;
    throw new VirtError('SYSTEM_ERROR', { detail }, { cause });
  }
}

/** What a program that failed has said, or else what became of it. */
export function wordsOf(failure: unknown): string {
  const { stderr, message } = failure as { stderr?: string; message: string };
  return stderr?.trim() || message;
}

/** One word of a shell. */
export const shellWord = (word: string): string => `'${word.replaceAll("'", String.raw`'\''`)}'`;
