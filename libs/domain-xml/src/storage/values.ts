/** Values that only storage documents have: file modes, owners, sizes that may be refused as too large. */
import { bytes, bytesShort, type FieldOptions, type Value } from '../schema';

/** A file's permission bits, written in octal with a leading zero. */
export const fileMode: Value<number> = {
  parse: (raw) => (/^[0-7]{1,6}$/.test(raw.trim()) && parseInt(raw, 8) <= 0o777 ? parseInt(raw, 8) : undefined),
  format: (mode) => `0${mode.toString(8)}`,
  json: { type: 'integer', minimum: 0, maximum: 0o777 },
  expects: 'an octal mode such as 0644',
};

/** Says that an owner or a group is nobody in particular: `(uid_t) -1`. */
export const nobody = -1;

/** A numeric user or group; always decimal, also with leading zeros. */
export const ownerId: Value<number> = {
  parse: (raw) => {
    const id = /^(-1|\d{1,10})$/.test(raw.trim()) ? Number(raw) : undefined;
    if (id === undefined || id >= 2 ** 32) return undefined;
    return id === 2 ** 32 - 1 ? nobody : id;
  },
  format: String,
  json: { type: 'integer', minimum: nobody, maximum: 2 ** 32 - 2 },
  expects: 'a numeric user or group id',
};

const tooLarge = {
  refuse: ['OVERFLOW', (raw: string) => `'${raw}' is no size: a whole number of bytes below 8 PiB is expected`],
} as const satisfies FieldOptions<number>;

/** A size in bytes with the options of its field. */
export const size = [bytes, tooLarge] as const;
export const sizeShort = [bytesShort, tooLarge] as const;
