/**
 * Bodies on the bus: msgpack between our services, JSON for anybody who speaks JSON.
 *
 * The two are told apart by their first byte: a request is always a map or a record, and neither begins with `{`.
 */
import { Packr } from 'msgpackr';
import { VirtError } from '../errors';

export type Format = 'json' | 'msgpack';

// Records: the keys of many like objects (a list of domains) are told once a message, which halves its size and cost.
const packr = new Packr({ useRecords: true, variableMapSize: true, int64AsType: 'number' });
const text = { encoder: new TextEncoder(), decoder: new TextDecoder('utf-8', { fatal: true }) };

export function encode(value: unknown, format: Format): Uint8Array {
  return format === 'json' ? text.encoder.encode(JSON.stringify(value ?? {})) : packr.pack(value ?? {});
}

export function formatOf(body: Uint8Array): Format {
  const first = body.find((byte) => byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09);
  return first === undefined || first === 0x7b || first === 0x5b || first === 0x22 ? 'json' : 'msgpack';
}

/** An empty body is an empty object. Throws `INVALID_ARG` when the bytes are neither JSON nor msgpack. */
export function decode(body: Uint8Array): unknown {
  if (body.length === 0) return {};
  const format = formatOf(body);
  try {
    return format === 'json' ? (JSON.parse(text.decoder.decode(body)) as unknown) : (packr.unpack(body) as unknown);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const hint = body[0] === 0x3c ? '; XML goes inside a JSON object: {"xml": "<domain…"}' : '';
    throw new VirtError('INVALID_ARG', { detail: `the body is not valid ${format}: ${why}${hint}` }, { cause });
  }
}
