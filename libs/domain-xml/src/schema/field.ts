/**
 * The words in which an element of the document is declared.
 *
 *   export const rng = element('rng', {
 *     model: attr(oneOf('virtio', …), { required: true }),
 *     rate: one(rate),
 *     ...deviceInfo,
 *   });
 *   export type Rng = ModelOf<typeof rng>;
 *
 * The order of the keys is the order of output. From this one value come parsing, formatting, the JSON form, the JSON
 * Schema and the TypeScript type; nothing else in the package lists attributes.
 */
import type { XmlElement } from '../xml/reader';
import type { FaultCode } from './faults';
import { anyString, type Value } from './value';

/** Holds when a sibling field (or one of the enclosing element) has one of these values. */
export interface Condition {
  readonly of: 'self' | 'parent';
  readonly field: string;
  readonly in: readonly unknown[];
}

export const on = (field: string, ...values: unknown[]): Condition => ({ of: 'self', field, in: values });
export const onParent = (field: string, ...values: unknown[]): Condition => ({ of: 'parent', field, in: values });

/** Options of a field whose type is not known here. */
export type AnyOptions = Omit<FieldOptions<unknown>, 'live'> & {
  readonly live?: boolean | 'input' | ((value: never) => boolean);
};

export interface FieldOptions<T> {
  /** In the document; the key's own name unless given. */
  readonly name?: string;
  /** Filled in when the document says nothing; makes the field always present. */
  readonly default?: T;
  /** The document must say it; a string is the error's text. */
  readonly required?: boolean | string;
  /** Describes a running guest (or does with this value): ignored in and left out of an inactive definition.
   * `input`: only ignored; what has it is a running guest's anyway. */
  readonly live?: boolean | 'input' | ((value: T) => boolean);
  /** A manager's own note on a running guest: only in status documents, unknown elsewhere. */
  readonly status?: boolean;
  /** Written only when secrets are asked for. */
  readonly secret?: boolean;
  /** Where the field has a meaning; elsewhere it counts as unknown. */
  readonly when?: Condition;
  /** Not written when it has this value. */
  readonly omit?: T;
  /** A domain's definition: read and written as an inactive one, whatever kind of document it stands in. */
  readonly definition?: boolean;
  /** Words and code for a value that is refused, where libvirt has its own. */
  readonly refuse?: readonly [code: FaultCode, text: (raw: string) => string];
}

export type FieldKind = 'attribute' | 'text' | 'leaf' | 'leaves' | 'flag' | 'one' | 'many' | 'verbatim';

declare const modelType: unique symbol;

export interface Field<T = unknown, Present extends boolean = boolean> {
  readonly kind: FieldKind;
  readonly present: Present;
  readonly options: AnyOptions;
  readonly value?: Value<unknown>;
  readonly element?: () => Element;
  /** `one`: made empty when the document lacks it. */
  readonly implied?: boolean;
  readonly [modelType]?: () => T;
}

export type Fields = Readonly<Record<string, Field>>;

type TypeOf<F> = F extends Field<infer T> ? T : never;
type PresentKeys<F extends Fields> = { [K in keyof F]: F[K] extends Field<unknown, true> ? K : never }[keyof F];

/** The TypeScript type of an element with these fields. */
export type Model<F extends Fields> = {
  -readonly [K in keyof Pick<F, PresentKeys<F>>]: TypeOf<F[K]>;
} & {
  -readonly [K in keyof Omit<F, PresentKeys<F>>]?: TypeOf<F[K]> | undefined;
} extends infer M
  ? { [K in keyof M]: M[K] }
  : never;

/** What an element's hooks may ask and report while a document is read. */
export interface ReadContext {
  /** Run-time data is read, too. */
  readonly live: boolean;
  fault(code: FaultCode, detail: string, where?: { element?: string; attribute?: string; line?: number }): void;
}

export interface ElementOptions<M> {
  /** Written as `<name/>` (or as a pair of tags) when there is nothing inside; otherwise it is left out. */
  readonly keepEmpty?: boolean | 'open';
  /** After reading: old spellings, values that depend on one another, faults that need no capabilities. */
  readonly refine?: (model: M, source: XmlElement, context: ReadContext) => void;
  /** Before writing: what is printed when it is not exactly what is known. */
  readonly shape?: (model: M, view: View) => object;
  /** Attributes and children that are old or read by `refine`: neither a field nor unknown. */
  readonly alsoReads?: readonly string[];
}

/** For whom a document is written. */
export interface View {
  /** `status`: live, and what a manager must remember of the guest to find it again. */
  readonly view: 'inactive' | 'live' | 'status';
  readonly secrets: boolean;
  /** For another host: without what only this manager understands. */
  readonly migratable: boolean;
}

export interface Element<M = unknown> {
  readonly name: string;
  readonly fields: Fields;
  readonly options: ElementOptions<never>;
  /** Declared by `union`: which of these elements it is depends on an attribute. */
  readonly variants?: Variants;
  readonly [modelType]?: () => M;
}

export type ModelOf<E> = E extends Element<infer M> ? M : never;

export function element<F extends Fields>(
  name: string,
  fields: F,
  options: ElementOptions<Model<F>> = {},
): Element<Model<F>> {
  return { name, fields, options };
}

export interface Variants {
  readonly tag: string;
  /** When the document does not say. */
  readonly fallback: string | undefined;
  readonly of: Readonly<Record<string, Element>>;
  readonly unknown: (tag: string) => string;
}

/** An element whose fields depend on the value of one attribute; its type is a union discriminated by it. */
export function union<const K extends string, V extends Readonly<Record<string, Fields>>>(
  name: string,
  tag: K,
  variants: V,
  options: {
    fallback?: keyof V & string;
    unknown?: (tag: string) => string;
    /** `shape` of single variants. */
    shapes?: { readonly [T in keyof V & string]?: (model: Record<K, T> & Model<V[T]>) => object };
  } = {},
): Element<{ [T in keyof V & string]: Record<K, T> & Model<V[T]> }[keyof V & string]> {
  const of = Object.fromEntries(
    Object.entries(variants).map(([word, fields]) => [
      word,
      {
        name,
        fields: { [tag]: attr(anyString, { required: true }), ...fields },
        options: { ...(options.shapes?.[word] && { shape: options.shapes[word] }) },
      },
    ]),
  );
  return {
    name,
    fields: { [tag]: attr(anyString, { required: true }) },
    options: {},
    variants: {
      tag,
      of,
      fallback: options.fallback,
      unknown: options.unknown ?? ((word) => `unknown ${name} ${tag} '${word}'`),
    },
  };
}

/** Options with which a field can not be absent. */
type PresentOptions<T> = FieldOptions<T> & ({ readonly default: T } | { readonly required: true | string });

interface ValueField {
  <T>(value: Value<T>, options: PresentOptions<NoInfer<T>>): Field<T, true>;
  <T>(value: Value<T>, options?: FieldOptions<NoInfer<T>>): Field<T, false>;
}

const isPresent = ({ default: fallback, required }: AnyOptions): boolean => fallback !== undefined || Boolean(required);

const valueField = (kind: FieldKind): ValueField =>
  ((value: Value<unknown>, options: AnyOptions = {}): Field => ({
    kind,
    present: isPresent(options),
    options,
    value,
  })) as ValueField;

/** An attribute. */
export const attr = valueField('attribute');
/** The element's own text. */
export const text = valueField('text');
/** A child element that holds one value: `<title>…</title>`. */
export const leaf = valueField('leaf');

/** A list of child elements that hold one value each. */
export function leaves<T>(value: Value<T>, options: FieldOptions<T> = {}): Field<T[], true> {
  return { kind: 'leaves', present: true, options, value: value as Value<unknown> };
}

/** A child element that says yes by being there: `<readonly/>`. */
export function flag(options: FieldOptions<boolean> = {}): Field<boolean, false> {
  return { kind: 'flag', present: false, options };
}

/** A child element. */
export const one = ((of: Element, options: AnyOptions = {}): Field => ({
  kind: 'one',
  present: isPresent(options),
  options,
  element: () => of,
})) as {
  <M>(of: Element<M>, options: PresentOptions<NoInfer<M>>): Field<M, true>;
  <M>(of: Element<M>, options?: FieldOptions<NoInfer<M>>): Field<M, false>;
};

/** A child element that the model always has; an empty one is not written. */
export function always<M>(of: Element<M>, options: FieldOptions<M> = {}): Field<M, true> {
  return { kind: 'one', present: true, options, element: () => of, implied: true };
}

/** A child element declared later, or this one again. */
export function later<M>(of: () => Element<M>, options: FieldOptions<M> = {}): Field<M, false> {
  return { kind: 'one', present: false, options, element: of };
}

/** A list of child elements; empty when there are none. */
export function many<M>(of: Element<M>, options: FieldOptions<M> = {}): Field<M[], true> {
  return { kind: 'many', present: true, options, element: () => of };
}

/** A child element that is kept as the user wrote it. */
export function verbatim(options: FieldOptions<string> = {}): Field<string, false> {
  return { kind: 'verbatim', present: false, options };
}
