/** `<domainbackup>`: what a backup copies, from when on, and where it goes or is offered. */
import { imageFormat, storageSource } from '../elements/storage-source';
import {
  attr,
  element,
  int,
  leaf,
  many,
  one,
  oneOf,
  string,
  yesNo,
  type Element,
  type Model,
  type ReadContext,
} from '../schema';
import { checkpointName } from '../moment/name';

const serverFields = {
  transport: attr(oneOf('tcp', 'unix'), {
    default: 'tcp',
    refuse: ['XML_ERROR', (raw) => `transport ${raw} is not supported for <server>`],
  }),
  tls: attr(yesNo),
  name: attr(string),
  port: attr(int({ min: 1, max: 65535 })),
  /** Absolute path. */
  socket: attr(string),
};
export type BackupServer = Model<typeof serverFields>;

/** Where the images of a pull can be read, over NBD. */
const server: Element<BackupServer> = element('server', serverFields, {
  refine: (model: BackupServer, { line }, context) => {
    const refuse = (detail: string): void => context.fault('XML_ERROR', detail, { element: 'server', line });
    if (model.transport === 'tcp') {
      model.name ??= 'localhost';
      if (model.socket !== undefined) refuse("transport 'tcp' does not support socket attribute");
      if (model.port === undefined) refuse('<domainbackup> must specify TCP port for now');
    } else if (model.socket === undefined) refuse('missing socket for unix transport');
    else if (!model.socket.startsWith('/')) refuse(`backup socket path '${model.socket}' must be absolute`);
  },
});

const diskFields = {
  name: attr(string, { required: "Missing required attribute 'name' in element 'disk'" }),
  backup: attr(yesNo, { default: true }),
  /** How far it is, in the form that is kept. */
  state: attr(oneOf('none', 'running', 'complete', 'failed', 'cancelling', 'cancelled'), { status: true }),
  type: attr(oneOf('file', 'block'), {
    refuse: ['XML_ERROR', (raw) => `unsupported disk backup type '${raw}'`],
  }),
  backupmode: attr(oneOf('full', 'incremental'), {
    refuse: ['XML_ERROR', (raw) => `unknown backup mode '${raw}' of a disk`],
  }),
  /** Name of the checkpoint since when this disk's changes are copied. */
  incremental: attr(checkpointName),
  exportname: attr(string),
  exportbitmap: attr(string),
  driver: one(element('driver', { type: attr(imageFormat) })),
  /** Of a push: where the copy is written. */
  target: one(storageSource, { name: 'target' }),
  /** Of a pull: where the guest's overwritten blocks are kept meanwhile. */
  scratch: one(storageSource, { name: 'scratch' }),
};
export type BackupDisk = Model<typeof diskFields>;

const disk: Element<BackupDisk> = element('disk', diskFields, { refine: refineDisk });

function refineDisk(model: BackupDisk, { line }: { line: number }, context: ReadContext): void {
  const refuse = (detail: string): void => context.fault('XML_ERROR', detail, { element: 'disk', line });
  const { name, type, backupmode, incremental, target, scratch } = model;
  if (incremental !== undefined && backupmode === 'full')
    refuse(`disk '${name}' cannot have a checkpoint to begin from in a full backup`);
  if (incremental !== undefined) model.backupmode = 'incremental';
  const store = target ?? scratch;
  if (store === undefined) return;
  const path = type === 'block' ? store.dev : store.file;
  if (path === undefined || !path.startsWith('/'))
    refuse(`disk '${name}' needs an absolute path in '${type === 'block' ? 'dev' : 'file'}' of its store`);
  model.type ??= 'file';
}

const fields = {
  mode: attr(oneOf('push', 'pull'), { default: 'push' }),
  /** Name of the checkpoint since when changes are copied; everything when left out. */
  incremental: leaf(checkpointName, { refuse: ['XML_ERROR', (raw) => `'${raw}' is no name of a checkpoint`] }),
  server: one(server),
  disks: one(element('disks', { disks: many(disk) })),
};

/** As declared; the disks' list is filled in by reading. */
export type BackupDocument = Model<typeof fields>;

export const backup: Element<BackupDocument> = element('domainbackup', fields, { refine: refineBackup });

function refineBackup(model: BackupDocument, _source: unknown, context: ReadContext): void {
  if (model.mode === 'pull') {
    if (model.server === undefined)
      context.fault('XML_ERROR', 'a backup in pull mode needs a <server>, where it can be read');
  } else if (model.server !== undefined)
    context.fault('XML_ERROR', 'use of <server> requires pull mode backup', { element: 'server' });
  for (const one of model.disks?.disks ?? []) refuseForeign(model.mode, one, context);
}

/** What only the other mode has. */
function refuseForeign(mode: BackupDocument['mode'], one: BackupDisk, context: ReadContext): void {
  const foreign = mode === 'push' ? (['scratch', 'exportname', 'exportbitmap'] as const) : (['target'] as const);
  for (const key of foreign)
    if (one[key] !== undefined)
      context.fault('XML_ERROR', `'${key}' of disk '${one.name}' has no meaning in a backup in ${mode} mode`, {
        element: 'disk',
      });
  const format = one.driver?.type;
  if (mode === 'pull' && format !== undefined && format !== 'qcow2')
    context.fault('XML_ERROR', `the scratch image of disk '${one.name}' must be qcow2, not ${format}`, {
      element: 'driver',
    });
}
