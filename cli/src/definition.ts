/** Reads a definition from a file or standard input: XML or its JSON form, as the contracts take it. */
import { readFile } from 'node:fs/promises';
import { UsageError } from './spec';

export type Definition = { xml: string } | { document: Record<string, unknown> };

/** @param path a file, or `-` for standard input */
export async function readText(
  path: string,
  input: AsyncIterable<Uint8Array | string> = process.stdin,
): Promise<string> {
  const from = path === '-' ? 'standard input' : path;
  let bytes: Uint8Array;
  try {
    bytes = path === '-' ? await drain(input) : await readFile(path);
  } catch (cause) {
    throw new UsageError(`cannot read ${from}: ${reasonOf(cause)}`);
  }
  if (bytes.length === 0) throw new UsageError(`${from} is empty`);
  const text = decode(bytes);
  if (text === undefined) throw new UsageError(`${from} is not text: XML or JSON in UTF-8 is expected`);
  if (text.trim() === '') throw new UsageError(`${from} is empty`);
  return text;
}

export async function readDefinition(path: string): Promise<Definition> {
  return parseDefinition(await readText(path), path === '-' ? 'standard input' : path);
}

export function parseDefinition(text: string, from: string): Definition {
  if (!text.trimStart().startsWith('{')) return { xml: text };
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new UsageError(
      `${from} looks like JSON and is not: ${cause instanceof Error ? cause.message : String(cause)}`,
    );
  }
  return { document: document as Record<string, unknown> };
}

/** UTF-8 without its byte order mark; undefined for anything else. */
function decode(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

async function drain(input: AsyncIterable<Uint8Array | string>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of input) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

const reasons: Record<string, string> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is not a folder',
};

export function reasonOf(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException;
  return reasons[code ?? ''] ?? message;
}
