/** Which of two words about the same domain, pool or chain is the later one. */

export interface Version {
  /** Rises with each change of host, and where numbering begins again. */
  epoch: number;
  /** Rises with each change within an epoch. */
  revision: number;
}

export function isNewer(a: Version, b: Version): boolean {
  return a.epoch === b.epoch ? a.revision > b.revision : a.epoch > b.epoch;
}
