/** Where things are: the checkout, and programs of the system. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';

/** Root folder of the checkout; this file runs from `libs/testkit/dist` or, under jest, from `libs/testkit/src`. */
export const checkout = resolve(__dirname, '..', '..', '..');

/** Full path of a program, also from the sbin folders, which many users' PATH leaves out; undefined when not installed. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
