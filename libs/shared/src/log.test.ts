import { createLog, silent, type LogOptions } from './log';
import { VirtError } from './errors';

function logged(write: (log: ReturnType<typeof createLog>) => void, options: Partial<LogOptions> = {}): string[] {
  const lines: string[] = [];
  write(createLog({ service: 'driver', ...options, to: { write: (line) => void lines.push(line) } }));
  return lines;
}

test('a line is one JSON object: facts as fields, the message constant', () => {
  const [line] = logged((log) => log.info({ from: 'shutoff', to: 'running' }, 'domain started'), { host: 'h1' });
  const { time, pid, ...rest } = JSON.parse(line!) as Record<string, unknown>;
  expect(rest).toEqual({
    level: 'info',
    service: 'driver',
    host: 'h1',
    from: 'shutoff',
    to: 'running',
    msg: 'domain started',
  });
  expect(pid).toBe(process.pid);
  expect(new Date(time as string).toISOString()).toBe(time);
});

test.each(['password', 'passwd', 'nkey', 'token', 'secret', 'xml'])('a %s is hidden, however deep it lies', (key) => {
  const lines = logged((log) => {
    log.info({ [key]: 'hunter2' }, 'top');
    log.info({ user: { [key]: 'hunter2', name: 'ann' } }, 'below');
    log.child({ context: { user: { [key]: 'hunter2' } } }).warn('in a binding');
  });
  expect(lines).toHaveLength(3);
  for (const line of lines) {
    expect(line).not.toContain('hunter2');
    expect(line).toContain('[hidden]');
  }
  expect(lines[1]).toContain('ann');
});

test('an error is logged with its cause and stack', () => {
  const error = new VirtError('SYSTEM_ERROR', { detail: 'disk full' }, { cause: new Error('ENOSPC') });
  const [line] = logged((log) => log.error({ err: error }, 'start failed'));
  const { err } = JSON.parse(line!) as { err: { message: string; stack: string } };
  expect(err.message).toContain('disk full');
  expect(err.stack).toContain('ENOSPC');
});

test('what cannot be serialised is logged all the same', () => {
  const loop: Record<string, unknown> = { name: 'loop' };
  loop.self = loop;
  expect(logged((log) => log.info({ loop }, 'odd'))[0]).toContain('"msg":"odd"');
});

test('below its level nothing is written', () => {
  expect(logged((log) => log.debug('x'))).toEqual([]);
  expect(logged((log) => log.debug('x'), { level: 'debug' })).toHaveLength(1);
  expect(silent.isLevelEnabled('fatal')).toBe(false);
});
