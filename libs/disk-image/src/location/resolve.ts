/** Where the string in a header points, seen from the image that holds it. */
import { VirtError, type Location } from '@virtbus/shared';
import { looksLikePath, parseLocation, type ParsedLocation } from './parse';

export interface ResolvedLocation extends ParsedLocation {
  /** The string as it was recorded, when it is a relative path. */
  readonly relPath?: string;
}

/**
 * A relative path is taken from the folder in which the overlay's own path lies, as it was written: no symbolic link is followed,
 * no `..` removed.
 * @throws VirtError as `parseLocation` does, and INTERNAL_ERROR when nothing can be relative to the overlay
 */
export function resolveLocation(text: string, overlay: Location): ResolvedLocation {
  if (!looksLikePath(text) || text.startsWith('/')) return parseLocation(text);
  switch (overlay.type) {
    case 'file':
    case 'block':
      return { location: { type: 'file', path: besides(overlay.path, text) }, dropped: [], relPath: text };
    case 'network': {
      const { type, protocol, hosts, name = '' } = overlay;
      return { location: { type, protocol, hosts, name: besides(name, text) }, dropped: [], relPath: text };
    }
    default:
      throw new VirtError('INTERNAL_ERROR', {
        detail: `the relative name '${text}' in an image of type ${overlay.type} leads nowhere`,
      });
  }
}

function besides(path: string, name: string): string {
  const slash = path.lastIndexOf('/');
  if (slash < 0) return `./${name}`;
  return `${path.slice(0, slash)}/${name}`;
}
