import { candidatesFor, type Ask } from './complete';

const ask: Ask = async (what) => (what === 'domain' ? ['web1', 'web2', 'db'] : ['h1', 'h2']);
const words = async (...line: string[]): Promise<string[] | 'files'> => {
  const found = await candidatesFor(line, ask);
  return found === 'files' ? found : found.map(({ word }) => word);
};

test('commands, by what has been typed', async () => {
  expect(await words('sta')).toEqual(['start']);
  expect(await words('dom')).toContain('domstats');
});
test('names of domains, also as the value of an option and after other arguments', async () => {
  expect(await words('start', 'we')).toEqual(['web1', 'web2']);
  expect(await words('events', '--domain', '')).toEqual(['web1', 'web2', 'db']);
  expect(await words('domstats', 'web1', 'd')).toEqual(['db']);
});
test('names of hosts', async () => expect(await words('list', '--host', 'h')).toEqual(['h1', 'h2']));
test('options of the command and of all commands', async () => {
  expect(await words('start', 'web1', '--pa')).toEqual(['--paused']);
  expect(await words('start', 'web1', '--')).toEqual(expect.arrayContaining(['--queue', '--json', '--help']));
  expect(await words('list', '--no')).toEqual(['--no-autostart']);
});
test('the values of a choice', async () => expect(await words('attach-disk', '--type', 'c')).toEqual(['cdrom']));
test('files are the shell’s own business', async () => {
  expect(await words('define', '')).toBe('files');
  expect(await words('--context', '')).toBe('files');
});
test('commands again, for help', async () => expect(await words('help', 'shut')).toEqual(['shutdown']));
test('global options before the command change nothing', async () => {
  expect(await words('--json', '--timeout', '5', 'start', 'd')).toEqual(['db']);
});
test('nothing after an unknown command', async () => expect(await words('fly', '--timeout', '')).toEqual([]));
