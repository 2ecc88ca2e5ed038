/** Mode, owner, group and security label of a pool's folder or a volume's file. */
import { element, leaf, string } from '../schema';
import { fileMode, nobody, ownerId } from './values';

const malformed = (what: string) =>
  ({ refuse: ['XML_ERROR', (raw: string) => `malformed ${what} element '${raw}'`] }) as const;

export const permissions = element('permissions', {
  mode: leaf(fileMode, { refuse: ['XML_ERROR', (raw) => `malformed octal mode '${raw}'`] }),
  owner: leaf(ownerId, { omit: nobody, ...malformed('owner') }),
  group: leaf(ownerId, { omit: nobody, ...malformed('group') }),
  label: leaf(string),
});
