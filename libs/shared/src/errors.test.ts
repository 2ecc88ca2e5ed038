import { errorTable, isVirtError, VirtError, type ErrorCode } from './errors';

const codes = Object.keys(errorTable) as ErrorCode[];

/** Details that fit every code. */
const details = {
  detail: 'what went wrong',
  element: 'disk',
  line: 7,
  domain: 'web1',
  job: 'save',
  migration: '7f3a',
  host: 'h1',
  service: 'driver-qemu',
  driver: 'qemu',
  operation: 'migrate',
  mine: 2,
  asked: 1,
  pool: 'default',
  volume: 'web1.qcow2',
  path: '/srv/images/base.qcow2',
  snapshot: 'before-upgrade',
  checkpoint: 'monday',
  users: ['volume web1.qcow2 of pool default'],
  image: '/srv/images/web1.qcow2',
  base: 'base.qcow2',
  overlay: '/srv/images/web1.qcow2',
  repair: 'virtbus chain repair /srv/images/web1.qcow2 --format FORMAT',
};
const make = (code: ErrorCode): VirtError => new VirtError(code, details);

/** virErrorNumber of libvirt 11.3, for the codes that carry libvirt's name. */
const libvirtNumbers = {
  INTERNAL_ERROR: 1,
  INVALID_ARG: 8,
  OPERATION_FAILED: 9,
  OS_TYPE: 16,
  XML_ERROR: 27,
  OPERATION_DENIED: 29,
  XML_DETAIL: 35,
  SYSTEM_ERROR: 38,
  RPC: 39,
  AUTH_FAILED: 45,
  OPERATION_INVALID: 55,
  CONFIG_UNSUPPORTED: 67,
  OPERATION_TIMEOUT: 68,
  ARGUMENT_UNSUPPORTED: 74,
  OPERATION_ABORTED: 78,
  NO_DOMAIN_SNAPSHOT: 72,
  SNAPSHOT_REVERT_RISKY: 77,
  NO_DOMAIN_METADATA: 80,
  MIGRATE_UNSAFE: 81,
  OVERFLOW: 82,
  OPERATION_UNSUPPORTED: 84,
  AGENT_UNRESPONSIVE: 86,
  RESOURCE_BUSY: 87,
  ACCESS_DENIED: 88,
  CPU_INCOMPATIBLE: 91,
  XML_INVALID_SCHEMA: 92,
  DEVICE_MISSING: 99,
  AGENT_COMMAND_TIMEOUT: 112,
  AGENT_COMMAND_FAILED: 113,
} satisfies Partial<Record<ErrorCode, number>>;

describe('the error table', () => {
  test.each(Object.entries(libvirtNumbers))("gives %s libvirt's number %d", (code, number) => {
    expect(errorTable[code as ErrorCode].number).toBe(number);
  });

  test("gives codes of our own the number of libvirt's nearest", () => {
    expect(errorTable.DOMAIN_NOT_FOUND.number).toBe(42);
    expect(errorTable.DOMAIN_BUSY.number).toBe(68);
    expect(errorTable.UNSUPPORTED_BY_DRIVER.number).toBe(3);
    expect(errorTable.HOST_OFFLINE.number).toBe(39);
    expect(errorTable.EPOCH_STALE.number).toBe(55);
  });

  test.each(codes)('tells %s in one line without holes', (code) => {
    const { message } = make(code);
    expect(message).not.toMatch(/\n|undefined|\[object/);
    expect(message.length).toBeGreaterThan(5);
  });

  test("speaks libvirt's words", () => {
    expect(new VirtError('OPERATION_INVALID', { detail: 'domain is not running' }).message).toBe(
      'Requested operation is not valid: domain is not running',
    );
    expect(new VirtError('DOMAIN_BUSY', { job: 'save' }).message).toBe(
      'Timed out during operation: cannot acquire state change lock (held by monitor=save)',
    );
    expect(new VirtError('XML_ERROR', { detail: 'no name', line: 3 }).message).toBe('XML error: line 3: no name');
  });

  test('lets time mend what is busy or away, and nothing else', () => {
    const later = codes.filter((code) => errorTable[code].retry === 'later');
    expect(later.sort()).toEqual([
      'AGENT_COMMAND_TIMEOUT',
      'AGENT_UNRESPONSIVE',
      'DOMAIN_BUSY',
      'HOST_OFFLINE',
      'IMAGE_IN_USE',
      'NO_SUITABLE_HOST',
      'OPERATION_TIMEOUT',
      'RESOURCE_BUSY',
      'RPC',
      'SERVICE_OFFLINE',
    ]);
  });
});

describe('an error over the bus', () => {
  test.each(codes)('%s is the same on the other side', (code) => {
    const sent = make(code);
    const body = JSON.parse(JSON.stringify(sent.toBody())) as object;
    const received = VirtError.fromBody(body);
    expect(isVirtError(received, code)).toBe(true);
    expect(received.message).toBe(sent.message);
    expect(received.details).toEqual(sent.details);
    expect(received.number).toBe(sent.number);
  });

  test("keeps the peer's words when the code is a newer version's", () => {
    const error = VirtError.fromBody({ code: 'MOON_PHASE_WRONG', message: 'wait for full moon' });
    expect(error.code).toBe('INTERNAL_ERROR');
    expect(error.message).toBe('internal error: wait for full moon');
  });

  test.each([null, {}, { code: 7 }, { code: 'toString', message: 'x' }, { code: '__proto__' }])(
    'whose body is %j is an internal error rather than a crash',
    (body) => {
      expect(VirtError.fromBody(body).code).toBe('INTERNAL_ERROR');
    },
  );

  test.each([null, 'text', 5, []])('with details %j keeps its words', (odd) => {
    const error = VirtError.fromBody({ code: 'OPERATION_FAILED', message: 'operation failed: no', details: odd });
    expect(error.code).toBe('OPERATION_FAILED');
    expect(error.message).toBe('operation failed: no');
  });

  test('of a defect keeps the cause for the log and out of the body', () => {
    const cause = new TypeError('x is not a function');
    const error = VirtError.from(cause);
    expect(error.code).toBe('INTERNAL_ERROR');
    expect(error.cause).toBe(cause);
    expect(JSON.stringify(error.toBody())).not.toContain('errors.test');
    expect(VirtError.from('just text').message).toBe('internal error: just text');
  });

  test('that is of the table already stays itself', () => {
    const error = make('RPC');
    expect(VirtError.from(error)).toBe(error);
    expect(isVirtError(error, 'RPC')).toBe(true);
    expect(isVirtError(error, 'INVALID_ARG')).toBe(false);
    expect(isVirtError(new Error('no'))).toBe(false);
  });
});
