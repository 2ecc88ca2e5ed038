/** What lies about on this host that the records of its domains do not tell. Looks, and touches nothing. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { DriverHost } from './host';

export interface Leftovers {
  driver: string;
  processes: { pid: number; command: string }[];
  folders: string[];
}

/** Longest command line that is told, characters. */
const shown = 200;

export function leftoversOf(host: DriverHost): Leftovers {
  const { store } = host;
  const running = new Set(host.all().flatMap((actor) => (actor.active ? basename(store.runFolderOf(actor.uuid)) : [])));
  const here = new Set(host.all().map(({ uuid }) => uuid));
  const prefix = `${store.runFolder}/`;
  const processes = listed('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      const command = commandLine(pid);
      const at = command.indexOf(prefix);
      const folder = at === -1 ? '' : /^[^/,\s]*/.exec(command.slice(at + prefix.length))![0];
      return folder === '' || running.has(folder) ? [] : [{ pid: Number(pid), command: command.slice(0, shown) }];
    });
  const folders = join(store.folder, 'domains');
  return {
    driver: host.driver,
    processes,
    folders: listed(folders)
      .filter((uuid) => !here.has(uuid))
      .map((uuid) => join(folders, uuid)),
  };
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // Nothing was ever there.
  }
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return ''; // It has ended meanwhile.
  }
}
