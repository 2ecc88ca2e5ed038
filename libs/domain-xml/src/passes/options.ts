/** What the passes need to know that stands neither in the document nor in the capabilities. */
import type { Domain } from '../elements/domain';
import type { FirmwareDescriptor } from './firmware';

/** What `prepareDomain` does one after another. */
export type Step =
  /** Nothing yet: the copy that all others change. */
  | 'begin'
  | 'order'
  | 'common'
  | 'memory'
  | 'console'
  | 'ports'
  | 'numbers'
  | 'machine'
  | 'video'
  | 'devices'
  | 'drives'
  | 'controllers'
  | 'boot'
  | 'firmware'
  | 'addresses'
  /** What only containers have. */
  | 'container';

export interface PrepareOptions {
  /** Gives a UUID to a domain that has none. */
  readonly newUuid?: () => string;
  /** Gives a MAC address to an interface that has none. */
  readonly newMac?: () => string;
  /** The domain is being defined for the first time: defaults may follow the newest rules. */
  readonly newDefinition?: boolean;
  /** Firmware that is installed, in the order of preference; without it a document can not leave the choice open. */
  readonly firmware?: readonly FirmwareDescriptor[];
  /** Where the variables of a guest's firmware are kept when the document does not say. */
  readonly nvramDirectory?: string;
  /** Told after each step, with the model as it is then. */
  readonly watch?: (step: Step, domain: Domain) => void;
}
