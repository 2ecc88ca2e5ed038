/** What all displays share: where they listen, and the host's GPU that draws for them. */
import type { Graphics } from '../elements/graphics';
import type { Guest } from './context';
import { escapeWord } from './props';

/** Where displays listen unless the document says more. */
export const loopback = '127.0.0.1';

/** `rendernode=…`, where one is known. */
export function renderNode({ context }: Guest, { gl }: Graphics): string[] {
  const node = gl?.rendernode ?? context.renderNode;
  return node === undefined ? [] : [`rendernode=${escapeWord(node)}`];
}
