/** Damage to XML text that mostly leaves it well-formed, so that it gets past the XML reader and into the rules. */
import type { Random } from './random';

/** A damaged text; `other` is another document. */
type Damage = (text: string, other: string, random: Random) => string;

/** Values at which readers go wrong: limits of numbers, names that objects have by themselves, no text, much text. */
const hostile = [
  ...[
    '',
    ' ',
    '0',
    '-1',
    '1',
    '00',
    '1.5',
    '1e30',
    '0x10',
    '+1',
    'NaN',
    'Infinity',
    'yes',
    'no',
    'on',
    'off',
    'none',
    'auto',
  ],
  ...[
    '2147483647',
    '2147483648',
    '4294967295',
    '4294967296',
    '9007199254740993',
    '18446744073709551615',
    '99999999999999999999',
  ],
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length', 'prototype', 'valueOf'],
  ...[
    '0-4095',
    '0-4294967295',
    '^0',
    '1,,2',
    'ff:ff:ff:ff:ff:ff',
    '::1',
    '%s%n',
    '${a}',
    '../..',
    '/',
    ',',
    ',,',
    '{}',
    '&amp;',
    '\u{1f4a9}',
  ],
  'a'.repeat(10_000),
];

const openTag = /<([A-Za-z_][\w:.-]*)((?:\s+[\w:.-]+\s*=\s*(?:'[^'<]*'|"[^"<]*"))*)\s*(\/?)>/g;
const attribute = /\s+[\w:.-]+\s*=\s*(?:'[^'<]*'|"[^"<]*")/g;
const value = /=\s*(?:'[^'<]*'|"[^"<]*")/g;
const number = /\d+/g;
const leaf = />[^<>]+</g;

interface Span {
  readonly from: number;
  readonly to: number;
}

/** One match of `pattern`, found from a random place on and from the start again. */
function spot(text: string, pattern: RegExp, random: Random): (Span & { readonly match: RegExpExecArray }) | undefined {
  pattern.lastIndex = random.below(text.length + 1);
  let match = pattern.exec(text);
  if (!match) {
    pattern.lastIndex = 0;
    match = pattern.exec(text);
  }
  return match ? { from: match.index, to: match.index + match[0].length, match } : undefined;
}

const replaced = (text: string, { from, to }: Span, by: string): string => text.slice(0, from) + by + text.slice(to);

/** A whole element, from its opening to its closing tag. */
function subtree(text: string, random: Random): Span | undefined {
  const found = spot(text, openTag, random);
  if (!found) return undefined;
  const [, name = '', , closed] = found.match;
  if (closed === '/') return found;
  const tags = new RegExp(`<(/?)${name.replaceAll('.', '\\.')}(?=[\\s/>])[^>]*?(/?)>`, 'g');
  tags.lastIndex = found.to;
  let depth = 1;
  for (let match = tags.exec(text); match; match = tags.exec(text)) {
    if (match[1] === '/') depth -= 1;
    else if (match[2] !== '/') depth += 1;
    if (depth === 0) return { from: found.from, to: match.index + match[0].length };
  }
  return undefined;
}

const cut = (text: string, span: Span | undefined): string => (span ? text.slice(span.from, span.to) : '');

/** Puts `piece` where an element may stand: before one, or as the first or a later one inside it. */
function insert(text: string, piece: string, random: Random): string {
  const at = spot(text, openTag, random);
  if (!at) return text + piece;
  const inside = at.match[3] !== '/' && random.chance(0.5);
  return replaced(text, inside ? { from: at.to, to: at.to } : { from: at.from, to: at.from }, piece);
}

const withValue = (text: string, by: string, random: Random): string => {
  const at = spot(text, random.chance(0.8) ? value : leaf, random);
  if (!at) return text;
  return replaced(text, at, at.match[0].startsWith('=') ? `='${by.replaceAll("'", '&apos;')}'` : `>${by}<`);
};

const removeAttribute: Damage = (text, _other, random) => {
  const at = spot(text, attribute, random);
  return at ? replaced(text, at, '') : text;
};

/** The same attribute twice is no XML, so mostly it goes where there is none of its name. */
const copyAttribute: Damage = (text, other, random) => {
  const source = random.chance(0.5) ? text : other;
  const copied = spot(source, attribute, random)?.match[0];
  const at = spot(text, openTag, random);
  if (copied === undefined || !at) return text;
  const name = copied.slice(0, copied.indexOf('='));
  if (at.match[2]?.includes(name) && random.chance(0.9)) return text;
  const end = at.to - (at.match[3] === '/' ? 2 : 1);
  return replaced(text, { from: end, to: end }, copied);
};

const changeNumber: Damage = (text, _other, random) => {
  const at = spot(text, number, random);
  if (!at) return text;
  const now = Number(at.match[0]);
  const near = [now + 1, now - 1, now * 2, -now, now + 0.5, now * 1024].map(String);
  return replaced(text, at, random.chance(0.6) ? random.pick(near) : random.pick(hostile));
};

const changeValue: Damage = (text, _other, random) => withValue(text, random.pick(hostile), random);

const borrowValue: Damage = (text, other, random) => {
  const borrowed = spot(random.chance(0.5) ? text : other, value, random)?.match[0];
  return borrowed === undefined ? text : withValue(text, borrowed.replace(/^=\s*./, '').slice(0, -1), random);
};

const repeatElement: Damage = (text, _other, random) => {
  const at = subtree(text, random);
  if (!at) return text;
  return replaced(
    text,
    { from: at.to, to: at.to },
    cut(text, at).repeat(1 + random.below(random.chance(0.1) ? 40 : 2)),
  );
};

const removeElement: Damage = (text, _other, random) => {
  const at = subtree(text, random);
  return at && at.from > 0 ? replaced(text, at, '') : text;
};

const moveElement: Damage = (text, other, random) => {
  const source = random.chance(0.5) ? text : other;
  const piece = cut(source, subtree(source, random));
  return piece.length < 16_384 ? insert(text, piece, random) : text;
};

/** Two elements change places. */
const swapElements: Damage = (text, _other, random) => {
  const [a, b] = [subtree(text, random), subtree(text, random)].sort((x, y) => (x?.from ?? 0) - (y?.from ?? 0));
  if (!a || !b || a.to > b.from) return text;
  return text.slice(0, a.from) + cut(text, b) + text.slice(a.to, b.from) + cut(text, a) + text.slice(b.to);
};

const renameElement: Damage = (text, other, random) => {
  const [from, to] = [text, random.chance(0.5) ? text : other].map((one) => spot(one, openTag, random)?.match[1]);
  if (from === undefined || to === undefined) return text;
  return text.replaceAll(new RegExp(`(</?)${from.replaceAll('.', '\\.')}(?=[\\s/>])`, 'g'), `$1${to}`);
};

const swapTokens: Damage = (text, _other, random) => {
  const at = spot(text, random.pick([openTag, attribute, value]), random);
  const by =
    at && spot(text, at.match[0].startsWith('<') ? openTag : at.match[0].startsWith('=') ? value : attribute, random);
  return at && by ? replaced(text, at, by.match[0]) : text;
};

const flipCharacters: Damage = (text, _other, random) => {
  const at = random.below(text.length + 1);
  const by = random.chance(0.5) ? random.pick([...`<>/'"&;=: \0\n-!?[]`]) : String.fromCharCode(random.below(0x250));
  return replaced(text, { from: at, to: at + random.below(2) }, by);
};

const truncate: Damage = (text, _other, random) => text.slice(0, random.below(text.length + 1));

const crossOver: Damage = (text, other, random) => {
  const at = spot(text, openTag, random)?.from ?? 0;
  const name = spot(text.slice(at), openTag, random)?.match[1];
  const on = name === undefined ? -1 : other.indexOf(`<${name}`);
  return text.slice(0, at) + other.slice(on < 0 ? random.below(other.length + 1) : on);
};

/** The more a kind finds, the more often it stands here. */
const damages: readonly Damage[] = [
  ...[changeNumber, changeNumber, changeValue, changeValue, borrowValue, borrowValue, borrowValue],
  ...[removeAttribute, removeAttribute, copyAttribute, copyAttribute, repeatElement, repeatElement],
  ...[removeElement, removeElement, moveElement, moveElement, moveElement, swapElements, swapTokens],
  ...[renameElement, flipCharacters, truncate, crossOver],
];

/** One to five damages, mostly few. */
export function damageXml(text: string, other: string, random: Random): string {
  let damaged = text;
  for (let left = 1 + random.below(1 + random.below(5)); left > 0; left--)
    damaged = random.pick(damages)(damaged, other, random);
  return damaged.slice(0, 200_000);
}
