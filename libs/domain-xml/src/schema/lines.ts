/** Where in its document each part of a model was read: for messages, seen by nobody else, and gone when the part is copied. */

/** Gives back the object it is made of, so that a subclass puts its private field on that. */
class Given {
  constructor(model: object) {
    return model;
  }
}

/** A private field costs a third of an entry in a WeakMap, and a document has hundreds of parts. */
class Line extends Given {
  #line = 0;

  static set(model: object, line: number): void {
    if (#line in model) model.#line = line;
    else new Line(model).#line = line;
  }

  static of(model: object): number | undefined {
    return #line in model ? model.#line : undefined;
  }
}

/** Remembers where in its document a part of a model was read. */
export function rememberLine(model: object, line: number | undefined): void {
  if (line !== undefined) Line.set(model, line);
}

/** The line where this part of a model was read, if it came from a document. */
export const lineOf = (model: object | undefined): number | undefined => (model ? Line.of(model) : undefined);

/** A deep copy of a model that still knows its lines. */
export function copyModel<T>(value: T): T {
  if (Array.isArray(value)) return value.map((item: unknown) => copyModel(item)) as T;
  if (typeof value !== 'object' || value === null) return value;
  const copy: Record<string, unknown> = {};
  for (const key in value) copy[key] = copyModel(value[key]);
  rememberLine(copy, lineOf(value));
  return copy as T;
}
