export * from './capabilities';
export * from './driver';
export type * from './migration/facet';
export * from './process';
export { overlaysOf, withDisks, withOverlays } from './snapshots/overlays';
export type { LiveTaking, SnapshotsFacet, Taking } from './snapshots/facet';
export { driverMain } from './main';
export { driverSettings } from './settings';
export { tuningOf } from './tuning';
