/**
 * Writes the user's own XML, the inside of `<metadata>`, as libxml2 does when libvirt asks it to: double quotes, two
 * spaces a level between elements, and any element that holds text untouched.
 */
import type { XmlElement, XmlNode } from './reader';

/** `element` as it stands on its line; following lines are indented from `level`. */
export function formatVerbatim(element: XmlElement, level = 1): string {
  const nodes = withoutBlanks(element.nodes ?? []);
  const head = `<${element.name}${formatAttributes(element.attributes)}`;
  if (nodes.length === 0) return `${head}/>`;
  const tail = `</${element.name}>`;
  if (nodes.some((node) => node.kind === 'text' || node.kind === 'cdata'))
    return `${head}>${nodes.map((node) => formatNode(node, undefined)).join('')}${tail}`;
  const indent = '  '.repeat(level + 1);
  const inside = nodes.map((node) => `${indent}${formatNode(node, level + 1)}\n`).join('');
  return `${head}>\n${inside}${'  '.repeat(level)}${tail}`;
}

/** With `level` undefined everything below stands on one line, because white space there belongs to the text. */
function formatNode(node: XmlNode, level: number | undefined): string {
  switch (node.kind) {
    case 'text':
      return escapeText(node.text);
    case 'comment':
      return `<!--${node.text}-->`;
    case 'cdata':
      return `<![CDATA[${node.text}]]>`;
    case 'element':
      return level === undefined ? formatInline(node.element) : formatVerbatim(node.element, level);
  }
}

function formatInline(element: XmlElement): string {
  const inside = (element.nodes ?? []).map((node) => formatNode(node, undefined)).join('');
  const head = `<${element.name}${formatAttributes(element.attributes)}`;
  return inside === '' ? `${head}/>` : `${head}>${inside}</${element.name}>`;
}

/** White space between elements is layout; alone in an element or beside text it is content. */
function withoutBlanks(nodes: XmlNode[]): XmlNode[] {
  const hasText = nodes.some((node) => node.kind === 'cdata' || (node.kind === 'text' && node.text.trim() !== ''));
  if (hasText || nodes.every((node) => node.kind === 'text')) return nodes;
  return nodes.filter((node) => node.kind !== 'text');
}

function formatAttributes(attributes: Record<string, string>): string {
  const names = Object.keys(attributes);
  const namespaces = names.filter((name) => name.startsWith('xmlns'));
  const others = names.filter((name) => !name.startsWith('xmlns'));
  return [...namespaces, ...others].map((name) => ` ${name}="${escapeAttribute(attributes[name] ?? '')}"`).join('');
}

const escapeText = (text: string): string =>
  text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/\r/g, '&#13;');

const escapeAttribute = (text: string): string =>
  text
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/\n/g, '&#10;')
    .replace(/\t/g, '&#9;')
    .replace(/\r/g, '&#13;');
