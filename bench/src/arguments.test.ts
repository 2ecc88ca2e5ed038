import { parseArguments } from './arguments';

const known = ['start', 'list'];

test('names, runs and a file are understood', () => {
  expect(parseArguments(['list', '--runs', '3', '--json', 'out.json'], known)).toEqual({
    names: ['list'],
    json: 'out.json',
    runs: 3,
    withLibvirt: false,
    withoutLibvirt: false,
    help: false,
  });
});

test.each([
  [['stop'], "there is no benchmark 'stop'; there are: start, list"],
  [['--runs', 'many'], "--runs must be a number of at least 1, not 'many'"],
  [['--runs', '0'], "--runs must be a number of at least 1, not '0'"],
  [['--with-libvirt', '--without-libvirt'], '--with-libvirt and --without-libvirt exclude each other'],
])('%j is refused with the reason', (argv, reason) => {
  expect(() => parseArguments(argv, known)).toThrow(reason);
});
