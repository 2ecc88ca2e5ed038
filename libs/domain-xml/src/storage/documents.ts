/** From storage documents to models and back. */
import { imageFormats } from '../elements/storage-source';
import { Faults } from '../schema/faults';
import { formatElement } from '../schema/format';
import { fromJson, toJson } from '../schema/json';
import { emptyModel, parseElement, type ParseOptions } from '../schema/parse';
import { readXml } from '../xml/reader';
import { pool, type Pool } from './pool';
import { partitionFormats, poolTypeInfo, type PoolType } from './pool-types';
import { volume, type Volume } from './volume';

export interface StorageParseOptions extends Partial<Pick<ParseOptions, 'unknown'>> {
  /** `live` also reads what only we can know: space, times, extents. */
  readonly mode?: ParseOptions['mode'];
}

export interface VolumeParseOptions extends StorageParseOptions {
  /** The pool it is in, which says what formats there are. */
  readonly poolType: PoolType;
  /** A volume without a capacity: refused, taken when there is a backing store (which has one), or taken. */
  readonly capacity?: 'required' | 'backed' | 'optional';
}

const view = { view: 'live', secrets: false, migratable: false } as const;

/** Reads a `<pool>` document. Throws XML_DETAIL for what is not XML, otherwise one error with all faults and their lines. */
export function parsePool(xml: string, { mode = 'inactive', ...rest }: StorageParseOptions = {}): Pool {
  return parseElement(pool, readXml(xml), { mode, ...rest }).model;
}

/** The model of a pool's JSON form, checked as a document is. */
export const poolFromJson = (json: unknown): Pool => parsePool(formatPool(fromJson(pool, json) as Pool));

export const formatPool = (model: Pool): string => formatElement(pool, model, view);

export const poolToJson = (model: Pool): Record<string, unknown> => toJson(pool, model, view);

/** Reads a `<volume>` document for a pool of this type; throws as `parsePool`. */
export function parseVolume(xml: string, options: VolumeParseOptions): Volume {
  const { mode = 'inactive', unknown = 'refuse' } = options;
  return settled(parseElement(volume, readXml(xml), { mode, unknown }).model, options);
}

/** The model of a volume's JSON form, checked as a document is. */
export const volumeFromJson = (json: unknown, options: VolumeParseOptions): Volume =>
  settled(fromJson(volume, json) as Volume, options);

/** A volume of which nothing is known but its name. */
export const emptyVolume = (name: string): Volume => ({ ...(emptyModel(volume) as Volume), name });

export const formatVolume = (model: Volume): string => formatElement(volume, model, view);

export const volumeToJson = (model: Volume): Record<string, unknown> => toJson(volume, model, view);

/** What depends on the pool and what has a default. */
function settled(model: Volume, { poolType, capacity = 'required' }: VolumeParseOptions): Volume {
  const faults = new Faults();
  // Features are of version 3 of qcow2.
  if (model.target.features) model.target.compat ??= '1.1';
  settleFormat(model, poolType, faults);
  // libvirt: a backing store without a path is none.
  if (model.backingStore?.path === undefined) delete model.backingStore;
  const needed = capacity === 'required' || (capacity === 'backed' && !model.backingStore);
  if (model.capacity === undefined && needed)
    faults.add('XML_ERROR', 'missing capacity element', { element: 'volume' });
  faults.throwIfAny();
  return model;
}

function settleFormat(model: Volume, poolType: PoolType, faults: Faults): void {
  const { volumes } = poolTypeInfo(poolType);
  const { target, backingStore } = model;
  const given = target.format?.type;
  const formats: readonly string[] =
    volumes === 'images' ? imageFormats : volumes === 'partitions' ? partitionFormats : ['raw'];
  if (given !== undefined && !formats.includes(given))
    faults.add('XML_ERROR', `unknown volume format type ${given}; one of ${formats.join(', ')} is expected`, {
      element: 'format',
    });
  if (volumes === 'none') delete target.format;
  else target.format ??= { type: formats[0]! };
  const below = backingStore?.format?.type;
  if (below !== undefined && !(imageFormats as readonly string[]).includes(below))
    faults.add('XML_ERROR', `unknown volume format type ${below} of the backing store`, { element: 'format' });
}
