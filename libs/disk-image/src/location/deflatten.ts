/**
 * QEMU's dotted keys as nested objects: `{"file.driver": "nbd", "file.server.0.host": …}`. An object whose keys are exactly
 * 0..n-1 becomes an array. (facts: images §4b)
 */
import { VirtError } from '@virtbus/shared';

export type Json = null | boolean | number | string | Json[] | JsonObject;
export type JsonObject = { [key: string]: Json };

/** Deeper than any description of a place; a string of a header holds more brackets than a stack frames. */
const deepest = 64;

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Without a prototype: a key may be any text. */
const emptyObject = (): JsonObject => Object.create(null) as JsonObject;

const invalid = (detail: string): never => {
  throw new VirtError('INVALID_ARG', { detail });
};

/** @throws VirtError INVALID_ARG */
export function deflatten(object: JsonObject): JsonObject {
  const nested = nest(object, 0);
  for (const key of Object.keys(nested)) nested[key] = withArrays(nested[key] as Json);
  return nested;
}

function nest(object: JsonObject, depth: number): JsonObject {
  if (depth > deepest) invalid('JSON is nested too deeply');
  const result = emptyObject();
  for (const [key, value] of Object.entries(object)) {
    const path = key.split('.');
    if (path.length > deepest) invalid('JSON is nested too deeply');
    if (path.includes('')) invalid(`invalid nested value key '${key}'`);
    const last = path.pop() as string;
    let at = result;
    for (const part of path) {
      const next = (at[part] ??= emptyObject());
      at = isObject(next) ? next : invalid('mixing nested objects and values is forbidden in JSON deflattening');
    }
    if (last in at) invalid(`can't deflatten colliding key '${key}'`);
    at[last] = nestValue(value, depth + 1);
  }
  return result;
}

function nestValue(value: Json, depth: number): Json {
  if (Array.isArray(value)) return value.map((one) => nestValue(one, depth + 1));
  return isObject(value) ? nest(value, depth) : value;
}

function withArrays(value: Json): Json {
  if (Array.isArray(value)) return value.map(withArrays);
  if (!isObject(value)) return value;
  const keys = Object.keys(value);
  for (const key of keys) value[key] = withArrays(value[key] as Json);
  const isList = keys.length > 0 && keys.every((key) => /^(0|[1-9]\d*)$/.test(key) && Number(key) < keys.length);
  return isList ? keys.map((_, index) => value[index] as Json) : value;
}
