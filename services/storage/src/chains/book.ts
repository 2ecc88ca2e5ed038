/**
 * What the domains of this host use and define, one file a domain: the chains of their guests as they were prepared or read
 * again since, and the disks of their definitions. What an image is for is asked here.
 *
 *   <state>/chains/<uuid>.json
 */
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { PreparedDisk } from '@virtbus/shared';
import { dropReplaced, makeFolder, readReplaced, replacedIn, replaceFile } from '@virtbus/shared/files';
import type { Log } from '@virtbus/shared/log';
import type { Difference } from './reread';

export interface DomainChains {
  version: 1;
  domain: string;
  name: string;
  /** Of what is known here; lower ones come too late. */
  epoch: number;
  revision: number;
  /** Disks of the guest that runs, or is about to. */
  live: PreparedDisk[];
  /** Disks of the definition, each a `<disk>`. */
  definition: string[];
  /** What was told of images that say otherwise than the document, by target. */
  mismatches?: Readonly<Record<string, readonly Difference[]>> | undefined;
}

export class ChainBook {
  private readonly domains = new Map<string, DomainChains>();

  constructor(
    private readonly folder: string,
    log: Log,
  ) {
    makeFolder(folder, 0o700);
    for (const name of replacedIn(folder, '.json')) {
      const record = readRecord(readReplaced(join(folder, name)));
      if (record) this.domains.set(record.domain, record);
      else log.error({ file: join(folder, name) }, 'cannot read the chains of a domain; the file is left as it is');
    }
  }

  get all(): readonly DomainChains[] {
    return [...this.domains.values()];
  }

  of(domain: string): DomainChains | undefined {
    return this.domains.get(domain);
  }

  /** These disks are about to be opened. */
  prepared(of: Pick<DomainChains, 'domain' | 'name' | 'epoch' | 'revision'>, disks: readonly PreparedDisk[]): void {
    const known = this.domains.get(of.domain);
    const targets = new Set(disks.map(({ target }) => target));
    const others = known?.live.filter(({ target }) => !targets.has(target)) ?? [];
    this.keep({ version: 1, definition: known?.definition ?? [], ...of, live: [...others, ...disks] });
  }

  /** What is known is of a later time than this. */
  isAhead({ domain, epoch, revision }: Pick<DomainChains, 'domain' | 'epoch' | 'revision'>): boolean {
    const known = this.domains.get(domain);
    return known !== undefined && (known.epoch > epoch || (known.epoch === epoch && known.revision > revision));
  }

  /** What the domain's driver says, with what was read of it. */
  settle(record: Omit<DomainChains, 'version'>): void {
    this.keep({ version: 1, ...record });
  }

  private keep(record: DomainChains): void {
    const path = join(this.folder, `${record.domain}.json`);
    if (record.live.length === 0 && record.definition.length === 0) {
      dropReplaced(path);
      this.domains.delete(record.domain);
    } else if (!isDeepStrictEqual(record, this.domains.get(record.domain))) {
      replaceFile(path, JSON.stringify(record), false);
      this.domains.set(record.domain, record);
    }
  }
}

function readRecord(text: string | undefined): DomainChains | undefined {
  try {
    const record = JSON.parse(text ?? '') as DomainChains | null;
    return record?.version === 1 && Array.isArray(record.live) && Array.isArray(record.definition) ? record : undefined;
  } catch {
    return undefined;
  }
}
