/**
 * Strings that images record for the place of another image, understood: paths, `fat:`, `json:`, URIs, QEMU's colon forms.
 *
 * Source of the grammar: libvirt's and QEMU's documented forms (facts: images §4).
 */
import type { Location } from '@virtbus/shared';
import { parseColonForm } from './colon-form';
import { withDefaultPorts } from './default-ports';
import { parseJsonForm } from './json-form';
import { parseUri } from './uri';

/** A place, and the parts of its string that a location cannot hold. */
export interface ParsedLocation {
  readonly location: Location;
  /** What was left out: inline credentials. The image can't be used without them. */
  readonly dropped: readonly string[];
}

/** Whether a string names a local file: no colon, or a slash before the first one. */
export function looksLikePath(text: string): boolean {
  const colon = text.indexOf(':');
  const slash = text.indexOf('/');
  return colon < 0 || (slash >= 0 && slash < colon);
}

/**
 * The place that a string names by itself; a relative path stays relative.
 * @throws VirtError INTERNAL_ERROR, INVALID_ARG or CONFIG_UNSUPPORTED, as libvirt does
 */
export function parseLocation(text: string): ParsedLocation {
  if (looksLikePath(text)) return { location: { type: 'file', path: text }, dropped: [] };
  if (text.startsWith('fat:')) return { location: { type: 'dir', path: text.slice('fat:'.length) }, dropped: [] };
  const { location, dropped } = parseRemote(text);
  if (location.type !== 'network') return { location, dropped };
  return { location: { ...location, hosts: withDefaultPorts(location.protocol, location.hosts) }, dropped };
}

function parseRemote(text: string): ParsedLocation {
  if (text.startsWith('json:')) return parseJsonForm(text.slice('json:'.length));
  if (text.includes('://')) return parseUri(text);
  return { location: parseColonForm(text), dropped: [] };
}
