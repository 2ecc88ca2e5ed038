/** One line of the report: our figure beside a peer's, and the goal for the two. */
import { type Figure } from './figure';

export interface Row {
  /** The benchmark. */
  name: string;
  metric: string;
  unit: string;
  ours: Figure;
  peerName: string;
  /** Absent when the peer is not on this machine. */
  peer?: Figure | undefined;
  goal?: Goal | undefined;
}

export interface Goal {
  text: string;
  /** Undefined where it depends on a peer that is not there. */
  met(ours: number, peer: number | undefined): boolean | undefined;
}

/** Ours takes at most so many times what the peer takes. */
export const atMostTimes = (factor: number): Goal => ({
  text: `≤ ${factor} ×`,
  met: (ours, peer) => (peer === undefined ? undefined : ours <= factor * peer),
});

/** Ours takes at most so much more than the peer takes, in the unit of the row. */
export const atMostPlus = (more: number, unit: string): Goal => ({
  text: `≤ peer + ${more} ${unit}`,
  met: (ours, peer) => (peer === undefined ? undefined : ours <= peer + more),
});

/** Ours is at most so much, in the unit of the row, whatever the peer's. */
export const atMost = (limit: number, unit: string): Goal => ({
  text: `≤ ${limit} ${unit}`,
  met: (ours) => ours <= limit,
});

/** Ours is at least so much, in the unit of the row, whatever the peer's. */
export const atLeast = (limit: number, unit: string): Goal => ({
  text: `≥ ${limit} ${unit}`,
  met: (ours) => ours >= limit,
});

/** Ours by the peer's; undefined without a peer. */
export function ratioOf({ ours, peer }: Row): number | undefined {
  return peer && ours.value / peer.value;
}
