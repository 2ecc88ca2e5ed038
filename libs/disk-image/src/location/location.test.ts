import fc from 'fast-check';
import type { Location } from '@virtbus/shared';
import { formatLocation } from './format';
import { parseLocation } from './parse';
import { resolveLocation } from './resolve';

const file: Location = { type: 'file', path: '/i/b.raw' };

describe('a backing string', () => {
  test.each([
    '/i/b.raw',
    'json:{"driver":"file","filename":"/i/b.raw"}',
    'json:{"file":{"driver":"file","filename":"/i/b.raw"}}',
    'json:{"file.driver":"file","file.filename":"/i/b.raw"}',
    'json:{"driver":"raw","file":{"driver":"file","filename":"/i/b.raw"}}',
    'json:{"driver":"raw","file.driver":"file","file.filename":"/i/b.raw"}',
  ])('%s is one file', (text) => {
    expect(parseLocation(text)).toEqual({ location: file, dropped: [] });
  });

  test.each([
    ['./a:b', { type: 'file', path: './a:b' }],
    ['fat:/etc', { type: 'dir', path: '/etc' }],
    [
      'nbd+unix:///x?socket=/run/s',
      { type: 'network', protocol: 'nbd', name: 'x', hosts: [{ transport: 'unix', socket: '/run/s' }] },
    ],
    [
      'sheepdog://h/v',
      { type: 'network', protocol: 'sheepdog', name: 'v', hosts: [{ transport: 'tcp', name: 'h', port: 7000 }] },
    ],
    [
      'https://h/x.iso?token=1',
      {
        type: 'network',
        protocol: 'https',
        name: 'x.iso',
        query: 'token=1',
        hosts: [{ transport: 'tcp', name: 'h', port: 443 }],
      },
    ],
    [
      'rbd:pool/img@snap:id=admin:mon_host=a\\:6789\\;[\\:\\:1]\\:6790:conf=/etc/c\\:x',
      {
        type: 'network',
        protocol: 'rbd',
        name: 'pool/img',
        snapshot: 'snap',
        config: '/etc/c:x',
        hosts: [
          { transport: 'tcp', name: 'a', port: 6789 },
          { transport: 'tcp', name: '::1', port: 6790 },
        ],
      },
    ],
  ])('%s is understood', (text, location) => {
    expect(parseLocation(text)).toEqual({ location, dropped: [] });
  });

  test('with credentials says that they are left out', () => {
    expect(parseLocation('nbd://user@h/x').dropped).toEqual(['user']);
  });

  test.each([
    ['a:b', 'INTERNAL_ERROR'],
    ['nbd:h', 'INTERNAL_ERROR'],
    ['gopher://h/x', 'INTERNAL_ERROR'],
    ['nbd+pigeon://h/x', 'INTERNAL_ERROR'],
    ['nbd://h:99999/x', 'INTERNAL_ERROR'],
    ['http://h/%ff', 'INTERNAL_ERROR'],
    ['gluster://h/volume', 'CONFIG_UNSUPPORTED'],
    ['json:{"driver":"qcow2","file":{"driver":"file","filename":"/x"}}', 'INTERNAL_ERROR'],
    ['json:{"driver":"constructor"}', 'INTERNAL_ERROR'],
    ['json:{"driver":"raw","file":{"driver":"raw","file":{"driver":"file","filename":"/x"}}}', 'INVALID_ARG'],
    ['json:{"file.driver":"file","file":{"filename":"/x"}}', 'INVALID_ARG'],
    ['json:{"file":1,"file.driver":"file"}', 'INVALID_ARG'],
    ['json:{"file.__proto__.driver":"file"}', 'INVALID_ARG'],
    [`json:${'{"file":'.repeat(2000)}1${'}'.repeat(2000)}`, 'INVALID_ARG'],
  ])('%.60s is refused', (text, code) => {
    expect(() => parseLocation(text)).toThrow(expect.objectContaining({ code }) as Error);
  });

  test('of any bytes is understood or refused by design', () => {
    const pieces = fc.constantFrom(
      'json:',
      '{',
      '}',
      '"',
      'file.',
      'driver',
      ':',
      '://',
      'nbd',
      'rbd',
      '@',
      '\\',
      '?socket=',
      '[',
      ']',
      '%',
      '/',
      '0',
      'é',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 20 }), (parts) => {
        try {
          parseLocation(parts.join(''));
        } catch (error) {
          expect(error).toHaveProperty(
            'code',
            expect.stringMatching(/^(INTERNAL_ERROR|INVALID_ARG|CONFIG_UNSUPPORTED)$/),
          );
          expect(error).not.toHaveProperty('cause.name', 'TypeError');
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('a place', () => {
  const word = fc.stringMatching(/^[a-zA-Z0-9 %#?&:._-]{1,12}$/);
  const name = fc.stringMatching(/^[a-z0-9][a-z0-9.-]{0,8}$/);
  const tcp = fc.record({ transport: fc.constant('tcp' as const), name, port: fc.integer({ min: 1, max: 65535 }) });
  const unix = fc.record({ transport: fc.constant('unix' as const), socket: word.map((text) => `/run/${text}`) });
  const slice = fc.record({ offset: fc.nat(), size: fc.nat() });
  const network = (protocol: string, host: fc.Arbitrary<object>) =>
    fc.record({ type: fc.constant('network'), protocol: fc.constant(protocol), name: word, hosts: fc.tuple(host) });
  const places = fc.oneof(
    fc.record({ type: fc.constantFrom('file', 'block'), path: word.map((text) => `/${text}`), slice }),
    fc.record({ type: fc.constant('file'), path: word }),
    fc.record({ type: fc.constant('dir'), path: word.map((text) => `/${text}`) }),
    network('nbd', fc.oneof(tcp, unix)),
    network('https', tcp),
    fc.record({
      type: fc.constant('nvme'),
      address: fc.record({ domain: fc.nat(65535), bus: fc.nat(255), slot: fc.nat(31), function: fc.nat(7) }),
      namespace: fc.integer({ min: 1, max: 9 }),
    }),
  ) as fc.Arbitrary<Location>;

  test('that is recorded is found again', () => {
    fc.assert(
      fc.property(places, (place) => {
        expect(parseLocation(formatLocation(place))).toEqual({ location: place, dropped: [] });
      }),
    );
  });
});

describe('a relative name', () => {
  test.each([
    ['/images/top.qcow2', '/images/base'],
    ['/top.qcow2', '/base'],
    ['top.qcow2', './base'],
    ['../a/top', '../a/base'],
  ])('in %s leads to %s', (overlay, path) => {
    expect(resolveLocation('base', { type: 'file', path: overlay })).toEqual({
      location: { type: 'file', path },
      dropped: [],
      relPath: 'base',
    });
  });

  test('in a network image stays on its server', () => {
    const { location } = resolveLocation('b', parseLocation('https://h/dir/a?t=1').location);
    expect(location).toMatchObject({ protocol: 'https', name: 'dir/b', hosts: [{ name: 'h', port: 443 }] });
    expect(location).not.toHaveProperty('query');
  });
});
