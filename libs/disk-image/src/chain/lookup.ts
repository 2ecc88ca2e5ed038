/** Finds an image in a chain, as callers name it: `vda[3]`, a path, the relative name in its overlay. */
import { stat } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import type { Location } from '@virtbus/shared';

/** What a look-up needs of a layer. */
export interface NamedLayer {
  readonly location: Location;
  readonly index?: number | undefined;
  readonly relPath?: string | undefined;
}

export interface LookupOptions {
  /** The disk's target, as `vda`; without it nothing is found by index. */
  readonly target?: string | undefined;
  /** Position of a layer; only those below it are looked at. */
  readonly below?: number | undefined;
}

/**
 * Position of a layer; undefined when there is none of this name.
 * @param layers from the active layer down to the end of the chain
 * @param name undefined means the end of the chain
 */
export async function findLayer(
  layers: readonly NamedLayer[],
  name: string | undefined,
  { target, below }: LookupOptions = {},
): Promise<number | undefined> {
  const first = below === undefined ? 0 : below + 1;
  if (first >= layers.length) return undefined;
  if (name === undefined) return layers.length - 1;
  const index = indexIn(name, target);
  for (let position = first; position < layers.length; position++) {
    const layer = layers[position] as NamedLayer;
    const found = index === undefined ? await isNamed(layer, layers[position - 1], name) : layer.index === index;
    if (found) return position;
  }
  return undefined;
}

/** `vda[3]` of disk `vda` is 3; anything else is no index. */
function indexIn(name: string, target: string | undefined): number | undefined {
  const match = /^(.+)\[(\d+)\]$/.exec(name);
  const index = Number(match?.[2]);
  return match?.[1] === target && index > 0 ? index : undefined;
}

async function isNamed(layer: NamedLayer, above: NamedLayer | undefined, name: string): Promise<boolean> {
  const path = pathOf(layer.location);
  if (path === undefined) return layer.location.type === 'network' && layer.location.name === name;
  if (layer.relPath === name || path === name) return true;
  const folder = dirname((above && pathOf(above.location)) ?? '.');
  return isSameFile(path, isAbsolute(name) ? name : join(above ? folder : '.', name));
}

function pathOf(location: Location): string | undefined {
  return location.type === 'file' || location.type === 'block' || location.type === 'dir' ? location.path : undefined;
}

async function isSameFile(one: string, other: string): Promise<boolean> {
  try {
    const [a, b] = await Promise.all([stat(one), stat(other)]);
    return a.ino === b.ino && a.dev === b.dev;
  } catch {
    return false; // What is not there is no image of the chain.
  }
}
