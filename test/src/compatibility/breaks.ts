/**
 * What breaks between two JSON Schemas of the same message: one that is out there, and today's.
 *
 * A request of old must still be taken: nothing is asked for that was not, nothing is refused that was taken. An answer of
 * today must still be understood: nothing is missing that was there, nothing is in it that could not be. Fields that only
 * one side knows are passed over on the bus, so a new field is no break where it may be absent: the other side does not
 * know it yet. What the checker cannot compare (another pattern, another shape of alternatives) counts as a break.
 */

/** The part of JSON Schema (2020-12) that schemas of contracts are made of. */
export interface Schema {
  type?: string | readonly string[];
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  additionalProperties?: boolean | Schema;
  propertyNames?: Schema;
  items?: Schema;
  enum?: readonly unknown[];
  const?: unknown;
  anyOf?: readonly Schema[];
  oneOf?: readonly Schema[];
  pattern?: string;
  format?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
}

export type Direction = 'request' | 'response';

export interface Break {
  /** Dotted, `[]` for the items of a list, `{}` for the values of a map; empty for the whole message. */
  field: string;
  what: string;
}

/** All breaks, in the order of the fields. */
export function breaksBetween(before: Schema, now: Schema, direction: Direction): Break[] {
  const found: Break[] = [];
  compare(before, now, '', { direction, tell: (field, what) => found.push({ field, what }) });
  return found;
}

interface Look {
  direction: Direction;
  tell(field: string, what: string): void;
}

function compare(before: Schema, now: Schema, field: string, look: Look): void {
  const [olds, news] = [alternatives(before), alternatives(now)];
  if (olds.length > 1 || news.length > 1) return compareAlternatives(olds, news, field, look);
  // What is sent must fit into what is understood.
  const [sent, understood] = look.direction === 'request' ? [before, now] : [now, before];
  if (!compareTypes(sent, understood, field, look)) return;
  compareValues(sent, understood, field, look);
  compareBounds(sent, understood, field, look);
  compareFields(before, now, field, look);
  if (before.items && now.items) compare(before.items, now.items, `${field}[]`, look);
  else if (understood.items) look.tell(field, 'any item may come, where only some were understood');
  const [oldValues, newValues] = [valuesOf(before), valuesOf(now)];
  if (oldValues && newValues) compare(oldValues, newValues, `${field}{}`, look);
  if (before.propertyNames && now.propertyNames) compare(before.propertyNames, now.propertyNames, `${field}{}`, look);
}

const alternatives = (schema: Schema): readonly Schema[] => schema.anyOf ?? schema.oneOf ?? [schema];

/** Each alternative that may be sent needs one that understands it; those of one kind are compared with one another. */
function compareAlternatives(olds: readonly Schema[], news: readonly Schema[], field: string, look: Look): void {
  const [sent, understood] = look.direction === 'request' ? [olds, news] : [news, olds];
  for (const one of sent) {
    const pair = (other: Schema): [Schema, Schema] => (look.direction === 'request' ? [one, other] : [other, one]);
    const fits = understood.some((other) => breaksBetween(...pair(other), look.direction).length === 0);
    if (fits) continue;
    const like = understood.find((other) => kindOf(other) === kindOf(one));
    if (like) compare(...pair(like), field, look);
    else
      look.tell(
        field,
        look.direction === 'request'
          ? `${kindOf(one)} is no longer taken`
          : `may be ${kindOf(one)}, which was not possible`,
      );
  }
}

/** What alternatives are told apart by: their type, and the constant fields of objects. */
function kindOf(schema: Schema): string {
  const constants = Object.entries(schema.properties ?? {}).flatMap(([name, { const: value }]) =>
    value === undefined ? [] : [`${name} ${JSON.stringify(value)}`],
  );
  const type = typesOf(schema).join(' or ') || 'anything';
  return [type, ...constants].join(' with ');
}

function typesOf({ type, const: constant, enum: values }: Schema): readonly string[] {
  if (type !== undefined) return typeof type === 'string' ? [type] : type;
  const known = values ?? (constant === undefined ? [] : [constant]);
  return [...new Set(known.map((value) => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value)))];
}

/** False when there is no more to compare. */
function compareTypes(sent: Schema, understood: Schema, field: string, look: Look): boolean {
  const [may, can] = [typesOf(sent), typesOf(understood)];
  if (can.length === 0) return true;
  const fits = (type: string): boolean => can.includes(type) || (type === 'integer' && can.includes('number'));
  if (may.length > 0 && may.every(fits)) return true;
  const [was, is] = look.direction === 'request' ? [may, can] : [can, may];
  look.tell(field, `its type was ${was.join(' or ') || 'anything'} and is ${is.join(' or ') || 'anything'}`);
  return false;
}

function compareValues(sent: Schema, understood: Schema, field: string, look: Look): void {
  const values = (schema: Schema): readonly unknown[] | undefined =>
    schema.enum ?? (schema.const === undefined ? undefined : [schema.const]);
  const [may, can] = [values(sent), values(understood)];
  if (!can) return;
  if (!may) return look.tell(field, 'any value may come, where only some were possible');
  for (const value of may) {
    if (can.includes(value)) continue;
    const shown = JSON.stringify(value);
    look.tell(
      field,
      look.direction === 'request' ? `the value ${shown} is no longer taken` : `has the new value ${shown}`,
    );
  }
}

const least = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems'] as const;
const most = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems'] as const;

function compareBounds(sent: Schema, understood: Schema, field: string, look: Look): void {
  const how = look.direction === 'request' ? 'narrower' : 'wider';
  for (const bound of least) {
    const can = understood[bound];
    if (can !== undefined && (sent[bound] ?? Number.NEGATIVE_INFINITY) < can)
      look.tell(field, `its ${bound} is ${how}`);
  }
  for (const bound of most) {
    const can = understood[bound];
    if (can !== undefined && (sent[bound] ?? Number.POSITIVE_INFINITY) > can)
      look.tell(field, `its ${bound} is ${how}`);
  }
  for (const form of ['pattern', 'format'] as const) {
    if (understood[form] !== undefined && understood[form] !== sent[form]) look.tell(field, `its ${form} is another`);
  }
}

function compareFields(before: Schema, now: Schema, field: string, look: Look): void {
  const [olds, news] = [before.properties ?? {}, now.properties ?? {}];
  const needed = (schema: Schema, name: string): boolean => schema.required?.includes(name) ?? false;
  for (const [name, old] of Object.entries(olds)) {
    const path = field === '' ? name : `${field}.${name}`;
    const today = news[name];
    if (!today) {
      look.tell(path, 'is gone');
      continue;
    }
    if (look.direction === 'request' && needed(now, name) && !needed(before, name))
      look.tell(path, 'has become required');
    if (look.direction === 'response' && needed(before, name) && !needed(now, name))
      look.tell(path, 'may now be absent');
    compare(old, today, path, look);
  }
  for (const name of Object.keys(news)) {
    if (name in olds || !needed(now, name)) continue;
    // In an answer too: services of the version before give it without.
    look.tell(field === '' ? name : `${field}.${name}`, 'is new and required');
  }
}

const valuesOf = ({ additionalProperties }: Schema): Schema | undefined =>
  typeof additionalProperties === 'object' ? additionalProperties : undefined;
