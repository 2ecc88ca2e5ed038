/** Fields of one JSON object, typed; a field of another type is refused. */
import { VirtError, type StorageHost } from '@virtbus/shared';
import { isObject, type Json, type JsonObject } from './deflatten';
import { tcpHost } from './network';

export class JsonFields {
  constructor(
    private readonly object: JsonObject,
    private readonly text: string,
  ) {}

  invalid(what: string): never {
    throw new VirtError('INVALID_ARG', { detail: `${what} in JSON backing volume definition '${this.text}'` });
  }

  has(key: string): boolean {
    return this.object[key] !== undefined;
  }

  string(key: string): string | undefined {
    const value = this.object[key];
    if (value === undefined || typeof value === 'string') return value;
    return this.invalid(`'${key}' is no string`);
  }

  required(key: string): string {
    return this.string(key) ?? this.invalid(`missing '${key}'`);
  }

  /** A count, as a number or as decimal text. */
  number(key: string): number | undefined {
    const value = this.object[key];
    if (value === undefined) return undefined;
    const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
    if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) return number;
    return this.invalid(`'${key}' is no count`);
  }

  /** `true`, `false`, and their words `on` and `off`. */
  boolean(key: string): boolean | undefined {
    const value = this.object[key];
    if (value === undefined || typeof value === 'boolean') return value;
    if (value === 'on' || value === 'off') return value === 'on';
    return this.invalid(`'${key}' is neither true nor false`);
  }

  /** QEMU's socket addresses: one object, or a list of them. */
  servers(key = 'server'): StorageHost[] {
    const value = this.object[key];
    if (value === undefined) return [];
    return (Array.isArray(value) ? value : [value]).map((one) => this.#server(one));
  }

  #server(value: Json): StorageHost {
    if (!isObject(value)) return this.invalid(`'server' is no object`);
    const fields = new JsonFields(value, this.text);
    const type = fields.string('type') ?? 'inet';
    if (type === 'unix') {
      return { transport: 'unix', socket: fields.string('path') ?? fields.required('socket') };
    }
    if (type !== 'inet' && type !== 'tcp') return this.invalid(`unknown server type '${type}'`);
    const port = fields.number('port');
    return tcpHost(fields.required('host'), port === undefined ? undefined : String(port));
  }
}
