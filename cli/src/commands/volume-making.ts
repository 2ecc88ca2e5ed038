/** Making volumes: from a document, from options, from other volumes. */
import { readFile } from 'node:fs/promises';
import { readDefinition, reasonOf } from '../definition';
import { storageXml } from '../lazy';
import { parseBytes } from '../sizes';
import { argument, command, example, flag, UsageError, value, type Option } from '../spec';
import { hostOfPool, hostOfVolume, onHost } from '../storage-host';
import { pool } from './pools';
import { inPool, refOf, volume } from './volumes';

const file = argument('file with XML or its JSON form; - is standard input', 'file');
const prealloc = { preallocMetadata: flag('take space for the tables of the image now') };
const secret = { secretFile: value('FILE', 'file with the passphrase of an encrypted volume', 'file') };
const sourceSecret = { sourceSecretFile: value('FILE', 'file with the passphrase of the encrypted source', 'file') };
export const bytes = (doc: string): Option<number | undefined> => ({ placeholder: 'SIZE', doc, parse: parseBytes });

/** A passphrase is read from a file: on the command line everybody could see it. */
async function passphrase(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
  } catch (cause) {
    throw new UsageError(`cannot read ${path}: ${reasonOf(cause)}`);
  }
}

async function secretsOf(options: { secretFile?: string | undefined; sourceSecretFile?: string | undefined }) {
  const [own, source] = [await passphrase(options.secretFile), await passphrase(options.sourceSecretFile)];
  return { ...(own !== undefined && { secret: own }), ...(source !== undefined && { sourceSecret: source }) };
}

export const volCreate = command({
  name: 'vol-create',
  group: 'volume',
  summary: 'Make an empty volume',
  args: { pool, file },
  options: { ...prealloc, ...secret, ...onHost },
  gives: 'createVolume',
  examples: [example('vol-create default web1.xml', 'as the document says')],
  async run({ args, options, session }) {
    const host = await hostOfPool(session, options.host, args.pool);
    const preallocate = options.preallocMetadata;
    const request = {
      pool: args.pool,
      ...(await readDefinition(args.file)),
      preallocate,
      ...(await secretsOf(options)),
    };
    await session.give('createVolume', request, host, (a) => `Vol '${a.volume.name}' created from ${args.file}`);
  },
});

export const volCreateAs = command({
  name: 'vol-create-as',
  group: 'volume',
  summary: 'Make an empty volume that options describe',
  args: {
    pool,
    name: argument('name of the volume'),
    capacity: argument('size that a guest sees: bytes, or 10G, 512MiB'),
  },
  options: {
    allocation: bytes('space that is taken at once: of a raw volume all when left out'),
    format: value('FORMAT', 'raw, qcow2, …'),
    backingVol: value('VOLUME', 'name, path or key of the volume that it stands on'),
    backingVolFormat: value('FORMAT', "that volume's format; as its pool knows it when left out"),
    encrypt: flag('with LUKS; --secret-file names the passphrase'),
    ...prealloc,
    ...secret,
    printXml: flag('print the document, and do nothing else'),
    ...onHost,
  },
  gives: 'createVolume',
  examples: [
    example('vol-create-as default web1.qcow2 10G --format qcow2', 'an empty disk'),
    example('vol-create-as default web2.qcow2 10G --format qcow2 --backing-vol golden.qcow2', 'on top of another'),
  ],
  async run({ args, options, session, out }) {
    const host = await hostOfPool(session, options.host, args.pool);
    const backing =
      options.backingVol === undefined
        ? undefined
        : (await session.call('getVolume', { pool: args.pool, volume: options.backingVol }, host)).volume;
    const below = options.backingVolFormat ?? backing?.format;
    const target = {
      ...(options.format && { format: { type: options.format } }),
      ...(options.encrypt && { encryption: { format: 'luks' } }),
    };
    const document = {
      name: args.name,
      capacity: parseBytes(args.capacity, '<capacity>'),
      ...(options.allocation === undefined ? {} : { allocation: options.allocation }),
      target,
      ...(backing && { backingStore: { path: backing.path, ...(below && { format: { type: below } }) } }),
    };
    if (options.printXml) {
      const { formatVolume, volumeFromJson } = storageXml();
      return out.show(document, () => formatVolume(volumeFromJson(document, { poolType: 'dir' })));
    }
    const preallocate = options.preallocMetadata;
    const request = { pool: args.pool, document, preallocate, ...(await secretsOf(options)) };
    await session.give('createVolume', request, host, (answer) => `Vol '${answer.volume.name}' created`);
  },
});

export const volCreateFrom = command({
  name: 'vol-create-from',
  group: 'volume',
  summary: 'Make a volume with the content of another one',
  args: { pool, file, volume },
  options: {
    inputpool: value('POOL', 'pool of the source; left out, it is named by path or key'),
    ...prealloc,
    ...secret,
    ...sourceSecret,
    ...onHost,
  },
  gives: 'createVolumeFrom',
  examples: [example('vol-create-from default raw.xml golden.qcow2 --inputpool default', 'in another format')],
  async run({ args, options, session }) {
    const host = await hostOfPool(session, options.host, args.pool);
    const request = {
      pool: args.pool,
      ...(await readDefinition(args.file)),
      source: refOf(args.volume, { pool: options.inputpool }),
      preallocate: options.preallocMetadata,
      ...(await secretsOf(options)),
    };
    await session.give(
      'createVolumeFrom',
      request,
      host,
      (answer) => `Vol '${answer.volume.name}' created from input vol '${args.volume}'`,
    );
  },
});

export const volClone = command({
  name: 'vol-clone',
  group: 'volume',
  summary: 'Make a volume like another one, with its content, in the same pool',
  about: 'The clone stands on nothing, even when the other one does.',
  args: { volume, name: argument('name of the clone') },
  options: { ...prealloc, ...secret, ...sourceSecret, ...inPool },
  gives: 'cloneVolume',
  examples: [example('vol-clone golden.qcow2 web2.qcow2 --pool default', 'a copy')],
  async run({ args, options, session }) {
    const ref = refOf(args.volume, options);
    const host = await hostOfVolume(session, options.host, ref);
    const request = { ...ref, name: args.name, preallocate: options.preallocMetadata, ...(await secretsOf(options)) };
    await session.give(
      'cloneVolume',
      request,
      host,
      (answer) => `Vol '${answer.volume.name}' cloned from '${args.volume}'`,
    );
  },
});
