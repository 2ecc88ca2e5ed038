/** From documents to models and back: the whole domain, or one device of it. */
import { domain, type Domain } from './elements/domain';
import { parseElement, type ParseOptions, type Warning } from './schema/parse';
import { formatElement } from './schema/format';
import { readXml } from './xml/reader';

export interface FormatOptions {
  readonly view: 'inactive' | 'live';
  /** Passwords and the like are written; not unless asked. */
  readonly secrets?: boolean;
  readonly migratable?: boolean;
}

/**
 * Reads a `<domain>` document. Throws VirtError: XML_DETAIL for what is not XML, otherwise one error that names all faults with
 * their lines. `warnings` lists what was not understood, with `unknown: 'warn'`.
 */
export function parseDomain(xml: string, options: ParseOptions): { domain: Domain; warnings: Warning[] } {
  const { model, warnings } = parseElement(domain, readXml(xml), options);
  return { domain: model, warnings };
}

/** Writes the document as libvirt does, byte for byte. */
export function formatDomain(model: Domain, options: FormatOptions): string {
  return formatElement(domain, model, { secrets: false, migratable: false, ...options });
}
