/** The lookup tables of a declared element, made once when it is first used. */
import type { Element, Field, Fields } from './field';

export interface Entry {
  readonly key: string;
  /** In the document. */
  readonly name: string;
  readonly field: Field;
  /** Written whenever there is a value: no view hides it and no sibling decides. */
  readonly always: boolean;
}

export interface Compiled {
  readonly attributes: readonly Entry[];
  /** In the order of output. */
  readonly children: readonly Entry[];
  readonly text: Entry | undefined;
  /** Fields that a document may leave out and the model may not, or that it must not leave out. */
  readonly completed: readonly Entry[];
  readonly attributeNamed: ReadonlyMap<string, Entry>;
  readonly childNamed: ReadonlyMap<string, Entry>;
  /** Attributes that only carry the unit of another one. */
  readonly unitAttribute: boolean;
  readonly alsoReads: ReadonlySet<string>;
}

const compiledElements = new WeakMap<Fields, Compiled>();

export function compile(element: Element): Compiled {
  let compiled = compiledElements.get(element.fields);
  if (compiled === undefined) {
    compiled = compileFields(element);
    compiledElements.set(element.fields, compiled);
  }
  return compiled;
}

function compileFields(element: Element): Compiled {
  const entries = Object.entries(element.fields).map(([key, field]): Entry => ({
    key,
    name: field.options.name ?? field.element?.().name ?? key,
    field,
    always: !(['live', 'status', 'secret', 'omit', 'when'] as const).some(
      (option) => field.options[option] !== undefined,
    ),
  }));
  const attributes = entries.filter((entry) => entry.field.kind === 'attribute');
  const children = entries.filter((entry) => entry.field.kind !== 'attribute' && entry.field.kind !== 'text');
  const text = entries.find((entry) => entry.field.kind === 'text');
  return {
    attributes,
    children,
    text,
    completed: entries.filter(
      ({ field: { kind, implied, options } }) =>
        kind === 'many' || kind === 'leaves' || implied || options.default !== undefined || options.required,
    ),
    // Of two with one name the first is read; `refine` may move it.
    attributeNamed: new Map([...attributes].reverse().map((entry) => [entry.name, entry])),
    childNamed: new Map(children.map((entry) => [entry.name, entry])),
    unitAttribute: [...attributes, ...(text ? [text] : [])].some((entry) => entry.field.value?.unit !== undefined),
    alsoReads: new Set(element.options.alsoReads),
  };
}
