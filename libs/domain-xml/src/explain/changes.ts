/**
 * What a step did to a model that it works on in place: each attribute and element that came, changed or went, by its path in
 * the document.
 *
 * The same object before and after is the same element, wherever it now stands in its list.
 */
import type { Element, Field } from '../schema';
import { formatElement } from '../schema/format';
import type { Value } from '../schema/value';

export interface Change {
  /** In XPath's words: `/domain/devices/disk[target/@dev='vda']/driver/@type`. */
  readonly path: string;
  /** The attribute's value, or the whole of an element that is new; undefined for what went. */
  readonly value: string | undefined;
  /** What stood there before. */
  readonly was: string | undefined;
}

type Loose = Record<string, unknown>;

/** An element as it was, and the object that it was. */
interface Memory {
  readonly self: Loose;
  readonly values: Loose;
  readonly children: Readonly<Record<string, Memory | readonly Memory[]>>;
}

const elementOf = (field: Field): Element => (field.element as () => Element)();
const variantOf = (element: Element, model: Loose): Element =>
  element.variants?.of[model[element.variants.tag] as string] ?? element;
const nameOf = (field: Field, key: string): string => field.options.name ?? field.element?.().name ?? key;

/** Elements that are one thing to people, told whole. */
const whole = new Set(['address', 'alias']);

export class Watcher {
  #memory: Memory;

  constructor(
    private readonly root: Element,
    model: object,
  ) {
    this.#memory = remember(root, model as Loose);
  }

  /** What is different since the last look. */
  look(model: object): Change[] {
    const changes: Change[] = [];
    compare(this.root, model as Loose, this.#memory, `/${this.root.name}`, changes);
    this.#memory = remember(this.root, model as Loose);
    return changes;
  }
}

function remember(declared: Element, model: Loose): Memory {
  const values: Loose = {};
  const children: Record<string, Memory | Memory[]> = {};
  for (const [key, field] of Object.entries(variantOf(declared, model).fields)) {
    const value = model[key];
    if (value === undefined) continue;
    if (field.kind === 'one') children[key] = remember(elementOf(field), value as Loose);
    else if (field.kind === 'many') children[key] = (value as Loose[]).map((one) => remember(elementOf(field), one));
    else values[key] = Array.isArray(value) ? [...(value as unknown[])] : value;
  }
  return { self: model, values, children };
}

function compare(declared: Element, now: Loose, before: Memory, path: string, out: Change[]): void {
  const fields = { ...variantOf(declared, before.self).fields, ...variantOf(declared, now).fields };
  for (const [key, field] of Object.entries(fields)) {
    if (field.kind === 'many') compareLists(key, field, now, before, path, out);
    else if (field.kind === 'one') compareOne(key, field, now, before, path, out);
    else {
      const [was, value] = [before.values[key], now[key]].map((one) => textOf(field, one));
      const name = nameOf(field, key);
      const at = field.kind === 'attribute' ? `${path}/@${name}` : field.kind === 'text' ? path : `${path}/${name}`;
      if (value !== was) out.push({ path: at, value, was });
    }
  }
}

function compareOne(key: string, field: Field, now: Loose, before: Memory, path: string, out: Change[]): void {
  const element = elementOf(field);
  const at = `${path}/${nameOf(field, key)}`;
  const value = now[key] as Loose | undefined;
  const old = before.children[key] as Memory | undefined;
  if (!value && !old) return;
  if (value && old && !whole.has(element.name)) return compare(element, value, old, at, out);
  const [text, was] = [value && shown(element, value), old && shownAsWas(element, old)];
  if (text !== was) out.push({ path: at, value: text, was });
}

function compareLists(key: string, field: Field, now: Loose, before: Memory, path: string, out: Change[]): void {
  const element = elementOf(field);
  const items = (now[key] ?? []) as Loose[];
  const old = (before.children[key] ?? []) as readonly Memory[];
  const kept = new Map(old.map((memory) => [memory.self, memory]));
  // What was put in the place of another is that other, changed.
  const orphans = old.filter(({ self }) => !items.includes(self));
  items.forEach((item, index) => {
    const at = `${path}/${element.name}${predicate(element, item, index)}`;
    const memory = kept.get(item) ?? orphans.shift();
    if (memory) compare(element, item, memory, at, out);
    else out.push({ path: at, value: shown(element, item), was: undefined });
  });
  for (const orphan of orphans) {
    const at = `${path}/${element.name}${predicate(element, orphan.self, old.indexOf(orphan))}`;
    out.push({ path: at, value: undefined, was: shownAsWas(element, orphan) });
  }
}

/** What tells one of many from the others, also when more join them. */
function predicate({ name }: Element, item: Loose, index: number): string {
  const target = (item['target'] as Loose | undefined)?.['dev'];
  if (name === 'disk' && typeof target === 'string') return `[target/@dev='${target}']`;
  if (name === 'controller' && typeof item['index'] === 'number')
    return `[@type='${String(item['type'])}'][@index='${item['index']}']`;
  return `[${index + 1}]`;
}

function textOf(field: Field, value: unknown): string | undefined {
  if (value === undefined || value === false)
    return field.kind === 'flag' || value === undefined ? undefined : written(field, value);
  if (field.kind === 'flag') return 'yes';
  return Array.isArray(value) ? value.map((one) => written(field, one)).join(', ') : written(field, value);
}

function written({ value: kind }: Field, value: unknown): string {
  const { format, unit } = (kind ?? { format: String }) as Value<unknown>;
  return unit ? `${format(value)} ${unit.name}` : format(value);
}

const view = { view: 'live', secrets: false, migratable: false } as const;

function shown(element: Element, model: Loose): string {
  return formatElement(element, model, view).trim().replace(/>\s+</g, '><');
}

/** An element that has changed in place is told as it was. */
function shownAsWas(element: Element, memory: Memory): string {
  return shown(element, rebuilt(memory));
}

function rebuilt({ values, children }: Memory): Loose {
  const model: Loose = { ...values };
  for (const [key, child] of Object.entries(children))
    model[key] = Array.isArray(child) ? child.map(rebuilt) : rebuilt(child as Memory);
  return model;
}
