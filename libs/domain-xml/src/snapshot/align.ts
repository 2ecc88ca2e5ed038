/** A snapshot's disks side by side with the domain's: where each one goes, and which files are made for it. */
import { isEmptyDrive } from '../disk-chain';
import type { Disk } from '../elements/disk';
import type { Domain } from '../elements/domain';
import { localPath, matchDisks } from '../moment/domain-disk';
import { emptySource } from '../qemu/block-chain';
import { fail } from '../schema';
import type { Snapshot } from './documents';
import type { SnapshotDisk } from './elements';

export interface SnapshotAlignment {
  /** Where a disk goes of which neither the request nor the domain says it. */
  readonly location: 'internal' | 'external';
  /** Overrules what the domain says of its disks, except `no`. */
  readonly force?: boolean;
}

/**
 * A copy whose disks are those of the domain, all of them in its order, each with a location; an external one without a file gets
 * `<image without its suffix>.<snapshot>`. Throws CONFIG_UNSUPPORTED. Whether a file is there already is its storage's to say.
 */
export function alignSnapshot(snapshot: Snapshot, domain: Domain, options: SnapshotAlignment): Snapshot {
  if (snapshot.disks.length > domain.devices.disks.length)
    fail('CONFIG_UNSUPPORTED', 'too many disk snapshot requests for domain');
  const pairs = matchDisks(domain, snapshot.disks).map(({ disk, asked }) => ({
    disk,
    aligned: asked ? alignAsked(asked, disk, options) : alignUnasked(disk, options),
  }));
  for (const { disk, aligned } of pairs) nameOverlay(snapshot.name, disk, aligned);
  refuseCollisions(pairs.map(({ aligned }) => aligned));
  return { ...snapshot, disks: pairs.map(({ aligned }) => aligned) };
}

function alignAsked(asked: SnapshotDisk, disk: Disk, options: SnapshotAlignment): SnapshotDisk {
  const said = options.force ? undefined : asked.snapshot;
  const snapshot = said ?? locationOf(disk, options);
  if (snapshot !== 'external' && asked.source !== undefined) {
    const path = asked.source.file ?? asked.source.dev ?? asked.source.name;
    fail('CONFIG_UNSUPPORTED', `file '${path}' for disk '${asked.name}' requires use of external snapshot mode`);
  }
  return { ...asked, snapshot };
}

/** A drive without a medium has nothing to keep. */
const alignUnasked = (disk: Disk, options: SnapshotAlignment): SnapshotDisk => ({
  name: disk.target.dev ?? '',
  type: 'file',
  snapshot: isEmptyDrive(disk) ? 'no' : locationOf(disk, { ...options, force: false }),
});

/** What can not be written stays as it is. */
function locationOf(disk: Disk, { location, force }: SnapshotAlignment): NonNullable<SnapshotDisk['snapshot']> {
  const own = disk.snapshot ?? (disk.readonly ? 'no' : undefined);
  return own !== undefined && (!force || own === 'no') ? own : location;
}

function nameOverlay(snapshot: string, disk: Disk, aligned: SnapshotDisk): void {
  if (aligned.snapshot !== 'external' || aligned.source !== undefined) return;
  const { name, type } = aligned;
  if (type !== 'file')
    fail('CONFIG_UNSUPPORTED', `cannot generate external snapshot name for disk '${name}' on a '${type}' device`);
  const path = localPath(disk);
  // A name is made from where the volume lies, which the document of a running guest alone tells.
  if (path === undefined && disk.type === 'volume')
    fail(
      'CONFIG_UNSUPPORTED',
      `cannot generate external snapshot name for disk '${name}': it is volume '${disk.source?.volume}' of pool '${disk.source?.pool}'; name the file of its overlay (<source file='...'/>)`,
    );
  if (path === undefined)
    fail('CONFIG_UNSUPPORTED', `cannot generate external snapshot name for disk '${name}' without source`);
  if (disk.type !== 'file')
    fail(
      'CONFIG_UNSUPPORTED',
      `source for disk '${name}' is not a regular file; refusing to generate external snapshot name`,
    );
  aligned.source = { ...emptySource(), file: `${path.replace(/\.[^./]*$/, '')}.${snapshot}` };
}

function refuseCollisions(disks: readonly SnapshotDisk[]): void {
  const users = new Map<string, string>();
  for (const { name, snapshot, source } of disks) {
    const path = source?.file ?? source?.dev;
    if (snapshot !== 'external' || path === undefined) continue;
    const other = users.get(path);
    if (other !== undefined)
      fail(
        'CONFIG_UNSUPPORTED',
        `cannot generate external snapshot name for disk '${name}': collision with disk '${other}'`,
      );
    users.set(path, name);
  }
}
