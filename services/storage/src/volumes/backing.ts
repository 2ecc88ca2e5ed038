/** What a new overlay stands on: an image that we know, named with its format. */
import type { Volume } from '@virtbus/domain-xml/storage';
import { VirtError } from '@virtbus/shared';
import { inspect } from '../pools/image';
import { mustBeBelievable, mustBeSound, type Workshop } from './workshop';

/**
 * The capacity and backing store that an overlay gets. Throws when the image below is not there, is not what it is said
 * to be, or stands on something that is not known.
 */
export async function settleBacking(
  workshop: Workshop,
  { name, capacity, target, backingStore }: Volume,
): Promise<Pick<Volume, 'capacity' | 'backingStore'>> {
  if ((target.format?.type ?? 'raw') !== 'qcow2')
    throw new VirtError('CONFIG_UNSUPPORTED', {
      detail: `volume '${name}': only a qcow2 volume can have a <backingStore>`,
    });
  const path = backingStore?.path ?? '';
  if (!path.startsWith('/'))
    throw new VirtError('INVALID_ARG', { detail: `backing store '${path}' of volume '${name}' is no absolute path` });
  const below = await inspect(path, {
    formatOf: (_name, stats) => workshop.pools.formatOfFile(path, stats),
    before: () => undefined,
  });
  if (!below || below.volume.type === 'dir')
    throw new VirtError('INVALID_ARG', { detail: `backing store ${path} of volume '${name}' is no image` });
  mustBeBelievable(below);
  const looksLike = below.volume.target.format?.type ?? 'raw';
  const said = backingStore?.format?.type;
  if (said === undefined && looksLike !== 'raw')
    throw new VirtError('INVALID_ARG', {
      detail: `${path} looks like ${looksLike}; say what it is: <format type='${looksLike}'/> in <backingStore>`,
    });
  const format = said ?? 'raw';
  if (format !== 'raw' && format !== looksLike)
    throw new VirtError('INVALID_ARG', {
      detail: `backing store ${path} is said to be ${format} and looks like ${looksLike}`,
    });
  await mustBeSound(workshop, path, format);
  const size = format === 'raw' ? below.volume.physical : below.volume.capacity;
  return { capacity: capacity ?? size ?? 0, backingStore: { ...backingStore, path, format: { type: format } } };
}
