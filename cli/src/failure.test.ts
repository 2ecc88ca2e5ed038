import { VirtError, type ErrorCode } from '@virtbus/shared';
import { exitCodes, failureOf, formatFailure } from './failure';
import { UsageError } from './spec';

const codeOf = (error: unknown): number => exitCodes[failureOf(error).exit].code;

test.each<[ErrorCode, number]>([
  ['DOMAIN_BUSY', 1],
  ['OPERATION_INVALID', 1],
  ['ACCESS_DENIED', 1],
  ['INTERNAL_ERROR', 1],
  ['HOST_OFFLINE', 3],
  ['SERVICE_OFFLINE', 3],
  ['RPC', 3],
  ['AUTH_FAILED', 3],
  ['OPERATION_TIMEOUT', 4],
  ['AGENT_COMMAND_TIMEOUT', 4],
])('an answer of %s ends in exit code %d', (code, exit) => {
  expect(codeOf(new VirtError(code, { detail: 'x' }))).toBe(exit);
});

test('a wrong command line ends in exit code 2', () => {
  expect(codeOf(new UsageError('missing argument <domain>'))).toBe(2);
});

test('what nobody threw by design says how to see more, and is one line', () => {
  const line = formatFailure(failureOf(new TypeError('x is not\n a function')), false);
  expect(line).toBe('error: internal error: x is not a function (VIRTBUS_DEBUG=1 shows where)');
});

test('a failure as JSON carries the stable code, libvirt number and details', () => {
  const error = new VirtError('DOMAIN_NOT_FOUND', { domain: 'web1' });
  expect(JSON.parse(formatFailure(failureOf(error), true))).toEqual({
    error: {
      code: 'DOMAIN_NOT_FOUND',
      message: error.message,
      number: 42,
      retry: 'never',
      details: { domain: 'web1' },
      exitCode: 1,
    },
  });
});
