/** `<domaincheckpoint>`: a point in time from which bitmaps in the domain's images record what is written. */
import { domain } from '../elements/domain';
import { attr, element, leaf, many, one, oneOf, string, ulong, type Element, type Model } from '../schema';
import { checkpointName } from '../moment/name';

const diskFields = {
  name: attr(string, { required: "Missing required attribute 'name' in element 'disk'" }),
  checkpoint: attr(oneOf('no', 'bitmap'), {
    refuse: ['XML_ERROR', (raw) => `unknown disk checkpoint setting '${raw}'`],
  }),
  /** In the disk's image; named like the checkpoint. */
  bitmap: attr(string),
  /** Bytes that have been written since, as far as that is known. */
  size: attr(ulong, { live: 'input' }),
};
export type CheckpointDisk = Model<typeof diskFields>;

const disk: Element<CheckpointDisk> = element('disk', diskFields, {
  refine: (model: CheckpointDisk, { line }, context) => {
    if (model.checkpoint !== 'no') return;
    for (const attribute of ['bitmap', 'size'] as const)
      if (model[attribute] !== undefined)
        context.fault('XML_ERROR', `attribute '${attribute}' requires checkpoint='bitmap'`, { element: 'disk', line });
  },
});

const fields = {
  name: leaf(checkpointName, {
    refuse: ['XML_INVALID_SCHEMA', (raw) => `'${raw}' is no name of a checkpoint`],
  }),
  description: leaf(string),
  parent: one(element('parent', { name: leaf(checkpointName, { required: true }) }), { live: 'input' }),
  /** Seconds since 1970. */
  creationTime: leaf(ulong, { live: 'input' }),
  disks: one(element('disks', { disks: many(disk) })),
  /** The domain as it ran. */
  domain: one(domain, { live: 'input', definition: true }),
};

/** As declared; `name` and the disks' list are filled in by reading. */
export type CheckpointDocument = Model<typeof fields>;

export const checkpoint: Element<CheckpointDocument> = element('domaincheckpoint', fields);
