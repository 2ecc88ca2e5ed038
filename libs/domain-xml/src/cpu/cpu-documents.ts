/** CPUs in the documents that people have them in: alone, in a domain, in a host's or a domain's capabilities. */
import { VirtError } from '@virtbus/shared';
import { cpu as declaration, type Cpu } from '../elements/cpu';
import { parseElement } from '../schema/parse';
import { readXml, type XmlElement } from '../xml/reader';

/**
 * Every CPU of a text that may hold several documents one after another. Throws XML_DETAIL for what is no XML, XML_ERROR where
 * there is no CPU.
 */
export function cpusOfDocument(text: string): Cpu[] {
  const documents = text.replace(/<\?xml.*?\?>/gs, '');
  if (documents.trim() === '') throw new VirtError('XML_DETAIL', { detail: 'the document is empty' });
  const found = readXml(`<cpus>${documents}</cpus>`).children.flatMap(cpusIn);
  if (found.length > 0) return found;
  throw new VirtError('XML_ERROR', {
    detail:
      'the document has no <cpu>; a <cpu> element, a <domain>, <capabilities> or <domainCapabilities> is expected',
  });
}

function cpusIn(root: XmlElement): Cpu[] {
  const child = (element: XmlElement, name: string): XmlElement[] =>
    element.children.filter((one) => one.name === name);
  switch (root.name) {
    case 'cpu':
      return [isOfHost(root) ? readHostCpu(root) : readGuestCpu(root)];
    case 'domain':
      return child(root, 'cpu').map(readGuestCpu);
    case 'capabilities':
      return child(root, 'host').flatMap((host) => child(host, 'cpu').map(readHostCpu));
    case 'domainCapabilities':
      return child(root, 'cpu')
        .flatMap((one) => child(one, 'mode'))
        .filter(({ attributes }) => attributes['name'] === 'host-model' && attributes['supported'] === 'yes')
        .map(readHostCpu);
    default:
      return root.children.flatMap(cpusIn);
  }
}

/** A host's CPU names its architecture, and its features have no policy. */
const isOfHost = ({ children }: XmlElement): boolean => children.some(({ name }) => name === 'arch');

const readGuestCpu = (source: XmlElement): Cpu =>
  parseElement(declaration, source, { mode: 'inactive', unknown: 'warn' }).model;

function readHostCpu({ children, line }: XmlElement): Cpu {
  const text = (name: string): string | undefined =>
    children.find((one) => one.name === name)?.text.trim() || undefined;
  const name = text('model');
  if (name === undefined)
    throw new VirtError('XML_ERROR', { detail: 'a CPU without a <model> cannot be compared', element: 'cpu', line });
  const vendor = text('vendor');
  return {
    mode: 'custom',
    match: 'exact',
    model: { name, fallback: 'forbid' },
    ...(vendor !== undefined && { vendor }),
    features: children.flatMap(({ name: element, attributes }) =>
      element === 'feature' && attributes['name'] !== undefined
        ? [
            {
              name: attributes['name'],
              policy: attributes['policy'] === 'disable' ? ('disable' as const) : ('require' as const),
            },
          ]
        : [],
    ),
  };
}
