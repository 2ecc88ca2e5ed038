/** `<job>`: the job on a guest that was running, with all that a migration has to undo or go on with. */
import { element, attr, one, many, string, anyString, yesNo, ulong } from '../schema';
import { imageFormat, sourceFields, storageSource, storageType } from '../elements/storage-source';
import { flags } from './block-jobs';

/** Where a disk is copied to. Old managers wrote the source's attributes and children right into this element. */
const migrationSource = element(
  'migrationSource',
  {
    ...sourceFields,
    type: attr(storageType, { required: true }),
    format: attr(imageFormat, { required: true }),
    source: one(storageSource),
  },
  {
    refine: (model) => {
      if (model.source !== undefined) return;
      const { type, format, source: _none, ...source } = model;
      for (const key of Object.keys(source)) delete model[key as keyof typeof model];
      Object.assign(model, { type, format, source: source });
    },
  },
);

export const job = element('job', {
  type: attr(string, { required: true }),
  async: attr(string, { required: true }),
  phase: attr(string),
  flags: attr(flags),
  /** Milliseconds since 1970, 0 when not known. */
  asyncStarted: attr(ulong, { default: 0 }),
  disks: many(
    element('disk', {
      dev: attr(string, { required: true }),
      migrating: attr(yesNo),
      migrationSource: one(migrationSource),
    }),
  ),
  migParams: one(
    element('migParams', {
      params: many(
        element('param', { name: attr(string, { required: true }), value: attr(anyString, { required: true }) }),
      ),
    }),
  ),
});
