/** From snapshot documents to models and back. */
import type { Domain } from '../elements/domain';
import { modeOf, type DescriptionParseOptions } from '../moment/parse-as';
import { Faults } from '../schema/faults';
import { formatElement } from '../schema/format';
import { parseElement } from '../schema/parse';
import { readXml, type XmlElement } from '../xml/reader';
import { snapshot, type SnapshotDisk, type SnapshotDocument } from './elements';

/** A snapshot's description. */
export interface Snapshot extends Omit<SnapshotDocument, 'name' | 'disks' | 'revertDisks'> {
  name: string;
  disks: SnapshotDisk[];
  revertDisks: SnapshotDisk[];
}

export interface SnapshotFormatOptions {
  /** With the maker's own notes: whether it is the current one. */
  readonly stored?: boolean;
  /** Passwords and the like are written; not unless asked. */
  readonly secrets?: boolean;
  /** Told when the description does not have the domain itself. */
  readonly domainUuid?: string | undefined;
}

/**
 * Reads a `<domainsnapshot>`. Throws XML_DETAIL for what is not XML, otherwise one error with all faults and their lines. Without
 * `now` a request must have a name.
 */
export function parseSnapshot(xml: string, options: DescriptionParseOptions): Snapshot {
  const { form, now, unknown = 'refuse' } = options;
  const { model } = parseElement(snapshot, withoutBareUuid(readXml(xml)), { mode: modeOf[form], unknown });
  const name = model.name ?? (form === 'request' && now !== undefined ? `${now}` : undefined);
  const read = {
    ...model,
    name: name ?? '',
    disks: model.disks?.disks ?? [],
    revertDisks: model.revertDisks?.disks ?? [],
    ...(form === 'request' && now !== undefined && { creationTime: now }),
  };
  const faults = new Faults();
  if (name === undefined) faults.add('XML_ERROR', 'a redefined snapshot must have a name');
  if (form !== 'request') checkRedefinition(read, form === 'stored', faults);
  checkMemory(read, faults);
  faults.throwIfAny();
  return read;
}

/** Descriptions of old hold nothing of the domain but its UUID. */
function withoutBareUuid(root: XmlElement): XmlElement {
  const isBare = ({ name, attributes }: XmlElement): boolean => name === 'domain' && attributes['type'] === undefined;
  return { ...root, children: root.children.filter((child) => !isBare(child)) };
}

function checkRedefinition(model: Snapshot, stored: boolean, faults: Faults): void {
  if (model.creationTime === undefined) faults.add('XML_ERROR', 'missing creationTime from existing snapshot');
  if (model.state === undefined) faults.add('XML_ERROR', 'missing state from existing snapshot');
  if (stored && model.active === undefined) faults.add('XML_ERROR', "Could not find 'active' element");
}

function checkMemory({ memory, state }: Snapshot, faults: Faults): void {
  if (memory === undefined) return;
  const { file } = memory;
  if (file !== undefined) memory.snapshot ??= 'external';
  const where = { element: 'memory' };
  const external = memory.snapshot === 'external';
  if (file !== undefined && !external)
    faults.add('XML_ERROR', `memory filename '${file}' requires external snapshot`, where);
  if (file === undefined && external) faults.add('XML_ERROR', 'external memory snapshots require a filename', where);
  if (file !== undefined && !file.startsWith('/'))
    faults.add('XML_ERROR', `memory snapshot file path (${file}) must be absolute`, where);
  const offline = state === 'shutoff' || state === 'disk-snapshot';
  if (offline && memory.snapshot !== undefined && memory.snapshot !== 'no')
    faults.add('XML_ERROR', 'memory state cannot be saved with offline or disk-only snapshot', where);
}

/** Writes the description as libvirt does. */
export function formatSnapshot(model: Snapshot, options: SnapshotFormatOptions = {}): string {
  const { stored = false, secrets = false, domainUuid } = options;
  const { disks, revertDisks, ...rest } = model;
  const document: SnapshotDocument = {
    ...rest,
    ...(disks.length > 0 && { disks: { disks } }),
    ...(revertDisks.length > 0 && { revertDisks: { disks: revertDisks } }),
  };
  // All that is known of it then.
  if (domainUuid !== undefined) document.domain ??= { uuid: domainUuid } as Domain;
  return formatElement(snapshot, document, { view: stored ? 'status' : 'inactive', secrets, migratable: false });
}
