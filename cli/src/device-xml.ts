/**
 * The little XML that a command line needs: device elements built from options, and devices found in a document.
 * Everything else about documents belongs to @virtbus/domain-xml.
 */
import type { XmlElement } from '@virtbus/domain-xml';
import { domainXml } from './lazy';
import { UsageError } from './spec';

/** An element to write; attributes that are undefined are left out. */
export interface Element {
  name: string;
  attributes?: Readonly<Record<string, string | undefined>>;
  children?: readonly (Element | undefined)[];
  text?: string;
}

export const element = (
  name: string,
  attributes: Element['attributes'] = {},
  ...children: readonly (Element | undefined)[]
): Element => ({ name, attributes, children });

/** One element, with all that a user may have typed escaped. */
export function formatElement(of: Element, indent = ''): string {
  const attributes = Object.entries(of.attributes ?? {})
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}='${escape(value!)}'`)
    .join('');
  const head = `${indent}<${of.name}${attributes}`;
  const children = (of.children ?? []).filter((child) => child !== undefined);
  const text = children.length === 0 ? (of.text ?? '').trim() : '';
  if (text) return `${head}>${escape(text)}</${of.name}>\n`;
  if (children.length === 0) return `${head}/>\n`;
  return `${head}>\n${children.map((child) => formatElement(child, `${indent}  `)).join('')}${indent}</${of.name}>\n`;
}

function escape(text: string): string {
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(text)) {
    throw new UsageError(`${JSON.stringify(text)} has a character that XML cannot hold`);
  }
  return text
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/'/g, '&apos;')
    .replace(/[\t\n\r]/g, (char) => `&#${char.charCodeAt(0)};`);
}

export interface Device {
  element: XmlElement;
  /** `file`, `block`, `network`, `user`, … */
  type: string;
}

export interface DiskDevice extends Device {
  /** `disk`, `cdrom`, … */
  device: string;
  target: string;
  /** File, block device, or `protocol:name`; undefined for an empty drive. */
  source: string | undefined;
}

export interface InterfaceDevice extends Device {
  mac: string;
  /** The name on the host, of a running domain. */
  target: string | undefined;
  source: string | undefined;
  model: string | undefined;
}

const child = (of: XmlElement | undefined, name: string): XmlElement | undefined =>
  of?.children.find((each) => each.name === name);

const devices = (xml: string, name: string): XmlElement[] =>
  child(domainXml().readXml(xml), 'devices')?.children.filter((each) => each.name === name) ?? [];

export function disks(xml: string): DiskDevice[] {
  return devices(xml, 'disk').map((each) => {
    const { type = 'file', device = 'disk' } = each.attributes;
    return {
      element: each,
      type,
      device,
      target: child(each, 'target')?.attributes.dev ?? '',
      source: diskSource(child(each, 'source')),
    };
  });
}

function diskSource(source: XmlElement | undefined): string | undefined {
  if (!source) return undefined;
  const { file, dev, dir, protocol, name, pool, volume } = source.attributes;
  if (protocol) return name ? `${protocol}:${name}` : protocol;
  return file ?? dev ?? dir ?? (pool && volume ? `${pool}/${volume}` : undefined);
}

export function interfaces(xml: string): InterfaceDevice[] {
  return devices(xml, 'interface').map((each) => {
    const source = child(each, 'source')?.attributes ?? {};
    return {
      element: each,
      type: each.attributes.type ?? '',
      mac: child(each, 'mac')?.attributes.address ?? '',
      target: child(each, 'target')?.attributes.dev,
      source: source.bridge ?? source.network ?? source.dev ?? source.path,
      model: child(each, 'model')?.attributes.type,
    };
  });
}

/** What `<vcpu current='2'>4</vcpu>` says. */
export function vcpuCounts(xml: string): { current: number; maximum: number } {
  const vcpu = child(domainXml().readXml(xml), 'vcpu');
  const maximum = Number(vcpu?.text.trim() || 1);
  return { maximum, current: Number(vcpu?.attributes.current ?? maximum) };
}
