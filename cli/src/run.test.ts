/** What becomes of a command line before any bus is asked. */
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { run } from './run';

async function ran(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const code = await run(words, { stdout, stderr, env: {} }, '0.0.0');
  stdout.end();
  stderr.end();
  return { code, out: await text(stdout), err: await text(stderr) };
}

test.each([[['auth']], [['auth', '--help']], [['help', 'auth']]])(
  '%j shows the commands of the family',
  async (words) => {
    const { code, out } = await ran(...words);
    expect(code).toBe(0);
    expect(out).toMatch(/^Usage: virtbus auth <command>$/m);
    expect(out).toMatch(/^ {2}auth rotate {2}\S/m);
  },
);

test('a command that a family does not have is answered in one line, with the way to those it has', async () => {
  const { code, out, err } = await ran('host', 'explode');
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err).toBe("error: unknown command 'host-explode'; see 'virtbus host'\n");
});

test('a command of a family is found in two words', async () => {
  expect(await ran('chain', 'show', '--help')).toEqual(await ran('chain-show', '--help'));
});

test.each([
  [['--url', 'nats://127.0.0.1:1', 'chain', 'show', '--help']],
  [['--json', '--timeout=3', 'chain', 'show', '--help']],
  [['chain', '--context', 'chain', 'show', '--help']],
  [['--json', 'help', 'chain', 'show']],
])('%j: global options may stand before both words of a command', async (words) => {
  expect(await ran(...words)).toEqual(await ran('chain-show', '--help'));
});

test('a family is known behind global options too, and so is what it does not have', async () => {
  expect(await ran('--json', 'auth')).toEqual(await ran('auth'));
  const { code, err } = await ran('--context', 'host', 'host', 'explode');
  expect(code).toBe(2);
  expect(err).toBe("error: unknown command 'host-explode'; see 'virtbus host'\n");
});

test('help for a command that there is not is no help for all', async () => {
  expect(await ran('help', 'explode')).toEqual({
    ...{ code: 2, out: '', err: "error: unknown command 'explode'; see 'virtbus help'\n" },
  });
  expect(await ran('help', 'event')).toEqual(await ran('events', '--help'));
});

test.each([
  [['domstats', ''], 'argument <domain> is empty'],
  [['domxml-to-native', 'qemu-argv', ''], 'argument <xml> is empty'],
  [['migrate-setmaxdowntime', 'web1', '1e3'], "<downtime>: '1e3' is not a whole number from 1 up"],
  [['events', '--host', '*'], "--host: '*' is no name of a host: letters, digits, - and _, at most 63 of them"],
])('%j is refused before anybody is asked', async (words, message) => {
  expect(await ran(...words)).toEqual({ code: 2, out: '', err: `error: ${message}\n` });
});
