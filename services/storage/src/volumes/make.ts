/** Making volumes: empty ones, copies, clones. A file is made under a name of its own and takes its name when it is whole. */
import { mkdir, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { driverOf, imageCommands, type ImageMaking, type Volume } from '@virtbus/domain-xml/storage';
import { ImageFormat, VirtError, type VolumeSummary } from '@virtbus/shared';
import type { Call } from '@virtbus/shared/bus';
import { backendOf } from '../pools/backends';
import { sameness } from '../pools/made-formats';
import type { ManagedPool } from '../pools/managed-pool';
import { run } from '../programs';
import { orExplain, systemError } from '../system-errors';
import { appear, exists, permit } from './appear';
import { settleBacking } from './backing';
import { measured } from './measured';
import { checkName, locate, type Located, type VolumeRef } from './names';
import { made, mustBeBelievable, mustBeSound, pathOf, type Workshop } from './workshop';

/** Formats that can be made; the others can be read, uploaded and deleted. */
const creatable = new Set(['raw', 'iso', 'dir', 'qcow2', 'qcow', 'qed', 'vdi', 'vmdk', 'vpc']);

const newFileMode = 0o600;
const newFolderMode = 0o700;

export interface MakeOptions {
  preallocate?: boolean | undefined;
  secret?: string | undefined;
  sourceSecret?: string | undefined;
}

/** What a command is about to make, by its pool's uuid: a file that gets its name now, or a device. */
interface Making {
  pool: string;
  path?: string;
  file?: string;
  /** Paths of the volumes that were there before the device. */
  before?: string[];
}

/** Makes a volume, unless this command has: its answer could not be kept, or nobody was left to give it. */
export async function madeOnce(
  workshop: Workshop,
  call: Call,
  make: () => Promise<VolumeSummary>,
): Promise<VolumeSummary> {
  const begun = workshop.intents.begun<Making>(call);
  if (!begun) return make();
  const managed = workshop.pools.find(begun.pool);
  managed.mustRun();
  const { path, file, before } = begun;
  if (before) await mustNotBeMade(workshop, managed, before);
  if (path === undefined || file !== (await filedAs(path))) return make();
  return made(workshop, managed, path, 'volume-created', call);
}

/** Of two devices nobody can tell which command has made them, or whether one has the content it was to get. */
async function mustNotBeMade({ pools }: Workshop, managed: ManagedPool, before: readonly string[]): Promise<void> {
  await pools.look(managed);
  const came = [...managed.volumes.values()].filter(({ volume }) => !before.includes(pathOf(volume)));
  if (came.length === 0) return;
  const names = came.map(({ volume }) => `'${volume.name}'`).join(', ');
  const detail = `the command was begun before, and since then pool '${managed.name}' has ${names}: look whether that is its volume, whole; where it is not, give the command again under another id`;
  throw new VirtError('OPERATION_TIMEOUT', { detail });
}

/** Undefined where nothing has the name. */
async function filedAs(path: string): Promise<string | undefined> {
  try {
    return sameness(await stat(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw systemError(`look at ${path}`, error);
  }
}

/** An empty volume. */
export async function create(
  workshop: Workshop,
  pool: string,
  asked: Volume,
  options: MakeOptions,
  call: Call,
): Promise<VolumeSummary> {
  const managed = workshop.pools.find(pool);
  managed.mustRun();
  const volume = { ...asked };
  if (asked.backingStore) Object.assign(volume, await settleBacking(workshop, asked));
  if (!volume.capacity && volume.target.format?.type !== 'dir')
    throw new VirtError('INVALID_ARG', { detail: `volume '${volume.name}' needs a capacity larger than 0` });
  return make(workshop, managed, { volume, ...options }, call);
}

/** A volume with the content of another one. */
export async function createFrom(
  workshop: Workshop,
  pool: string,
  asked: Volume,
  source: VolumeRef,
  options: MakeOptions,
  call: Call,
): Promise<VolumeSummary> {
  const managed = workshop.pools.find(pool);
  managed.mustRun();
  if (asked.backingStore)
    throw new VirtError('CONFIG_UNSUPPORTED', {
      detail: 'a copy stands on nothing: leave <backingStore> out, or create the volume empty',
    });
  const from = locate(workshop.pools, source);
  const { volume: original } = from.found;
  // A smaller one would be cut off.
  const capacity = Math.max(asked.capacity ?? 0, original.capacity ?? 0);
  const volume: Volume = { ...asked, capacity, allocation: asked.allocation ?? original.allocation };
  return from.managed.job(original.name, 'copied', () => copyOf(workshop, managed, volume, from, options, call), true);
}

/** A volume like another one in the same pool. */
export async function clone(
  workshop: Workshop,
  ref: VolumeRef,
  name: string,
  options: MakeOptions,
  call: Call,
): Promise<VolumeSummary> {
  const from = locate(workshop.pools, ref);
  const { volume: original } = from.found;
  const { format, permissions, encryption, compat, nocow, clusterSize, features } = original.target;
  const target = { format, permissions, encryption, compat, nocow, clusterSize, features };
  const volume: Volume = { ...original, name, key: undefined, backingStore: undefined, target };
  const work = () => copyOf(workshop, from.managed, volume, from, options, call);
  return from.managed.job(original.name, 'copied', work, true);
}

async function copyOf(
  workshop: Workshop,
  managed: ManagedPool,
  volume: Volume,
  { found }: Located,
  options: MakeOptions,
  call: Call,
): Promise<VolumeSummary> {
  mustBeBelievable(found);
  const { volume: source } = found;
  if (source.type === 'dir')
    throw new VirtError('OPERATION_INVALID', { detail: `volume '${source.name}' is a folder, which cannot be copied` });
  await mustBeSound(workshop, pathOf(source), source.target.format?.type ?? 'raw');
  return make(workshop, managed, { volume, source, ...options }, call);
}

type Task = Omit<ImageMaking, 'secretFile' | 'sourceSecretFile'> & MakeOptions;

function make(workshop: Workshop, managed: ManagedPool, task: Task, call: Call): Promise<VolumeSummary> {
  const { volume, secret, source, sourceSecret } = task;
  checkName(volume.name);
  const { devices } = backendOf(managed.pool);
  const format = volume.target.format?.type ?? 'raw';
  if (!devices && !creatable.has(format))
    throw new VirtError('CONFIG_UNSUPPORTED', {
      detail: `volumes of format ${format} cannot be made; ${[...creatable].join(', ')} can`,
    });
  if (managed.volumes.has(volume.name))
    throw new VirtError('VOLUME_EXISTS', { volume: volume.name, pool: managed.name });
  mustHaveSecret(volume, secret);
  if (source) mustHaveSecret(source, sourceSecret);
  return managed.job(volume.name, 'created', async () => {
    const path = await (devices ? makeDevice : makeFile)(workshop, managed, task, call);
    return made(workshop, managed, path, 'volume-created', call);
  });
}

function mustHaveSecret({ name, target }: Volume, secret: string | undefined): void {
  if (target.encryption && secret === undefined)
    throw new VirtError('INVALID_ARG', { detail: `volume '${name}' is encrypted: its passphrase is needed` });
}

/** Where nothing is mounted any more, a file would lie below, on another disk, and not be seen when it is mounted again. */
async function mustBeUp({ pool, name }: ManagedPool): Promise<void> {
  if (pool.type === 'dir' || (await backendOf(pool).isUp(pool))) return;
  const detail = `pool '${name}': nothing is mounted on ${pool.target?.path} any more; stop the pool and start it`;
  throw new VirtError('OPERATION_FAILED', { detail });
}

async function makeFile(workshop: Workshop, managed: ManagedPool, task: Task, call: Call): Promise<string> {
  const { volume } = task;
  const path = join(managed.pool.target?.path ?? '', volume.name);
  return orExplain(`create ${path}`, async () => {
    await mustBeUp(managed);
    if (await exists(path)) throw new VirtError('VOLUME_EXISTS', { volume: volume.name, pool: managed.name });
    return workshop.inProgress.withTemporary(managed, path, async (temporary) => {
      await fill(workshop, task, temporary, call.signal);
      await permit(temporary, volume.target, volume.target.format?.type === 'dir' ? newFolderMode : newFileMode);
      call.signal.throwIfAborted();
      await noteFormat(workshop, managed, volume, temporary);
      const making: Making = { pool: managed.uuid, path, file: sameness(await stat(temporary)) };
      workshop.intents.begin(call, making);
      await appear(temporary, path);
      return path;
    });
  });
}

/** An encrypted raw image begins with a header that no guest can reach; nothing need be remembered of it. */
async function noteFormat({ pools }: Workshop, managed: ManagedPool, volume: Volume, file: string): Promise<void> {
  const format = volume.target.format?.type ?? 'raw';
  if (driverOf(volume) === 'luks' || format === 'dir') return;
  pools.made.note(managed.uuid, volume.name, ImageFormat.parse(format), await stat(file));
}

async function makeDevice(workshop: Workshop, managed: ManagedPool, task: Task, call: Call): Promise<string> {
  const { volume, source } = task;
  // One after the other: the second of two would take what the first has made for its own.
  const create = (): Promise<string> => {
    const before = [...managed.volumes.values()].map((each) => pathOf(each.volume));
    workshop.intents.begin(call, { pool: managed.uuid, before } satisfies Making);
    return backendOf(managed.pool).devices!.create(managed.pool, volume, call.signal);
  };
  const path = await managed.inTurn(call.signal, create);
  // Whatever was there before, and may be noted still, has gone.
  workshop.inProgress.gone(managed, path);
  if (source || volume.target.encryption) {
    // What a partition is said to hold is no format of an image.
    const plain: Volume = { ...volume, target: { ...volume.target, format: undefined } };
    const work = (): Promise<void> => fillWithPrograms(workshop, { ...task, volume: plain }, path, call.signal);
    await workshop.inProgress.withDevice(managed, { name: volume.name, path }, work);
  }
  return path;
}

async function fill(workshop: Workshop, task: Task, path: string, signal: AbortSignal): Promise<void> {
  const { volume, source } = task;
  if (volume.target.format?.type === 'dir') return void (await mkdir(path));
  const plain = (volume.target.format?.type ?? 'raw') === 'raw' && !volume.target.encryption;
  if (plain && !source && !volume.target.nocow) return makeRaw(path, volume, signal);
  await fillWithPrograms(workshop, task, path, signal);
  const more = source && (volume.capacity ?? 0) > (source.capacity ?? 0) && !volume.target.encryption;
  if (more) await enlarge(volume, path, signal);
}

async function makeRaw(
  path: string,
  { capacity = 0, allocation = capacity }: Volume,
  signal: AbortSignal,
): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.truncate(capacity);
  } finally {
    await file.close();
  }
  const now = Math.min(allocation, capacity);
  if (now > 0) await run('fallocate', ['--length', String(now), '--', path], { signal });
}

/** Formats are those that we have read or that we make; qemu-img finds out none. */
async function fillWithPrograms(workshop: Workshop, task: Task, path: string, signal: AbortSignal): Promise<void> {
  const { secret, sourceSecret, ...image } = task;
  const volume: Volume = { ...image.volume, target: { ...image.volume.target, path } };
  await workshop.inProgress.withSecret(secret, (secretFile) =>
    workshop.inProgress.withSecret(sourceSecret, async (sourceSecretFile) => {
      const commands = imageCommands({ ...image, volume, secretFile, sourceSecretFile });
      for (const [program = '', ...words] of commands)
        await measured(() => run(program, words, { signal, mortal: true }));
    }),
  );
}

/** A copy that is to be larger than its source. */
async function enlarge({ target, capacity = 0 }: Volume, path: string, signal: AbortSignal): Promise<void> {
  const format = target.format?.type ?? 'raw';
  const driver = format === 'iso' ? 'raw' : format;
  await run('qemu-img', ['resize', '-f', driver, '--', path, String(capacity)], { signal, mortal: true });
}
