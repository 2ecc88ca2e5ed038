/** The user's own elements inside `<metadata>`: one for each namespace, read and replaced whole. */
import { VirtError } from '@virtbus/shared';
import type { Domain } from './elements/domain';
import { readXml, type XmlElement } from './xml/reader';
import { formatVerbatim } from './xml/verbatim';

/** The element whose own namespace is `uri`, as XML; `undefined` when there is none. */
export function metadataElement(domain: Domain, uri: string): string | undefined {
  const found = elementsOf(domain).find((element) => namespaceOf(element) === uri);
  return found && formatVerbatim(found, 0);
}

/**
 * A copy of the domain with the element of this namespace replaced, or removed when `value` is null.
 * @param key prefix for the element's name, as libvirt asks for it
 */
export function withMetadataElement(
  domain: Domain,
  change: { uri: string; key?: string | undefined; value: string | null },
): Domain {
  const kept = elementsOf(domain).filter((element) => namespaceOf(element) !== change.uri);
  if (change.value !== null) kept.push(qualified(change.value, change.uri, change.key));
  if (kept.length === 0) return { ...domain, metadata: undefined };
  const nodes = kept.map((element) => ({ kind: 'element', element }) as const);
  const root: XmlElement = { name: 'metadata', attributes: {}, children: [], text: '', line: 1, nodes };
  return { ...domain, metadata: formatVerbatim(root) };
}

/** `<metadata>` with the first element of each namespace; one without a namespace belongs to nobody. */
export function withoutRepetition(metadata: string): string {
  const root = readXml(metadata);
  const seen = new Set<string>();
  const nodes = root.nodes ?? [];
  const kept = nodes.filter((node) => {
    if (node.kind !== 'element') return true;
    const uri = namespaceOf(node.element);
    if (uri === undefined || seen.has(uri)) return false;
    return seen.add(uri);
  });
  return kept.length === nodes.length ? metadata : formatVerbatim({ ...root, nodes: kept });
}

function elementsOf(domain: Domain): XmlElement[] {
  const nodes = domain.metadata === undefined ? [] : (readXml(domain.metadata).nodes ?? []);
  return nodes.flatMap((node) => (node.kind === 'element' ? [node.element] : []));
}

function namespaceOf({ name, attributes }: XmlElement): string | undefined {
  const colon = name.indexOf(':');
  return attributes[colon < 0 ? 'xmlns' : `xmlns:${name.slice(0, colon)}`];
}

function qualified(value: string, uri: string, key: string | undefined): XmlElement {
  if (!key)
    throw new VirtError('INVALID_ARG', { detail: 'an element of <metadata> needs a key, the prefix of its name' });
  const [node, ...others] = (readXml(`<metadata>${value}</metadata>`).nodes ?? []).filter(
    ({ kind }) => kind === 'element',
  );
  if (node?.kind !== 'element' || others.length > 0) {
    throw new VirtError('INVALID_ARG', { detail: 'the value must be one XML element' });
  }
  const { element } = node;
  const plain = element.name.slice(element.name.indexOf(':') + 1);
  return { ...element, name: `${key}:${plain}`, attributes: { [`xmlns:${key}`]: uri, ...element.attributes } };
}
