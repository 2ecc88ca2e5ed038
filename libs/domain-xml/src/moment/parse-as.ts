/** In which of its three forms a description of a snapshot or a checkpoint is read. */
import type { ParseOptions } from '../schema/parse';

/**
 * - `request`: what shall be made; what only the maker can know (time, parent, state, domain) is ignored
 * - `redefinition`: the whole description of one that was made before
 * - `stored`: a redefinition with the maker's own notes
 */
export type DescriptionForm = 'request' | 'redefinition' | 'stored';

export interface DescriptionParseOptions extends Partial<Pick<ParseOptions, 'unknown'>> {
  readonly form: DescriptionForm;
  /** Seconds since 1970: the creation time of a request, and its name when it has none. */
  readonly now?: number;
}

export const modeOf: Readonly<Record<DescriptionForm, ParseOptions['mode']>> = {
  request: 'inactive',
  redefinition: 'live',
  stored: 'status',
};
