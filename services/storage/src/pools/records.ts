/** The pools on disk, one file each: `<state>/pools/<uuid>.json`, replaced whole. */
import { join } from 'node:path';
import { formatPool, parsePool, type Pool } from '@virtbus/domain-xml/storage';
import { dropReplaced, flushFolder, makeFolder, readReplaced, replacedIn, replaceFile } from '@virtbus/shared/files';
import type { Log } from '@virtbus/shared/log';

export interface PoolRecord {
  /** What is kept; a transient pool has none. */
  definition?: Pool | undefined;
  /** What it runs with; absent when it does not run. */
  live?: Pool | undefined;
  /** What it is being started with: kept before anything of it is so, for the next process when we die over it. */
  starting?: Pool | undefined;
  /** The boot of the host in which it was defined, started or stopped last: with the host it starts in another one. */
  bootId?: string | undefined;
  autostart: boolean;
}

interface Stored {
  version: 1;
  definition?: string;
  live?: string;
  starting?: string;
  bootId?: string;
  autostart: boolean;
}

export class PoolRecords {
  private readonly folder: string;

  constructor(
    stateFolder: string,
    private readonly log: Log,
  ) {
    this.folder = join(stateFolder, 'pools');
    makeFolder(this.folder, 0o700);
  }

  /** A record that cannot be read is named in the log and left as it is. */
  load(): PoolRecord[] {
    return replacedIn(this.folder, '.json').flatMap((name) => {
      try {
        return [read(readReplaced(join(this.folder, name)) ?? '')];
      } catch (err) {
        this.log.error({ err, record: name }, 'cannot read the record of a pool; it is left as it is');
        return [];
      }
    });
  }

  save(uuid: string, { definition, live, starting, bootId, autostart }: PoolRecord): void {
    const stored: Stored = {
      version: 1,
      ...(definition && { definition: formatPool(definition) }),
      ...(live && { live: formatPool(live) }),
      ...(starting && { starting: formatPool(starting) }),
      ...(bootId !== undefined && { bootId }),
      autostart,
    };
    replaceFile(this.path(uuid), JSON.stringify(stored), true);
  }

  drop(uuid: string): void {
    dropReplaced(this.path(uuid));
    flushFolder(this.folder);
  }

  private path(uuid: string): string {
    return join(this.folder, `${uuid}.json`);
  }
}

function read(text: string): PoolRecord {
  const { definition, live, starting, bootId, autostart } = JSON.parse(text) as Stored;
  if ((definition ?? live ?? starting) === undefined) throw new TypeError('it has no document');
  return {
    ...(definition !== undefined && { definition: parsePool(definition) }),
    ...(live !== undefined && { live: parsePool(live) }),
    ...(starting !== undefined && { starting: parsePool(starting) }),
    bootId,
    autostart,
  };
}
