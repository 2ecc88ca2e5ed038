/**
 * Writes a model as libvirt writes it: two spaces a level, single quotes, the declaration's order, and nothing where there
 * is nothing to say.
 */
import { readXml } from '../xml/reader';
import { formatVerbatim } from '../xml/verbatim';
import { compile, type Entry } from './compiled';
import type { Element, View } from './field';
import { holds } from './parse';
import type { Value } from './value';

type Loose = Record<string, unknown>;

const special = /[&<>'"]/;
const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&apos;',
  '"': '&quot;',
};

export function escapeXml(text: string): string {
  return special.test(text) ? text.replace(/[&<>'"]/g, (character) => escapes[character] ?? character) : text;
}

const indentations = Array.from({ length: 64 }, (_, level) => '  '.repeat(level));
const indentation = (level: number): string => indentations[level] ?? '  '.repeat(level);

/** The element with a final newline, indented by `level`. */
export function formatElement<M>(element: Element<M>, model: M, view: View, level = 0): string {
  return write(element, model as Loose, {}, view, level, true);
}

function write(
  declared: Element,
  source: Loose,
  parent: Loose,
  view: View,
  level: number,
  keepEmpty: boolean,
  name: string = declared.name,
): string {
  const element = declared.variants?.of[source[declared.variants.tag] as string] ?? declared;
  const { shape } = element.options;
  const model = shape ? ((shape as (m: Loose, v: View) => object)(source, view) as Loose) : source;
  const { attributes, children, text } = compile(element);
  const indent = indentation(level);
  let head = '';
  for (const entry of attributes) {
    if (isWritten(entry, model, parent, view)) head += writeAttribute(entry, model[entry.key]);
  }
  let body = '';
  for (const entry of children) {
    if (isWritten(entry, model, parent, view)) body += writeChild(entry, model, view, level + 1);
  }
  if (text !== undefined && isWritten(text, model, parent, view)) {
    const { unit, format } = text.field.value as Value<unknown>;
    const content = escapeXml(format(model[text.key]));
    if (unit) head += ` unit='${unit.name}'`;
    if (body === '')
      return content === '' ? `${indent}<${name}${head}/>\n` : `${indent}<${name}${head}>${content}</${name}>\n`;
  }
  if (body !== '' || element.options.keepEmpty === 'open')
    return `${indent}<${name}${head}>\n${body}${indent}</${name}>\n`;
  return head !== '' || keepEmpty ? `${indent}<${name}${head}/>\n` : '';
}

function isWritten({ key, field, always }: Entry, model: Loose, parent: Loose, view: View): boolean {
  const value = model[key];
  if (value === undefined || always) return value !== undefined;
  const { live, status, secret, omit, when } = field.options;
  if (status && view.view !== 'status') return false;
  if (live && view.view === 'inactive' && (live === true || (live !== 'input' && live(value as never)))) return false;
  if (secret && !view.secrets) return false;
  if (omit !== undefined && value === omit) return false;
  return when === undefined || holds(when, model, parent);
}

function writeAttribute({ name, field }: Entry, value: unknown): string {
  const { format, unit } = field.value as Value<unknown>;
  const [size, unitName] = unit?.write?.(value as number) ?? [value, unit?.name];
  const own = ` ${name}='${escapeXml(format(size))}'`;
  return unitName === undefined ? own : `${own} unit='${unitName}'`;
}

function writeChild({ key, name, field }: Entry, model: Loose, view: View, level: number): string {
  const value = model[key];
  switch (field.kind) {
    case 'flag':
      return value === true ? `${indentation(level)}<${name}/>\n` : '';
    case 'verbatim':
      return `${indentation(level)}${verbatimAt(value as string, level)}\n`;
    case 'leaf':
      return writeLeaf(name, field.value as Value<unknown>, value, level);
    case 'leaves':
      return (value as unknown[]).map((item) => writeLeaf(name, field.value as Value<unknown>, item, level)).join('');
    case 'many': {
      const of = (field.element as () => Element)();
      let out = '';
      for (const item of value as Loose[]) out += write(of, item, model, view, level, true, name);
      return out;
    }
    default: {
      const of = (field.element as () => Element)();
      return write(
        of,
        value as Loose,
        model,
        field.options.definition ? { ...view, view: 'inactive' } : view,
        level,
        of.options.keepEmpty !== undefined || Boolean(field.options.required),
        name,
      );
    }
  }
}

/** What is kept as the user wrote it is kept as it stands in a document of its own. */
const verbatimAt = (xml: string, level: number): string => (level === 1 ? xml : formatVerbatim(readXml(xml), level));

function writeLeaf(name: string, { format, unit }: Value<unknown>, value: unknown, level: number): string {
  const [size, unitName] = unit?.write?.(value as number) ?? [value, unit?.name];
  const attribute = unitName === undefined ? '' : ` unit='${unitName}'`;
  const content = escapeXml(format(size));
  const indent = indentation(level);
  return content === '' ? `${indent}<${name}${attribute}/>\n` : `${indent}<${name}${attribute}>${content}</${name}>\n`;
}
