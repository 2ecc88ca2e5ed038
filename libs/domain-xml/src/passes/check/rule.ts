/** What the checks are made of. */
import type { QemuCapabilities } from '../../capabilities';
import type { Domain } from '../../elements/domain';
import type { Faults } from '../../schema';

export interface Judged {
  readonly domain: Domain;
  /** Absent when the document is judged by itself. */
  readonly caps: QemuCapabilities | undefined;
  readonly faults: Faults;
}

/** Looks at one thing and adds a fault where it is wrong. */
export type Rule = (judged: Judged) => void;
