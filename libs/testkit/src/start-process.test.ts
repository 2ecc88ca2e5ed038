import { existsSync } from 'node:fs';
import { eventually } from './eventually';
import { isAlive } from './process-table';
import { startProcess } from './start-process';
import { temporaryFolder } from './temporary-folder';

const shell = (script: string): [string, ...string[]] => ['/bin/sh', '-c', script];

describe('a process started for a test', () => {
  test('has its output collected and can be waited for by line', async () => {
    await using echo = await startProcess(shell('echo ready on port 4000; read line; echo "got $line"; exec sleep 60'));
    expect(await echo.waitFor(/port \d+/)).toBe('ready on port 4000');
    echo.write('hello\n');
    expect(await echo.waitFor('got')).toBe('got hello');
    expect(echo.log.lines.slice(0, 2)).toEqual(['ready on port 4000', 'got hello']);
  });

  test('is told apart from what it said before', async () => {
    await using counter = await startProcess(shell('echo tick; read line; echo tick again; exec sleep 60'));
    await counter.waitFor('tick');
    const from = counter.log.text.length;
    counter.write('\n');
    expect(await counter.waitFor('tick', { from })).toBe('tick again');
  });

  test('fails the wait with its last output when the time is over, and when it ends before', async () => {
    await using silent = await startProcess(shell('echo starting; exec sleep 60'), { name: 'silent' });
    await silent.waitFor('starting');
    await expect(silent.waitFor('ready', { timeoutMs: 50 })).rejects.toThrow(/within 50 ms[^]*silent:\nstarting/);
    await using dying = await startProcess(shell('echo no licence >&2; exit 3'));
    await expect(dying.waitFor('ready')).rejects.toThrow(/ended \(with code 3\)[^]*no licence/);
    expect(await dying.exited).toEqual({ code: 3, signal: null });
  });

  test('is gone after the test, also when it was stopped or ignores the wish', async () => {
    const stopped = await startProcess(['/bin/sleep', '60']);
    stopped.kill('SIGSTOP');
    await stopped[Symbol.asyncDispose]();
    expect(isAlive(stopped.pid)).toBe(false);

    const stubborn = await startProcess(shell('trap "" TERM; echo trapped; while :; do sleep 0.1; done'));
    await stubborn.waitFor('trapped');
    expect(await stubborn.stop('SIGTERM', 200)).toEqual({ code: null, signal: 'SIGKILL' });
    expect(isAlive(stubborn.pid)).toBe(false);
  });

  test('leaves its children alone, and they are reported', async () => {
    const told = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
    const parent = await startProcess(shell('sleep 60 & echo started; wait'), { name: 'parent' });
    await parent.waitFor('started');
    const [child] = await eventually(
      () => parent.children(),
      (children) => children.length === 1,
    );
    await parent[Symbol.asyncDispose]();
    try {
      expect(isAlive(child!.pid)).toBe(true);
      // Between fork and exec the child still bears its parent's command line.
      const report = new RegExp(`left a child running: pid ${child!.pid}: .*sleep 60`);
      expect(told).toHaveBeenCalledWith(expect.stringMatching(report));
    } finally {
      told.mockRestore();
      process.kill(child!.pid, 'SIGKILL');
    }
  });

  test('that cannot be started is an error which names it', async () => {
    await expect(startProcess(['/no/such/program'])).rejects.toThrow('cannot start /no/such/program');
  });

  test('gets the environment of the test and what is added or taken away', async () => {
    process.env['VIRTBUS_TESTKIT_A'] = 'a';
    await using env = await startProcess(shell('echo "A=$VIRTBUS_TESTKIT_A B=$VIRTBUS_TESTKIT_B"'), {
      env: { VIRTBUS_TESTKIT_A: undefined, VIRTBUS_TESTKIT_B: 'b' },
    });
    expect(await env.waitFor('A=')).toBe('A= B=b');
    delete process.env['VIRTBUS_TESTKIT_A'];
  });
});

test('a temporary folder is there while it is used and gone with what is in it afterwards', () => {
  let path: string;
  {
    using folder = temporaryFolder();
    path = folder.path;
    expect(folder.file('a', 'b')).toBe(`${path}/a/b`);
    expect(existsSync(path)).toBe(true);
  }
  expect(existsSync(path)).toBe(false);
});
