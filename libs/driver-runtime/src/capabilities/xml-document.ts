/** Writes the small XML documents of this folder, laid out as libvirt does: two spaces a level, single quotes. */

/** `[name, attributes, content]`; an attribute that is undefined is left out. */
export type XmlNode = readonly [
  name: string,
  attributes: Readonly<Record<string, string | number | undefined>>,
  content?: string | number | readonly XmlNode[],
];

export function formatXml(node: XmlNode, indent = ''): string {
  const [name, attributes, content] = node;
  const opening = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .reduce((text, [key, value]) => `${text} ${key}='${escape(String(value))}'`, `${indent}<${name}`);
  if (content === undefined || (typeof content === 'object' && content.length === 0)) return `${opening}/>\n`;
  if (typeof content === 'string' || typeof content === 'number')
    return `${opening}>${escape(String(content))}</${name}>\n`;
  return `${opening}>\n${content.map((child) => formatXml(child, `${indent}  `)).join('')}${indent}</${name}>\n`;
}

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', "'": '&apos;' };

function escape(text: string): string {
  return text.replace(/[&<>']/g, (character) => escapes[character]!);
}
