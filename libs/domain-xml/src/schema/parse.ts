/** Reads a document's tree into the model that its declaration describes. */
import type { XmlElement } from '../xml/reader';
import { formatVerbatim } from '../xml/verbatim';
import { compile, type Entry } from './compiled';
import { Faults, type FaultCode } from './faults';
import type { Condition, Element, Field, ReadContext } from './field';
import { rememberLine } from './lines';
import { unitScale, type Value } from './value';

export interface ParseOptions {
  /** `inactive` ignores what only a running guest has; `status` reads a manager's own notes on it, too. */
  readonly mode: 'inactive' | 'live' | 'status';
  /** What is done with elements and attributes that are not declared; `refuse` unless told otherwise. */
  readonly unknown?: 'refuse' | 'warn';
}

/** Something in a document that was not understood and has no effect. */
export interface Warning {
  readonly detail: string;
  readonly line: number;
}

/** As people read it. */
export const warningText = ({ line, detail }: Warning): string => `line ${line}: ${detail}, so it has no effect`;

type Loose = Record<string, unknown>;

/** A piece of a document as a text of its own: a piece of more than 12 characters would keep the whole document in memory. */
const ownText = (piece: string): string => (piece.length > 12 ? Buffer.from(piece).toString() : piece);

class Reader implements ReadContext {
  readonly live: boolean;
  readonly #refuse: boolean;
  readonly #status: boolean;

  constructor(
    { mode, unknown = 'refuse' }: ParseOptions,
    readonly faults = new Faults(),
    readonly warnings: Warning[] = [],
  ) {
    this.live = mode !== 'inactive';
    this.#status = mode === 'status';
    this.#refuse = unknown === 'refuse';
  }

  fault(code: FaultCode, detail: string, where: { element?: string; attribute?: string; line?: number } = {}): void {
    this.faults.add(code, detail, where);
  }

  unknown(detail: string, source: XmlElement, attribute?: string): void {
    if (this.#refuse) {
      this.fault('XML_INVALID_SCHEMA', detail, {
        element: source.name,
        line: source.line,
        ...(attribute !== undefined && { attribute }),
      });
    } else this.warnings.push({ detail, line: source.line });
  }

  read(declared: Element, source: XmlElement, parent: Loose): Loose {
    const model: Loose = {};
    rememberLine(model, source.line);
    const element = declared.variants ? this.#variant(declared, source, model) : declared;
    if (element === undefined) return model;
    const before = this.faults.count;
    this.#attributes(element, source, model, parent);
    this.#children(element, source, model, parent);
    this.#complete(element, source, model, parent);
    const refine = element.options.refine as ((m: Loose, s: XmlElement, c: ReadContext) => void) | undefined;
    // What was refused is missing from the model, so there is nothing more to conclude from it.
    if (this.faults.count === before) refine?.(model, source, this);
    return model;
  }

  #variant({ name, variants }: Element, source: XmlElement, model: Loose): Element | undefined {
    if (variants === undefined) return undefined;
    const word = source.attributes[variants.tag] ?? variants.fallback;
    if (word !== undefined && Object.hasOwn(variants.of, word)) {
      model[variants.tag] = word;
      return variants.of[word];
    }
    const where = { element: name, attribute: variants.tag, line: source.line };
    const known = Object.keys(variants.of).map((one) => `'${one}'`);
    if (word === undefined)
      this.fault('XML_ERROR', `Missing required attribute '${variants.tag}' in element '${name}'`, where);
    else this.fault('XML_ERROR', `${variants.unknown(word)}. Expected one of ${known.join(', ')}`, where);
    return undefined;
  }

  #attributes(element: Element, source: XmlElement, model: Loose, parent: Loose): void {
    const { attributeNamed, unitAttribute, text, alsoReads } = compile(element);
    let conditional = false;
    for (const name in source.attributes) {
      const entry = attributeNamed.get(name);
      if (entry === undefined || this.#isForeign(entry)) {
        if (name.startsWith('xmlns') || (name === 'unit' && unitAttribute) || alsoReads.has(name)) continue;
        this.unknown(`attribute '${name}' of <${source.name}> is not supported`, source, name);
      } else if (this.#wanted(entry)) {
        if (entry.field.options.when) conditional = true;
        this.#set(model, entry, source.attributes[name] ?? '', source, name);
        this.#forget(model, entry);
      }
    }
    if (conditional) this.#dropMisplaced(attributeNamed.values(), model, parent, source);
    if (text) this.#set(model, text, source.text, source, undefined);
    else if (source.text.trim() !== '' && !alsoReads.has('#text'))
      this.unknown(`text inside <${source.name}> is not supported`, source);
  }

  #dropMisplaced(entries: Iterable<Entry>, model: Loose, parent: Loose, source: XmlElement): void {
    for (const { key, name, field } of entries) {
      if (model[key] === undefined || holds(field.options.when, model, parent)) continue;
      delete model[key];
      this.unknown(`attribute '${name}' has no meaning in this <${source.name}>`, source, name);
    }
  }

  #children(element: Element, source: XmlElement, model: Loose, parent: Loose): void {
    const { childNamed, alsoReads } = compile(element);
    for (const child of source.children) {
      const entry = childNamed.get(child.name);
      if (entry === undefined || this.#isForeign(entry) || !holds(entry.field.options.when, model, parent)) {
        if (alsoReads.has(child.name)) continue;
        this.unknown(`element <${child.name}> inside <${source.name}> is not supported`, child);
      } else if (this.#wanted(entry)) this.#child(model, entry, child);
    }
  }

  /** Belongs into another kind of document. */
  #isForeign({ field }: Entry): boolean {
    return field.options.status === true && !this.#status;
  }

  #wanted({ field }: Entry): boolean {
    return this.live || (field.options.live !== true && field.options.live !== 'input');
  }

  /** Takes out again what turned out to be a running guest's. */
  #forget(model: Loose, { key, field }: Entry): void {
    const { live } = field.options;
    if (!this.live && typeof live === 'function' && model[key] !== undefined && live(model[key] as never))
      delete model[key];
  }

  #child(model: Loose, entry: Entry, child: XmlElement): void {
    const { key, field } = entry;
    if (field.kind === 'many') {
      const before = this.faults.count;
      const item = this.#sub(field, child, model);
      // What is in a list is whole, so that its items can be compared even when the document is refused.
      if (this.faults.count === before) ((model[key] ??= []) as unknown[]).push(item);
    } else if (field.kind === 'leaves') {
      const value = this.#value(field, child.text, child, undefined);
      if (value !== undefined) ((model[key] ??= []) as unknown[]).push(value);
    } else if (model[key] !== undefined) {
      this.unknown(`a second <${child.name}> is not supported`, child);
    } else if (field.kind === 'flag') model[key] = true;
    else if (field.kind === 'one') model[key] = this.#sub(field, child, model);
    else if (field.kind === 'verbatim') model[key] = ownText(formatVerbatim(child));
    else this.#set(model, entry, child.text, child, undefined);
    this.#forget(model, entry);
  }

  #sub(field: Field, child: XmlElement, parent: Loose): Loose {
    const of = (field.element as () => Element)();
    if (!field.options.definition) return this.read(of, child, parent);
    const unknown = this.#refuse ? 'refuse' : 'warn';
    return new Reader({ mode: 'inactive', unknown }, this.faults, this.warnings).read(of, child, parent);
  }

  #set(model: Loose, { key, field }: Entry, raw: string, source: XmlElement, attribute: string | undefined): void {
    const value = this.#value(field, raw, source, attribute);
    if (value !== undefined) model[key] = value;
  }

  #value(field: Field, raw: string, source: XmlElement, attribute: string | undefined): unknown {
    const codec = field.value as Value<unknown>;
    const mayBeEmpty = !field.options.required || attribute !== undefined;
    if (raw === '' && attribute === undefined && mayBeEmpty && codec.json['type'] !== 'integer')
      return codec.parse(raw);
    const value = codec.parse(raw);
    if (value === undefined) {
      if (raw === '' && mayBeEmpty && codec.json['type'] === 'string') return undefined;
      this.#refuseValue(field, codec, raw, source, attribute);
      return undefined;
    }
    if (codec.unit !== undefined) return this.#scaled(value as number, codec, source);
    return typeof value === 'string' && codec.json['enum'] === undefined ? ownText(value) : value;
  }

  #refuseValue(field: Field, codec: Value<unknown>, raw: string, source: XmlElement, attribute?: string): void {
    const where = { element: source.name, line: source.line, ...(attribute !== undefined && { attribute }) };
    const { refuse } = field.options;
    const allowed = codec.expects === '' ? '' : `. Expected ${codec.expects}`;
    if (refuse) {
      const said = refuse[1](raw);
      this.fault(refuse[0], said.includes('Expected') ? said : said + allowed, where);
    } else if (attribute !== undefined)
      this.fault(
        'XML_ERROR',
        `Invalid value for attribute '${attribute}' in element '${source.name}': '${raw}'${allowed}`,
        where,
      );
    else this.fault('XML_ERROR', `Invalid value for element '${source.name}': '${raw}'${allowed}`, where);
  }

  #scaled(value: number, codec: Value<unknown>, source: XmlElement): number | undefined {
    const base = codec.unit?.scale ?? 1;
    const given = source.attributes['unit'];
    const scale = given === undefined || given === '' ? base : unitScale(given);
    if (scale === undefined) {
      this.fault('INVALID_ARG', `unknown suffix '${given}'`, { element: source.name, line: source.line });
      return undefined;
    }
    const size = scale === base ? value : Math.ceil((value * scale) / base);
    if (Number.isSafeInteger(size)) return size;
    this.fault('OVERFLOW', `value too large: ${value}${given ?? ''}`, { element: source.name, line: source.line });
    return undefined;
  }

  /** Defaults, empty lists, and what the document must have said. */
  #complete(element: Element, source: XmlElement, model: Loose, parent: Loose): void {
    for (const { key, field } of compile(element).completed) {
      const { options } = field;
      const value = model[key];
      // A list that grew has room for more; models are kept by the thousand.
      if (Array.isArray(value)) model[key] = value.slice();
      else if (value !== undefined) continue;
      else if (field.kind === 'many' || field.kind === 'leaves') model[key] = [];
      else if (field.implied) model[key] = emptyModel((field.element as () => Element)());
      else if (options.default !== undefined && holds(options.when, model, parent)) model[key] = options.default;
      else if (options.required && holds(options.when, model, parent)) this.#missing(key, field, source);
    }
  }

  #missing(key: string, field: Field, source: XmlElement): void {
    const name = field.options.name ?? field.element?.().name ?? key;
    // A value that was there and refused has been reported already.
    if (
      field.kind === 'attribute' ? (source.attributes[name] ?? '') !== '' : source.children.some((c) => c.name === name)
    )
      return;
    const what = field.kind === 'attribute' ? 'attribute' : 'element';
    const said = typeof field.options.required === 'string' ? field.options.required : undefined;
    const detail =
      said ??
      (what === 'attribute'
        ? `Missing required attribute '${name}' in element '${source.name}'`
        : `Missing required element '${name}' in element '${source.name}'`);
    this.fault('XML_ERROR', detail, { element: source.name, line: source.line });
  }
}

/** Whether a field has a meaning beside these siblings. */
export function holds(when: Condition | undefined, self: Loose, parent: Loose): boolean {
  if (when === undefined) return true;
  return when.in.includes((when.of === 'self' ? self : parent)[when.field]);
}

/** What a document with nothing inside this element means. */
export function emptyModel(element: Element): Loose {
  const model: Loose = {};
  if (element.variants?.fallback !== undefined) model[element.variants.tag] = element.variants.fallback;
  for (const { key, field } of compile(element).completed) {
    if (field.kind === 'many' || field.kind === 'leaves') model[key] = [];
    else if (field.implied) model[key] = emptyModel((field.element as () => Element)());
    else if (field.options.default !== undefined) model[key] = field.options.default;
  }
  return model;
}

/**
 * The model of `source`, which must be a `<name>` of this declaration.
 * Throws a VirtError that tells all faults found; `warnings` are told only with `unknown: 'warn'`.
 * @param compare looks for more of them among the items of a refused document's lists, which are whole; the rest may be missing
 */
export function parseElement<M>(
  element: Element<M>,
  source: XmlElement,
  options: ParseOptions,
  compare?: (model: M) => void,
): { model: M; warnings: Warning[] } {
  const reader = new Reader(options);
  if (source.name !== element.name) {
    reader.fault('XML_ERROR', `unexpected root element <${source.name}>, expecting <${element.name}>`, {
      element: source.name,
      line: source.line,
    });
    reader.faults.throwIfAny();
  }
  const model = reader.read(element, source, {});
  if (reader.faults.count > 0 && compare) reader.faults.attempt(() => compare(model as M));
  reader.faults.throwIfAny();
  return { model: model as M, warnings: reader.warnings };
}
