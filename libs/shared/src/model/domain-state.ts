/**
 * libvirt's domain states, reasons and lifecycle events with their numbers. The words are libvirt's; the numbers are
 * its stable wire values, which a libvirt client gets from us unchanged.
 *
 * Source: virDomainState and friends, libvirt 11.3 API reference.
 */
import { z } from 'zod';

/** Every state, and under each its reasons. The position of `number` is the wire value. */
export const domainStates = {
  nostate: { number: 0, reasons: { unknown: 0 } },
  running: {
    number: 1,
    reasons: {
      unknown: 0,
      booted: 1,
      migrated: 2,
      restored: 3,
      'from-snapshot': 4,
      unpaused: 5,
      'migration-canceled': 6,
      'save-canceled': 7,
      wakeup: 8,
      crashed: 9,
      'post-copy': 10,
      'post-copy-failed': 11,
    },
  },
  blocked: { number: 2, reasons: { unknown: 0 } },
  paused: {
    number: 3,
    reasons: {
      unknown: 0,
      user: 1,
      migration: 2,
      save: 3,
      dump: 4,
      ioerror: 5,
      watchdog: 6,
      'from-snapshot': 7,
      'shutting-down': 8,
      snapshot: 9,
      crashed: 10,
      'starting-up': 11,
      'post-copy': 12,
      'post-copy-failed': 13,
      'api-error': 14,
    },
  },
  shutdown: { number: 4, reasons: { unknown: 0, user: 1 } },
  shutoff: {
    number: 5,
    reasons: {
      unknown: 0,
      shutdown: 1,
      destroyed: 2,
      crashed: 3,
      migrated: 4,
      saved: 5,
      failed: 6,
      'from-snapshot': 7,
      daemon: 8,
    },
  },
  crashed: { number: 6, reasons: { unknown: 0, panicked: 1 } },
  pmsuspended: { number: 7, reasons: { unknown: 0 } },
} as const;

export type StateName = keyof typeof domainStates;
export type ReasonOf<S extends StateName> = keyof (typeof domainStates)[S]['reasons'] & string;
export type ReasonName = { [S in StateName]: ReasonOf<S> }[StateName];

const names = <T extends object>(table: T): [keyof T & string, ...(keyof T & string)[]] =>
  Object.keys(table) as [keyof T & string, ...(keyof T & string)[]];

export const StateName = z.enum(names(domainStates)).describe("libvirt's domain state");

/** A state with the reason it was entered for; only pairs of the table are valid. */
export const DomainState = z
  .object({ state: StateName, reason: z.string().describe('why the state was entered') })
  .refine(({ state, reason }) => Object.hasOwn(domainStates[state].reasons, reason), 'no such reason for this state');
export type DomainState = { [S in StateName]: { state: S; reason: ReasonOf<S> } }[StateName];

/** A domain with an id: everything but shutoff, and nostate before its first start. */
export function isActive(state: StateName): boolean {
  return state !== 'shutoff' && state !== 'nostate';
}

/** Lifecycle events with their details. */
export const lifecycleEvents = {
  defined: { number: 0, details: { added: 0, updated: 1, renamed: 2, 'from-snapshot': 3 } },
  undefined: { number: 1, details: { removed: 0, renamed: 1 } },
  started: { number: 2, details: { booted: 0, migrated: 1, restored: 2, 'from-snapshot': 3, wakeup: 4 } },
  suspended: {
    number: 3,
    details: {
      paused: 0,
      migrated: 1,
      ioerror: 2,
      watchdog: 3,
      restored: 4,
      'from-snapshot': 5,
      'api-error': 6,
      'post-copy': 7,
      'post-copy-failed': 8,
    },
  },
  resumed: {
    number: 4,
    details: { unpaused: 0, migrated: 1, 'from-snapshot': 2, 'post-copy': 3, 'post-copy-failed': 4 },
  },
  stopped: {
    number: 5,
    details: { shutdown: 0, destroyed: 1, crashed: 2, migrated: 3, saved: 4, failed: 5, 'from-snapshot': 6 },
  },
  shutdown: { number: 6, details: { finished: 0, guest: 1, host: 2 } },
  pmsuspended: { number: 7, details: { memory: 0, disk: 1 } },
  crashed: { number: 8, details: { panicked: 0, crashloaded: 1 } },
} as const;

export type LifecycleType = keyof typeof lifecycleEvents;
export type LifecycleDetail<T extends LifecycleType = LifecycleType> = {
  [K in T]: keyof (typeof lifecycleEvents)[K]['details'] & string;
}[T];

/** The detail of a RESUMED event for the reason the domain runs. */
export function resumedDetail(reason: ReasonOf<'running'>): LifecycleDetail<'resumed'> {
  if (reason === 'restored' || reason === 'from-snapshot') return 'from-snapshot';
  if (reason === 'migrated' || reason === 'migration-canceled') return 'migrated';
  return reason === 'post-copy' || reason === 'post-copy-failed' ? reason : 'unpaused';
}

/** The detail of a SUSPENDED event for the reason the domain is paused. */
export function suspendedDetail(reason: ReasonOf<'paused'>): LifecycleDetail<'suspended'> {
  switch (reason) {
    case 'migration':
      return 'migrated';
    case 'from-snapshot':
    case 'post-copy':
    case 'post-copy-failed':
    case 'api-error':
    case 'ioerror':
    case 'watchdog':
      return reason;
    default:
      return 'paused';
  }
}
