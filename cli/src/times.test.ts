import { UsageError } from './spec';
import { parseSince } from './times';

const now = new Date('2026-05-01T12:00:00Z');

test.each([
  ['all', 'all'],
  ['new', 'new'],
  ['1842', { sequence: 1_842 }],
  ['90s', { time: new Date('2026-05-01T11:58:30Z') }],
  ['10m', { time: new Date('2026-05-01T11:50:00Z') }],
  ['2h', { time: new Date('2026-05-01T10:00:00Z') }],
  ['1d', { time: new Date('2026-04-30T12:00:00Z') }],
  // Before there was time: a server refuses that, and was asked again for ever.
  ['999999w', { time: new Date(0) }],
  ['99999999999999999999d', { time: new Date(0) }],
  ['0001-01-01', { time: new Date(0) }],
  ['2026-05-01T08:00:00+02:00', { time: new Date('2026-05-01T06:00:00Z') }],
])('--since %s', (text, since) => expect(parseSince(text, now)).toEqual(since));

test.each(['', 'yesterday', '-5m', '10 m', '2026-13-01', '1e3', '99999999999999999999'])(
  "--since '%s' is refused",
  (text) => {
    expect(() => parseSince(text, now)).toThrow(UsageError);
  },
);
