/** How an output is held against what is expected: byte by byte, or as trees of elements. */
import { readXml, type XmlElement } from '@virtbus/domain-xml';

/** Undefined when equal, otherwise the first line that differs. */
export function differenceInText(expected: string, actual: string): string | undefined {
  if (expected === actual) return undefined;
  const want = expected.split('\n');
  const got = actual.split('\n');
  const line = want.findIndex((text, index) => text !== got[index]);
  return `line ${line + 1}: expected ${quote(want[line])}, got ${quote(got[line])}`;
}

/** As trees: names, text, sets of attributes, order of children. */
export function differenceInTrees(expected: string, actual: string): string | undefined {
  if (expected === actual) return undefined;
  return differenceOf(readXml(expected), readXml(actual), '');
}

function differenceOf(want: XmlElement, got: XmlElement, path: string): string | undefined {
  const here = `${path}/${want.name}`;
  if (want.name !== got.name) return `${path}: expected <${want.name}>, got <${got.name}>`;
  if (flat(want) !== flat(got)) return `${here}: expected ${flat(want)}, got ${flat(got)}`;
  const wanted = childrenOf(want);
  const gotten = childrenOf(got);
  for (let i = 0; i < Math.max(wanted.length, gotten.length); i++) {
    const [a, b] = [wanted[i], gotten[i]];
    if (a === undefined) return `${here}: unexpected ${b ? flat(b) : ''}`;
    if (b === undefined) return `${here}: missing ${flat(a)}`;
    const difference = differenceOf(a, b, here);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

const childrenOf = ({ children, nodes }: XmlElement): XmlElement[] =>
  nodes ? nodes.flatMap((node) => (node.kind === 'element' ? [node.element] : [])) : children;

function flat({ name, attributes, text, nodes }: XmlElement): string {
  const sorted = Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1));
  const content = nodes ? nodes.map((node) => (node.kind === 'element' ? '' : node.text)).join('') : text;
  return `<${[name, ...sorted.map(([key, value]) => `${key}='${value}'`)].join(' ')}>${content.trim()}`;
}

const quote = (line: string | undefined): string => (line === undefined ? 'the end' : `«${line.trim()}»`);

/** Whether our message says what the expected one says; ours may add a line and what is allowed. */
export function saysTheSame(expected: string, actual: string): boolean {
  const plain = (text: string): string =>
    text
      .replace(/line \d+: /g, '')
      .replace(/\s+/g, ' ')
      .trim();
  const want = plain(expected);
  const got = plain(actual);
  return got.includes(want) || got.includes(want.replace(/^[^:]*: /, ''));
}
