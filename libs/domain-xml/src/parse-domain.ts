/** From documents to models and back: the whole domain, or one device of it. */
import { domain, type Domain } from './elements/domain';
import { withoutGeneratedSockets } from './generated-sockets';
import { checkConflicts } from './passes/check/check';
import { arrange } from './passes/defaults/every-guest';
import { parseElement, type ParseOptions, type Warning } from './schema/parse';
import { formatElement } from './schema/format';
import { fromJson, jsonSchemaOf, toJson } from './schema/json';
import type { JsonSchema } from './schema';
import { readXml } from './xml/reader';

export interface FormatOptions {
  readonly view: 'inactive' | 'live';
  /** Passwords and the like are written; not unless asked. */
  readonly secrets?: boolean;
  /** Without what only its host can know. */
  readonly migratable?: boolean;
}

/**
 * Reads a `<domain>` document. Throws VirtError: XML_DETAIL for what is not XML, otherwise one error that names all faults with
 * their lines. `warnings` lists what was not understood, with `unknown: 'warn'`.
 */
export function parseDomain(xml: string, options: ParseOptions): { domain: Domain; warnings: Warning[] } {
  const { model, warnings } = parseElement(domain, readXml(xml), options, (partial) => {
    arrange(partial);
    checkConflicts(partial);
  });
  return { domain: model, warnings };
}

/** Writes the document as libvirt does, byte for byte. */
export function formatDomain(model: Domain, options: FormatOptions): string {
  const shown = options.migratable ? withoutGeneratedSockets(model) : model;
  return formatElement(domain, shown, { secrets: false, migratable: false, ...options });
}

/** The domain as JSON: the model, without what the view hides and without empty lists. */
export function domainToJson(model: Domain, options: FormatOptions): Record<string, unknown> {
  return toJson(domain, model, { secrets: false, migratable: false, ...options });
}

/** The model of a JSON form; throws INVALID_ARG that names every wrong member. */
export function domainFromJson(json: unknown): Domain {
  return fromJson(domain, json) as Domain;
}

/** JSON Schema (2020-12) of the JSON form. */
export function domainJsonSchema(): JsonSchema {
  return jsonSchemaOf(domain, 'urn:virtbus:domain');
}
