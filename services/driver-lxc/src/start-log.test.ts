import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lastStartIn, parseStartLog, readStartLog, startHeading, StartLogReader } from './start-log';

const entry = (level: string, place: string, text: string): string =>
  `lxc-start c1 20261121075458.242 ${level.padEnd(8)} ${place} - ../src/lxc/${place}.c:fn:1 - ${text}`;
const log = (...texts: string[]): string =>
  texts.map((text) => entry(text.startsWith('No such') ? 'ERROR' : 'INFO', 'start', text)).join('\n') + '\n';
const boot = (pid: number): string => `Started "/sbin/init" with pid "${pid}"`;
const exited = (pid: number): string => `Container init process ${pid} exited`;

test('an init that has started and not ended runs', () => {
  expect(parseStartLog(log(boot(42)))).toEqual({ inits: [42], end: undefined, errors: [] });
});

test.each([
  ['a clean exit', [exited(42)], { exitStatus: 0 }],
  ['an exit status', [exited(42), 'Child <42> ended on error (7)'], { exitStatus: 7 }],
  ['a signal', [exited(42), 'Child <42> ended on signal Killed(9)'], { signal: 9 }],
])('%s is the end', (_what, lines, end) => {
  expect(parseStartLog(log(boot(42), ...lines)).end).toEqual(end);
});

test('a reboot is an end and another init, whose own end counts', () => {
  const text = log(boot(42), exited(42), 'Child <42> ended on signal Hangup(1)', boot(77));
  expect(parseStartLog(text)).toMatchObject({ inits: [42, 77], end: undefined });
  expect(parseStartLog(text + log(exited(77))).end).toEqual({ exitStatus: 0 });
});

test('the end of another process says nothing', () => {
  expect(parseStartLog(log(boot(42), 'Child <43> ended on error (1)')).end).toBeUndefined();
});

test('what a container prints or is called cannot pass for liblxc', () => {
  expect(parseStartLog('Started "/x" with pid "1"\n' + log('Started "a" with pid "2" and more'))).toEqual({
    inits: [],
    end: undefined,
    errors: [],
  });
});

test('errors come in order, the cause first', () => {
  const cause = 'No such file or directory - Failed to exec "/bin/nothere"';
  expect(parseStartLog(log(cause)).errors).toEqual([cause]);
});

test('a log that grows is told as far as it has whole lines, each line once', () => {
  const folder = mkdtempSync(join(tmpdir(), 'start-log-'));
  try {
    const path = join(folder, 'log');
    const reader = new StartLogReader(path, 0);
    expect(reader.read().inits).toEqual([]);
    const [half, other] = [log(boot(1)).slice(0, 70), log(boot(1)).slice(70)];
    writeFileSync(path, half);
    expect(reader.read().inits).toEqual([]);
    appendFileSync(path, other);
    expect(reader.read().inits).toEqual([1]);
    appendFileSync(path, log(exited(1), boot(2)));
    expect(reader.read()).toMatchObject({ inits: [1, 2], end: undefined });
    expect(reader.read().inits).toEqual([1, 2]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a log that has grown beyond all measure while nobody looked is read', () => {
  const folder = mkdtempSync(join(tmpdir(), 'start-log-'));
  try {
    const path = join(folder, 'log');
    writeFileSync(path, log(boot(1)));
    // More than a text can hold; a hole takes no room.
    truncateSync(path, 2 ** 29);
    appendFileSync(path, `\n${log(boot(2))}`);
    const filler = log('Nothing of interest').repeat(100_000);
    appendFileSync(path, filler + log(boot(3)) + filler + log(exited(3), boot(4)));
    expect(readStartLog(path, 0)).toEqual({ inits: [1, 2, 3, 4], end: undefined, errors: [] });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('whoever begins at what told of the last boot knows as much as one that has forgotten what was before', () => {
  const folder = mkdtempSync(join(tmpdir(), 'start-log-'));
  try {
    const path = join(folder, 'log');
    const reader = new StartLogReader(path, 0);
    for (const boots of [[1], [2, 3], []]) {
      appendFileSync(path, log(...boots.flatMap((pid) => [boot(pid), exited(pid)])));
      reader.read();
    }
    const later = new StartLogReader(path, reader.lastBootFrom);
    expect(later.read().inits).toEqual([2, 3]);
    expect(reader.forgetEarlier()).toBe(2);
    expect(reader.read()).toEqual(later.read());
    appendFileSync(path, log(boot(4)));
    expect(reader.read().inits).toEqual([2, 3, 4]);
    expect(reader.forgetEarlier()).toBe(1);
    expect(reader.read().inits).toEqual([4]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a log is read from the start that is meant, and an absent one is empty', () => {
  const folder = mkdtempSync(join(tmpdir(), 'start-log-'));
  try {
    const path = join(folder, 'log');
    writeFileSync(path, `${startHeading()}\n${log(boot(1))}${startHeading()}\n${log(boot(2))}`);
    expect(readStartLog(path, lastStartIn(path)).inits).toEqual([2]);
    expect(readStartLog(join(folder, 'none'), 0).inits).toEqual([]);
    expect(lastStartIn(join(folder, 'none'))).toBe(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
