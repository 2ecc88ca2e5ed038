/**
 * Reads an XML document that nobody vouches for into a small tree that remembers lines.
 *
 * What makes XML dangerous is refused before it costs anything: a DOCTYPE (so no entities, no external files),
 * size, depth, the number of elements and of attributes. Inside `<metadata>` comments, CDATA and mixed text are kept
 * as `nodes`, because that element belongs to the user; everywhere else they mean nothing and are dropped.
 */
import { VirtError } from '@virtbus/shared';
import { SaxesParser } from 'saxes';

export interface XmlElement {
  /** Name as written, with a known namespace's prefix made canonical (`qemu:commandline`). */
  readonly name: string;
  readonly attributes: Record<string, string>;
  readonly children: XmlElement[];
  /** All character data directly inside, unless the element is part of `<metadata>`. */
  text: string;
  /** Counts from 1. */
  readonly line: number;
  /** Only inside `<metadata>`: elements, text, comments and CDATA in their order. */
  readonly nodes?: XmlNode[];
}

export type XmlNode =
  | { readonly kind: 'element'; readonly element: XmlElement }
  | { readonly kind: 'text' | 'comment' | 'cdata'; readonly text: string };

/** What a document may at most be; generous for any guest, small for an attacker. */
export interface XmlLimits {
  /** In UTF-16 code units. */
  readonly size: number;
  readonly depth: number;
  readonly elements: number;
  /** Of one element. */
  readonly attributes: number;
}

export const documentLimits: XmlLimits = { size: 4 << 20, depth: 128, elements: 100_000, attributes: 64 };

/** Namespaces whose elements we know, by the prefix that libvirt writes for them. */
const knownNamespaces: ReadonlyMap<string, string> = new Map([
  ['http://libvirt.org/schemas/domain/qemu/1.0', 'qemu'],
  ['http://libvirt.org/schemas/domain/lxc/1.0', 'lxc'],
  ['http://libvirt.org/schemas/domain/xen/1.0', 'xen'],
  ['http://libvirt.org/schemas/domain/bhyve/1.0', 'bhyve'],
  ['http://libvirt.org/schemas/storagepool/fs/1.0', 'fs'],
  ['http://libvirt.org/schemas/storagepool/rbd/1.0', 'rbd'],
]);

/** The user's own part of a domain, also of one inside another document. */
const isKeptAsWritten = (name: string, parent: XmlElement | undefined, depth: number): boolean =>
  name === 'metadata' && (depth <= 1 || parent?.name === 'domain' || parent?.name === 'inactiveDomain');

const refuse = (detail: string, line?: number): VirtError<'XML_DETAIL'> =>
  new VirtError('XML_DETAIL', { detail, line });

/** The root element of `source`. Throws XML_DETAIL for anything that is not one well-formed, bounded document. */
export function readXml(source: string, limits: XmlLimits = documentLimits): XmlElement {
  refuseNonXml(source, limits);
  const parser = new SaxesParser();
  const open: XmlElement[] = [];
  let root: XmlElement | undefined;
  let elements = 0;
  let verbatim = 0;
  let line = 1;
  const prefixes = new Map<string, string>();

  const fail = (detail: string): never => {
    throw refuse(detail, parser.line);
  };
  // No more than seven handlers: from the eighth on V8 keeps the parser as a dictionary, and reading takes five times as long.
  parser.on('doctype', () => fail('a DOCTYPE is not allowed: documents may declare no entities and no DTD'));
  parser.on('opentagstart', () => {
    // The name ends at a line's end: then the parser has gone on to the next one.
    line = parser.columnIndex === 0 ? parser.line - 1 : parser.line;
  });
  parser.on('opentag', (tag) => {
    if (++elements > limits.elements) fail(`more than ${limits.elements} elements`);
    if (open.length >= limits.depth) fail(`elements are nested deeper than ${limits.depth} levels`);
    let attributes = 0;
    for (const name in tag.attributes) {
      if (++attributes > limits.attributes) fail(`an element has more than ${limits.attributes} attributes`);
      if (name.startsWith('xmlns:')) learnPrefix(name.slice(6), tag.attributes[name] ?? '', prefixes);
    }
    const parent = open[open.length - 1];
    if (verbatim > 0 || isKeptAsWritten(tag.name, parent, open.length)) verbatim += 1;
    const element: XmlElement = {
      name: verbatim > 0 ? tag.name : canonicalName(tag, prefixes, parent),
      attributes: tag.attributes,
      children: [],
      text: '',
      line,
      ...(verbatim > 0 ? { nodes: [] } : {}),
    };
    if (parent === undefined) root = element;
    else if (parent.nodes) parent.nodes.push({ kind: 'element', element });
    else parent.children.push(element);
    open.push(element);
  });
  parser.on('text', (text) => {
    const element = open[open.length - 1];
    if (element?.nodes) element.nodes.push({ kind: 'text', text });
    else if (element) element.text += text;
  });
  parser.on('cdata', (text) => {
    const element = open[open.length - 1];
    if (element?.nodes) element.nodes.push({ kind: 'cdata', text });
    else if (element) element.text += text;
  });
  parser.on('comment', (text) => open[open.length - 1]?.nodes?.push({ kind: 'comment', text }));
  parser.on('closetag', () => {
    open.pop();
    if (verbatim > 0) verbatim -= 1;
  });
  try {
    parser.write(source).close();
  } catch (error) {
    if (error instanceof VirtError || !(error instanceof Error)) throw error;
    fail(error.message.replace(/^\d+:\d+: /, '').replace(/\.$/, ''));
  }
  if (root === undefined) throw refuse('the document has no root element');
  return root;
}

function refuseNonXml(source: string, limits: XmlLimits): void {
  if (source.length > limits.size)
    throw refuse(`the document has ${source.length} characters, more than the ${limits.size} allowed`);
  const nul = source.indexOf('\0');
  if (nul >= 0) throw refuse('a NUL character is not allowed', source.slice(0, nul).split('\n').length);
  const start = /\S/.exec(source)?.[0];
  if (start === undefined) throw refuse('the document is empty');
  if (start === '{' || start === '[') throw refuse('XML is expected here, but this looks like JSON', 1);
  if (start !== '<' && start !== '\uFEFF') throw refuse("XML is expected here: a document starts with '<'", 1);
}

function learnPrefix(prefix: string, namespace: string, prefixes: Map<string, string>): void {
  prefixes.set(prefix, knownNamespaces.get(namespace) ?? `${prefix}:`);
}

/** An element of a known namespace has its canonical prefix, however the document says so. */
function canonicalName(
  { name, attributes }: { name: string; attributes: Record<string, string> },
  prefixes: Map<string, string>,
  parent: XmlElement | undefined,
): string {
  const colon = name.indexOf(':');
  if (colon >= 0) {
    const canonical = prefixes.get(name.slice(0, colon));
    // A prefix that is not declared says nothing, so it must not look like one of ours.
    return `${canonical ?? `${name.slice(0, colon)}:`}:${name.slice(colon + 1)}`;
  }
  const own = attributes['xmlns'];
  const canonical = own === undefined ? undefined : knownNamespaces.get(own);
  if (canonical !== undefined) return `${canonical}:${name}`;
  // A default namespace holds for everything inside.
  const inherited = parent === undefined ? -1 : parent.name.indexOf(':');
  return inherited > 0 ? `${parent?.name.slice(0, inherited)}:${name}` : name;
}
