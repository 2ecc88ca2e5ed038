import { errorTable } from '../errors';
import {
  callSubject,
  contracts,
  endpointSubject,
  errorsOf,
  eventFilter,
  eventSubject,
  outcomeSubject,
  queueSubject,
  startDomain,
  listDomains,
} from '.';
import * as driver from './driver';

const unique = (names: string[]): void => expect([...new Set(names)].sort()).toEqual([...names].sort());

describe('the contracts', () => {
  test('are in order of their names, each name once', () => {
    const names = contracts.map(({ name }) => name);
    unique(names);
    expect(names).toEqual([...names].sort((a, b) => a.localeCompare(b)));
    expect(names).toContain('domain.start');
  });

  test('listen on subjects of their own', () => {
    unique(contracts.map(endpointSubject));
    unique(contracts.filter((c) => c.on === 'one').map((c) => callSubject(c, 'x')));
  });

  test.each(contracts.map((c) => [c.name, c] as const))('%s has an example that works and words', (_name, c) => {
    expect(c.request.safeParse(c.example)).toMatchObject({ success: true });
    expect(c.doc).toMatch(/^[A-Z].*[.…]$/s);
    expect(c.timeoutMs).toBeGreaterThan(0);
  });

  test.each(contracts.map((c) => [c.name, c] as const))(
    '%s names the errors of the table it can end in',
    (_name, c) => {
      const errors = errorsOf(c);
      unique(errors);
      for (const code of errors) expect(errorTable).toHaveProperty(code);
      expect(errors).toEqual(expect.arrayContaining(['INVALID_ARG', 'OPERATION_TIMEOUT', 'INTERNAL_ERROR']));
      expect(errors.includes('EPOCH_STALE')).toBe(c.servedBy === 'home-host');
    },
  );

  test('let a reader only ask, and queue no question', () => {
    for (const c of contracts) {
      expect(c.role === 'reader').toBe(c.kind === 'query');
      if (c.kind === 'query') expect(c.queue).toBe(false);
    }
  });

  test('of a driver have operations that no home-host operation has', () => {
    const own = Object.values(driver).map(({ operation }) => operation);
    const passedOn = contracts.filter((c) => c.servedBy === 'home-host').map(({ operation }) => operation);
    unique([...own, ...passedOn]);
  });
});

describe('a subject', () => {
  test('names kind, entity, target and operation', () => {
    expect(callSubject(startDomain, 'web1')).toBe('virtbus.v1.cmd.domain.web1.start');
    expect(queueSubject(startDomain, 'web1')).toBe('virtbus.v1.queue.domain.web1.start');
    expect(callSubject(listDomains)).toBe('virtbus.v1.query.domain.list');
    expect(endpointSubject(startDomain)).toBe('virtbus.v1.cmd.domain.*.start');
  });

  test.each(['a.b', '*', '>', 'a b', '\r\nPUB x 0'])('keeps a target like %j in one token', (name) => {
    const tokens = callSubject(startDomain, name).split('.');
    expect(tokens).toHaveLength(6);
    expect(tokens[4]).toMatch(/^[A-Za-z0-9_=-]+$/);
  });

  test('that needs a target is not made without one', () => {
    expect(() => callSubject(startDomain)).toThrow('domain.start needs a target');
    expect(() => callSubject(startDomain, '')).toThrow('domain.start needs a target');
  });

  test('of an event ends in its host and fits its filters', () => {
    const event = { uuid: 'u', class: 'lifecycle', type: 'started', host: 'h1' };
    expect(eventSubject(event)).toBe('virtbus.v1.event.domain.u.lifecycle.started.h1');
    expect(eventFilter()).toBe('virtbus.v1.event.domain.*.*.*.*');
    expect(eventFilter({ uuid: 'u', host: 'h1' })).toBe('virtbus.v1.event.domain.u.*.*.h1');
  });

  test("of an outcome holds the command's id in one token", () => {
    expect(outcomeSubject('a.b', 'failed')).toBe('virtbus.v1.event.command.a=2Eb.failed');
  });
});
