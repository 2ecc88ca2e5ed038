import {
  DomainState,
  domainStates,
  isActive,
  lifecycleEvents,
  resumedDetail,
  StateName,
  suspendedDetail,
} from './domain-state';

/** Wire values of libvirt 11.3: each list in the order of its enum. */
const reasons = {
  nostate: ['unknown'],
  running: [
    'unknown',
    'booted',
    'migrated',
    'restored',
    'from-snapshot',
    'unpaused',
    'migration-canceled',
    'save-canceled',
    'wakeup',
    'crashed',
    'post-copy',
    'post-copy-failed',
  ],
  blocked: ['unknown'],
  paused: [
    'unknown',
    'user',
    'migration',
    'save',
    'dump',
    'ioerror',
    'watchdog',
    'from-snapshot',
    'shutting-down',
    'snapshot',
    'crashed',
    'starting-up',
    'post-copy',
    'post-copy-failed',
    'api-error',
  ],
  shutdown: ['unknown', 'user'],
  shutoff: ['unknown', 'shutdown', 'destroyed', 'crashed', 'migrated', 'saved', 'failed', 'from-snapshot', 'daemon'],
  crashed: ['unknown', 'panicked'],
  pmsuspended: ['unknown'],
};
const details = {
  defined: ['added', 'updated', 'renamed', 'from-snapshot'],
  undefined: ['removed', 'renamed'],
  started: ['booted', 'migrated', 'restored', 'from-snapshot', 'wakeup'],
  suspended: [
    'paused',
    'migrated',
    'ioerror',
    'watchdog',
    'restored',
    'from-snapshot',
    'api-error',
    'post-copy',
    'post-copy-failed',
  ],
  resumed: ['unpaused', 'migrated', 'from-snapshot', 'post-copy', 'post-copy-failed'],
  stopped: ['shutdown', 'destroyed', 'crashed', 'migrated', 'saved', 'failed', 'from-snapshot'],
  shutdown: ['finished', 'guest', 'host'],
  pmsuspended: ['memory', 'disk'],
  crashed: ['panicked', 'crashloaded'],
};

const numbered = (names: readonly string[]): Record<string, number> =>
  Object.fromEntries(names.map((name, number) => [name, number]));

test("states and their reasons have libvirt's numbers", () => {
  const expected = Object.entries(reasons).map(([state, names], number) => [
    state,
    { number, reasons: numbered(names) },
  ]);
  expect(domainStates).toEqual(Object.fromEntries(expected));
});

test("lifecycle events and their details have libvirt's numbers", () => {
  const expected = Object.entries(details).map(([type, names], number) => [type, { number, details: numbered(names) }]);
  expect(lifecycleEvents).toEqual(Object.fromEntries(expected));
});

test('a domain is active when it has an id: in every state but shutoff and nostate', () => {
  expect(StateName.options.filter(isActive)).toEqual([
    'running',
    'blocked',
    'paused',
    'shutdown',
    'crashed',
    'pmsuspended',
  ]);
});

test('a state is only valid with a reason of its own', () => {
  expect(DomainState.safeParse({ state: 'paused', reason: 'user' }).success).toBe(true);
  expect(DomainState.safeParse({ state: 'running', reason: 'user' }).success).toBe(false);
  expect(DomainState.safeParse({ state: 'asleep', reason: 'user' }).success).toBe(false);
});

test('a reason is no other thing that every object has', () => {
  expect(DomainState.safeParse({ state: 'running', reason: 'toString' }).success).toBe(false);
});

test('the reason of a state is told as the detail libvirt tells', () => {
  const resumed = Object.keys(domainStates.running.reasons).map((reason) => resumedDetail(reason as never));
  expect(resumed).toEqual([
    'unpaused',
    'unpaused',
    'migrated',
    'from-snapshot',
    'from-snapshot',
    'unpaused',
    'migrated',
    'unpaused',
    'unpaused',
    'unpaused',
    'post-copy',
    'post-copy-failed',
  ]);
  expect(suspendedDetail('migration')).toBe('migrated');
  expect(suspendedDetail('user')).toBe('paused');
  expect(suspendedDetail('save')).toBe('paused');
  expect(suspendedDetail('ioerror')).toBe('ioerror');
  expect(suspendedDetail('api-error')).toBe('api-error');
});
