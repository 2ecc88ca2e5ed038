/** Words of QEMU on a job, in any order. */
import fc from 'fast-check';
import { endOf, stepOf } from './states';

test.each([
  ['new', 'ready', 'ready'],
  ['running', 'ready', 'ready'],
  ['new', 'concluded', 'concluded'],
  ['ready', 'concluded', 'concluded'],
  ['pivoting', 'concluded', 'concluded'],
] as const)('a job that is %s and told %s goes on', (state, word, step) => {
  expect(stepOf({ state }, word)).toBe(step);
});

test('a job that is ready, or told to end, is not set back by the blips of a node that is drained', () => {
  for (const state of ['ready', 'pivoting', 'aborting', 'concluded'] as const) {
    for (const word of ['standby', 'ready', 'running', 'paused', 'waiting'])
      expect(stepOf({ state }, word)).toBeUndefined();
  }
});

test('pending is for those who finalize a job themselves', () => {
  expect(stepOf({ state: 'running' }, 'pending')).toBeUndefined();
  expect(stepOf({ state: 'running', finalizedByUs: true }, 'pending')).toBe('pending');
});

test('whatever QEMU says, a job concludes once and nothing follows', () => {
  const words = fc.constantFrom(
    'created',
    'running',
    'paused',
    'ready',
    'standby',
    'waiting',
    'pending',
    'concluded',
    'null',
  );
  fc.assert(
    fc.property(fc.array(words), (said) => {
      let state: Parameters<typeof stepOf>[0]['state'] = 'new';
      const steps = said.flatMap((word) => {
        const step = stepOf({ state }, word);
        if (step) state = step;
        return step ?? [];
      });
      expect(steps.filter((step) => step === 'ready').length).toBeLessThanOrEqual(1);
      if (steps.includes('concluded')) expect(steps.indexOf('concluded')).toBe(steps.length - 1);
    }),
  );
});

test.each([
  ['copy', 'pivoting', undefined, { kind: 'completed' }],
  ['copy', 'aborting', undefined, { kind: 'canceled' }],
  ['active-commit', 'aborting', 'Operation canceled', { kind: 'canceled' }],
  ['copy', 'pivoting', 'No space left on device', { kind: 'failed', error: 'No space left on device' }],
  ['pull', 'running', undefined, { kind: 'completed' }],
  ['commit', 'aborting', undefined, { kind: 'completed' }],
] as const)('a %s that was %s ends with error %s as what was asked for says', (type, state, error, end) => {
  expect(endOf({ type, state }, error)).toEqual(end);
});

test('a mirror that ended well though nobody asked for it is looked at', () => {
  expect(endOf({ type: 'copy', state: 'ready' }, undefined)).toBeUndefined();
});
