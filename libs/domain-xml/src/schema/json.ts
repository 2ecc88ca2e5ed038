/**
 * The JSON form of a model, and its JSON Schema. The form is the model itself: what the document leaves out is left out, numbers and
 * booleans are JSON's own, sizes are in the unit that the schema names.
 */
import { VirtError } from '@virtbus/shared';
import type { Element, Field, View } from './field';
import { emptyModel } from './parse';
import type { JsonSchema, Value } from './value';

type Loose = Record<string, unknown>;

const elementOf = (field: Field): Element => (field.element as () => Element)();
const variantOf = (element: Element, model: Loose): Element =>
  element.variants?.of[model[element.variants.tag] as string] ?? element;

/** The model without what the view hides: run-time data, secrets. */
export function toJson(declared: Element, model: Loose, view: View): Loose {
  const out: Loose = {};
  const { fields } = variantOf(declared, model);
  for (const key in fields) {
    const field = fields[key] as Field;
    const value = model[key];
    const { live, status, secret } = field.options;
    if (value === undefined || status || (secret && !view.secrets)) continue;
    if (live && view.view === 'inactive' && (live === true || (live !== 'input' && live(value as never)))) continue;
    if (Array.isArray(value)) {
      if (value.length === 0) continue;
      out[key] = field.kind === 'many' ? value.map((item) => toJson(elementOf(field), item as Loose, view)) : value;
    } else out[key] = field.kind === 'one' ? toJson(elementOf(field), value as Loose, view) : value;
  }
  return out;
}

/** The model of a JSON form. Throws INVALID_ARG that names every wrong member by its path. */
export function fromJson(element: Element, json: unknown): Loose {
  const faults: string[] = [];
  const model = readObject(element, json, '', faults);
  if (faults.length > 0) throw new VirtError('INVALID_ARG', { detail: faults.slice(0, 20).join('; ') });
  return model;
}

function readObject(declared: Element, json: unknown, path: string, faults: string[]): Loose {
  const here = path === '' ? 'the document' : path;
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    faults.push(`${here} must be an object`);
    return {};
  }
  const given = json as Loose;
  const tag = declared.variants?.tag;
  if (tag !== undefined && declared.variants?.of[given[tag] as string] === undefined) {
    faults.push(`${here}.${tag} must be one of ${Object.keys(declared.variants?.of ?? {}).join(', ')}`);
    return {};
  }
  const { fields } = variantOf(declared, given);
  for (const key in given)
    if (!Object.hasOwn(fields, key) || fields[key]?.options.status)
      faults.push(`${path}${path && '.'}${key} is not known`);
  const model = emptyModel({ ...declared, fields });
  for (const key in fields) {
    const field = fields[key] as Field;
    const at = path === '' ? key : `${path}.${key}`;
    const value = given[key];
    if (value !== undefined && value !== null) model[key] = readMember(field, value, at, faults);
    else if (field.present && model[key] === undefined) faults.push(`${at} is missing`);
  }
  return model;
}

function readMember(field: Field, value: unknown, at: string, faults: string[]): unknown {
  switch (field.kind) {
    case 'one':
      return readObject(elementOf(field), value, at, faults);
    case 'many':
      if (!Array.isArray(value)) return void faults.push(`${at} must be a list`);
      return value.map((item, index) => readObject(elementOf(field), item, `${at}[${index}]`, faults));
    case 'leaves':
      if (!Array.isArray(value)) return void faults.push(`${at} must be a list`);
      return value.map((item, index) => readValue(field.value as Value<unknown>, item, `${at}[${index}]`, faults));
    case 'flag':
      if (typeof value !== 'boolean') faults.push(`${at} must be true or false`);
      return value;
    case 'verbatim':
      if (typeof value !== 'string') faults.push(`${at} must be text`);
      return value;
    default:
      return readValue(field.value as Value<unknown>, value, at, faults);
  }
}

/** A value is right when it survives being written and read. */
function readValue(
  { parse, format, json, expects }: Value<unknown>,
  value: unknown,
  at: string,
  faults: string[],
): unknown {
  const type = json['type'] === 'integer' ? 'number' : (json['type'] ?? 'string');
  const read =
    typeof value === type && (type !== 'number' || Number.isSafeInteger(value)) ? parse(format(value)) : undefined;
  if (read === undefined) faults.push(`${at}: expected ${expects}`);
  return read;
}

/** Gathers one definition an element, so that recursion and sharing stay finite. */
class SchemaWriter {
  readonly definitions: Record<string, JsonSchema> = {};
  readonly #names = new Map<unknown, string>();

  ref(element: Element): JsonSchema {
    let name = this.#names.get(element.fields);
    if (name === undefined) {
      name = this.#freeName(element.name);
      this.#names.set(element.fields, name);
      this.definitions[name] = {};
      this.definitions[name] = this.#element(element);
    }
    return { $ref: `#/$defs/${name}` };
  }

  #freeName(wanted: string): string {
    let name = wanted;
    for (let n = 2; Object.hasOwn(this.definitions, name); n++) name = `${wanted}-${n}`;
    return name;
  }

  #element(element: Element): JsonSchema {
    const { variants } = element;
    if (!variants) return this.#object(element);
    return {
      oneOf: Object.entries(variants.of).map(([word, variant]) => {
        const schema = this.#object(variant);
        const properties = { ...(schema['properties'] as Loose), [variants.tag]: { const: word } };
        return { ...schema, properties };
      }),
    };
  }

  #object(element: Element): JsonSchema {
    const properties: Loose = {};
    const required: string[] = [];
    for (const [key, field] of Object.entries(element.fields)) {
      if (field.options.status) continue;
      properties[key] = this.#field(field);
      if (field.options.required) required.push(key);
    }
    return { type: 'object', properties, additionalProperties: false, ...(required.length > 0 && { required }) };
  }

  #field(field: Field): JsonSchema {
    switch (field.kind) {
      case 'one':
        return this.ref(elementOf(field));
      case 'many':
        return { type: 'array', items: this.ref(elementOf(field)) };
      case 'leaves':
        return { type: 'array', items: (field.value as Value<unknown>).json };
      case 'flag':
        return { type: 'boolean' };
      case 'verbatim':
        return { type: 'string' };
      default: {
        const { json } = field.value as Value<unknown>;
        return field.options.default === undefined ? json : { ...json, default: field.options.default };
      }
    }
  }
}

/** The JSON Schema (2020-12) of an element's JSON form. */
export function jsonSchemaOf(element: Element, id: string): JsonSchema {
  const writer = new SchemaWriter();
  const root = writer.ref(element);
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', $id: id, ...root, $defs: writer.definitions };
}
