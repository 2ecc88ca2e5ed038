/** `json:{…}`: a place as QEMU's block options, nested or with dotted keys, bare or wrapped in a `raw` format. */
import { VirtError, type Location } from '@virtbus/shared';
import { deflatten, isObject, type Json, type JsonObject } from './deflatten';
import { JsonFields } from './json-fields';
import { protocolDrivers } from './json-drivers';
import type { ParsedLocation } from './parse';

const invalid = (detail: string, cause?: unknown): never => {
  throw new VirtError('INVALID_ARG', { detail }, { cause });
};

/** @throws VirtError INVALID_ARG, INTERNAL_ERROR or CONFIG_UNSUPPORTED */
export function parseJsonForm(text: string): ParsedLocation {
  let json: Json;
  try {
    json = JSON.parse(text) as Json;
  } catch (cause) {
    return invalid(`failed to parse JSON backing volume definition '${text}'`, cause);
  }
  if (!isObject(json)) return invalid(`JSON backing volume definition '${text}' must be a JSON object`);
  const whole = deflatten(json);
  const file = whole['file'];
  return parseDriver(!('driver' in whole) && isObject(file) ? file : whole, text, true);
}

function parseDriver(object: JsonObject, text: string, isTop: boolean): ParsedLocation {
  const driver = object['driver'];
  if (typeof driver !== 'string') {
    return invalid(`JSON backing volume definition '${text}' lacks driver name`);
  }
  if (driver === 'raw')
    return isTop ? parseRaw(object, text) : invalid(`'${text}' must not have nested format drivers`);
  const read = Object.hasOwn(protocolDrivers, driver) ? protocolDrivers[driver] : undefined;
  if (read === undefined) {
    throw new VirtError('INTERNAL_ERROR', {
      detail: `missing parser implementation for JSON backing volume driver '${driver}'`,
    });
  }
  return read(new JsonFields(object, text), driver);
}

/** A format that adds nothing, or shows a part of the file as the image. */
function parseRaw(object: JsonObject, text: string): ParsedLocation {
  const fields = new JsonFields(object, text);
  const file = object['file'];
  if (!isObject(file)) return invalid(`JSON backing volume definition '${text}' lacks 'file' object`);
  const parsed = parseDriver(file, text, false);
  const [offset, size] = [fields.number('offset'), fields.number('size')];
  if (offset === undefined && size === undefined) return parsed;
  if (size === undefined) return invalid(`the slice in '${text}' lacks 'size'`);
  return { ...parsed, location: sliced(parsed.location, { offset: offset ?? 0, size }, text) };
}

function sliced(location: Location, slice: { offset: number; size: number }, text: string): Location {
  if (location.type === 'file' || location.type === 'block' || location.type === 'network') {
    return { ...location, slice };
  }
  return invalid(`'${text}' takes a slice of what has none`);
}
