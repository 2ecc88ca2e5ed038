/** From checkpoint documents to models and back. */
import { modeOf, type DescriptionParseOptions } from '../moment/parse-as';
import { Faults } from '../schema/faults';
import { formatElement } from '../schema/format';
import { parseElement } from '../schema/parse';
import { readXml } from '../xml/reader';
import { checkpoint, type CheckpointDisk, type CheckpointDocument } from './elements';

/** A checkpoint's description. */
export interface Checkpoint extends Omit<CheckpointDocument, 'name' | 'disks'> {
  name: string;
  disks: CheckpointDisk[];
}

/** A checkpoint's stored form says no more than its redefinition. */
export type CheckpointParseOptions = DescriptionParseOptions & { readonly form: 'request' | 'redefinition' };

export interface CheckpointFormatOptions {
  /** Passwords and the like are written; not unless asked. */
  readonly secrets?: boolean;
  /** Without the domain as it ran. */
  readonly withoutDomain?: boolean;
}

/**
 * Reads a `<domaincheckpoint>`. Throws XML_DETAIL for what is not XML, otherwise one error with all faults and their lines. Without
 * `now` a request must have a name.
 */
export function parseCheckpoint(xml: string, options: CheckpointParseOptions): Checkpoint {
  const { form, now, unknown = 'refuse' } = options;
  const { model } = parseElement(checkpoint, readXml(xml), { mode: modeOf[form], unknown });
  const request = form === 'request' && now !== undefined;
  const name = model.name ?? (request ? `${now}` : undefined);
  const faults = new Faults();
  if (name === undefined) faults.add('XML_ERROR', 'a redefined checkpoint must have a name');
  if (form === 'redefinition' && model.creationTime === undefined)
    faults.add('XML_ERROR', 'missing creationTime from existing checkpoint');
  faults.throwIfAny();
  return {
    ...model,
    name: name ?? '',
    disks: model.disks?.disks ?? [],
    ...(request && { creationTime: now }),
  };
}

/** Writes the description as libvirt does. */
export function formatCheckpoint(model: Checkpoint, options: CheckpointFormatOptions = {}): string {
  const { disks, domain, ...rest } = model;
  const document: CheckpointDocument = {
    ...rest,
    ...(disks.length > 0 && { disks: { disks } }),
    ...(domain && !options.withoutDomain && { domain }),
  };
  return formatElement(checkpoint, document, {
    view: 'inactive',
    secrets: options.secrets ?? false,
    migratable: false,
  });
}
