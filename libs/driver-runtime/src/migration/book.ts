/**
 * What this host remembers of migrations, one file each: the phase is on disk before what it allows. Those that have
 * ended are remembered for a day, so that a call that comes late is answered and does nothing.
 *
 *   <state>/migrations/<id>.json
 */
import { join } from 'node:path';
import type { ErrorBody, MigrationEnd, MigrationOptions, MigrationPhase, MigrationRole } from '@virtbus/shared';
import { dropReplaced, makeFolder, readReplaced, replacedIn, replaceFile } from '@virtbus/shared/files';
import type { Log } from '@virtbus/shared/log';

const rememberedMs = 86_400_000;

export interface MigrationRecord {
  version: 1;
  id: string;
  role: MigrationRole;
  domain: string;
  phase: MigrationPhase;
  /** Absent for one that was taken back before it had begun here. */
  peer?: MigrationEnd;
  options?: MigrationOptions;
  /** Of the domain on the source. */
  sourceName?: string;
  /** Target: of the domain here. */
  name?: string;
  /** Base64, of the step that was done last. */
  cookie?: string | undefined;
  /** Source: disks that are copied, with their size in bytes. */
  copies?: { target: string; capacity: number }[] | undefined;
  /** Source: what the target starts; of an offline migration on a target of the last release, what is defined. */
  xml?: string;
  /** What is to be defined on the target. */
  definition?: string | undefined;
  /** Of a persistent domain: it starts with its host. */
  autostart?: boolean | undefined;
  /** Target of an offline migration: the epoch that it was promised. */
  epoch?: number;
  /** Target: the revision of the domain when it was handed over. */
  revision?: number | undefined;
  /** Source: the guest ran when it was sent. */
  wasRunning?: boolean;
  /** Source, `performed`: post-copy has begun. */
  postcopy?: boolean;
  /** Source, `undone`: the transfer has yet to be taken back, and the guest to be let run. */
  takingBack?: boolean | undefined;
  /** Target: where the memory is to be sent. */
  uri?: string;
  memory?: 'whole' | 'arriving' | 'stranded' | 'awaiting';
  /** The guest has ended: its target, because the rest of its memory never came; its source, because the target was gone after post-copy had begun. */
  lost?: boolean;
  error?: ErrorBody | undefined;
  /** Target: the guest was let run, and nobody has said that it does not. */
  mayRun?: boolean | undefined;
  /** Of the last change, milliseconds since 1970. */
  changed: number;
}

const final: ReadonlySet<MigrationPhase> = new Set(['confirmed', 'undone', 'finished']);
/** `finished`, and the rest of its memory is still to come. */
export const isIncomplete = ({ phase, memory = 'whole' }: MigrationRecord): boolean =>
  phase === 'finished' && memory !== 'whole';
const isFinal = (record: MigrationRecord): boolean =>
  final.has(record.phase) && !isIncomplete(record) && record.takingBack !== true;

export class MigrationBook {
  private readonly records = new Map<string, MigrationRecord>();

  constructor(
    private readonly folder: string,
    log: Log,
  ) {
    makeFolder(folder, 0o700);
    for (const name of replacedIn(folder, '.json')) {
      const record = read(readReplaced(join(folder, name)));
      if (record) this.records.set(key(record), record);
      else log.error({ file: join(folder, name) }, 'cannot read what is remembered of a migration; the file stays');
    }
    this.forgetOld();
  }

  get open(): MigrationRecord[] {
    return [...this.records.values()].filter((record) => !isFinal(record));
  }

  find(id: string, role: MigrationRole): MigrationRecord | undefined {
    return this.records.get(key({ id, role }));
  }

  /** On disk when the call returns. @param durable also after a power cut, which no guest survives */
  keep(record: MigrationRecord, durable = true): void {
    this.forgetOld();
    record.changed = Date.now();
    replaceFile(this.pathOf(record), JSON.stringify(record), durable);
    this.records.set(key(record), record);
  }

  private forgetOld(): void {
    for (const record of this.records.values()) {
      if (!isFinal(record) || Date.now() - record.changed < rememberedMs) continue;
      dropReplaced(this.pathOf(record));
      this.records.delete(key(record));
    }
  }

  private pathOf(of: Pick<MigrationRecord, 'id' | 'role'>): string {
    return join(this.folder, `${key(of)}.json`);
  }
}

/** An id is letters, digits, =, _ and -: a name of a file as it is. */
const key = ({ id, role }: Pick<MigrationRecord, 'id' | 'role'>): string => `${id}.${role}`;

function read(text: string | undefined): MigrationRecord | undefined {
  try {
    const record = JSON.parse(text ?? '') as MigrationRecord | null;
    return record?.version === 1 && typeof record.id === 'string' ? record : undefined;
  } catch {
    return undefined;
  }
}
