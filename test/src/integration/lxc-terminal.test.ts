/** Terminals inside a container, from the terminal of a person: `virtbus exec -it` and the window's size. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  defineDomain,
  destroyDomain,
  execInDomain,
  openConsole,
  resizeTerminal,
  startDomain,
  undefineDomain,
} from '@virtbus/shared';
import { call, clientStream, newId, type Bus } from '@virtbus/shared/bus';
import { checkout, eventually, needsContainers, Stack, startProcess } from '@virtbus/testkit';
import { runInside } from './lxc-command';

const containers = needsContainers();
let stack: Stack;
let bus: Bus;

beforeAll(async () => {
  if (!containers.met) return;
  stack = await Stack.start({ hosts: [], lxcHosts: ['w1'] });
  bus = await stack.connect();
}, 60_000);
afterAll(async () => stack?.[Symbol.asyncDispose]());

/** The command line as a person runs it: on a terminal of 33 rows and 99 columns, whose path is the first line shown. */
async function onTerminal(...words: string[]) {
  const cli = [process.execPath, join(checkout, 'cli/dist/main.js'), ...words].map((word) => `'${word}'`).join(' ');
  const env = { VIRTBUS_CONTEXT: stack.context('admin'), SHELL: '/bin/sh', TERM: 'vt100' };
  const shell = `tty; stty rows 33 cols 99; ${cli}; echo "code $?"; stty -a | grep -o " -*icanon"`;
  return startProcess(['script', '-qfec', shell, '/dev/null'], { name: 'virtbus', env });
}

containers.test(
  'a shell with a terminal: size, signals typed as keys, the kind of terminal, and our own as it was afterwards',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'shell' });
    await using person = await onTerminal(
      'exec',
      '-it',
      'shell',
      '--',
      'sh',
      '-c',
      'stty size; echo on $TERM; exec sh',
    );
    await person.waitFor('33 99');
    await person.waitFor('on vt100');
    person.write('test -t 0 && test -t 1 && echo is-a-$((40 + 2))-terminal\n');
    await person.waitFor('is-a-42-terminal');
    // Ctrl-C ends what runs in the foreground inside, and not us.
    person.write('echo so$((1))me; sleep 60; echo interrupted\n');
    await person.waitFor('so1me');
    await eventually(() => execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).includes('sleep 60'), true);
    person.write('\u0003');
    person.write('stty size\n');
    // The window grows: the kernel tells our program, which tells the one inside.
    const tty = /\/dev\/pts\/\d+/.exec(person.log.text)![0];
    execFileSync('stty', ['-F', tty, 'rows', '40', 'cols', '120']);
    const grown = async (): Promise<boolean> => {
      person.write('stty size\n');
      return person.log.text.includes('40 120');
    };
    await eventually(grown, true);
    person.write('exit 7\n');
    await person.waitFor('code 7');
    await person.waitFor(/ icanon/);
    await call(bus, destroyDomain, {}, { target: uuid });
  },
  60_000,
);

containers.test(
  'a console whose output its document has kept in a file is shown from there, and each start begins or continues it',
  async () => {
    const file = stack.folder.file('console.txt');
    const boots = (): number => (readFileSync(file, 'utf8').match(/tiny-rootfs: booted/g) ?? []).length;
    for (const [append, expected] of [
      ['off', 1],
      ['on', 2],
    ] as const) {
      const xml = (await stack.containerXml({ name: 'kept' })).replace(
        "<console type='pty'/>",
        `<console type='pty'><log file='${file}' append='${append}'/></console>`,
      );
      const { uuid } = (await call(bus, defineDomain, { xml })).domain;
      await call(bus, startDomain, {}, { target: uuid });
      await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted');
      await eventually(boots, expected);
      await call(bus, destroyDomain, {}, { target: uuid });
      await call(bus, undefineDomain, {}, { target: uuid });
    }
    const second = "<console type='pty'/><console type='pty'><log file='/tmp/no'/></console>";
    const xml = (await stack.containerXml({ name: 'two' })).replace("<console type='pty'/>", second);
    await expect(call(bus, defineDomain, { xml })).rejects.toThrow("only the first console's output is kept");
  },
  60_000,
);

containers.test(
  'what is typed before the program inside is there is not lost',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'early' });
    for (let round = 0; round < 5; round++) {
      const ids = { session: newId(), errors: newId() };
      const request = { ...ids, command: ['sh', '-c', 'read x; echo got $x'], terminal: { rows: 10, columns: 20 } };
      let shown = '';
      const output = clientStream(bus, ids.session, (bytes) => void (shown += Buffer.from(bytes).toString()));
      const errors = clientStream(bus, ids.errors, () => undefined);
      output.connect((await call(bus, execInDomain, request, { target: uuid })).input);
      await output.write(Buffer.from('this\n'));
      expect(await output.ended).toBe('exit status 0');
      expect(shown).toContain('got this');
      errors.end();
    }
    await call(bus, destroyDomain, {}, { target: uuid });
  },
  60_000,
);

containers.test(
  'what has a terminal is ended with whoever watches it, and a size is for one’s own stream',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'watched' });
    const ids = { session: newId(), errors: newId() };
    const request = { ...ids, command: ['sh', '-c', 'sleep 4321'], terminal: { rows: 10, columns: 20 } };
    const output = clientStream(bus, ids.session, () => undefined);
    const errors = clientStream(bus, ids.errors, () => undefined);
    output.connect((await call(bus, execInDomain, request, { target: uuid })).input);
    const sleeps = (): boolean => execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).includes('sleep 4321');
    await eventually(sleeps, true);
    const size = { rows: 11, columns: 22 };
    expect(await call(bus, resizeTerminal, { session: ids.session, ...size }, { target: uuid })).toEqual({
      resized: true,
    });
    await expect(call(bus, resizeTerminal, { session: newId(), ...size }, { target: uuid })).rejects.toThrow(
      'no stream',
    );
    output.end();
    errors.end();
    await eventually(sleeps, false);
    await call(bus, destroyDomain, {}, { target: uuid });
  },
  60_000,
);

containers.test(
  'the console of a container has the size of the window',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'window' });
    await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted');
    const session = newId();
    let shown = '';
    const stream = clientStream(bus, session, (bytes) => void (shown += Buffer.from(bytes).toString()));
    stream.connect((await call(bus, openConsole, { session }, { target: uuid })).input);
    await call(bus, resizeTerminal, { session, rows: 44, columns: 111 }, { target: uuid });
    const told = async (): Promise<boolean> => {
      await stream.write(Buffer.from('stty size\n'));
      return shown.includes('44 111');
    };
    await eventually(told, true);
    // Every byte arrives: no key is the console's own.
    const every = 'The quick brown fox jumps over the lazy dog; jq, Ctrl-A: \u0001.';
    await stream.write(Buffer.from("stty -echo; read -r typed; echo $typed | od -c | tr -d ' \\n' | cut -c1-400\n"));
    await stream.write(Buffer.from(`${every}\n`));
    const arrived = (): string => shown.replaceAll(/\d{7}|\s/g, '');
    await eventually(arrived, (text) => text.includes('jumpsoverthelazydog;jq,Ctrl-A:001.'));
    stream.end();
    await call(bus, destroyDomain, {}, { target: uuid });
  },
  60_000,
);

containers.test(
  'a command or a console that is asked for again under its id is the first one, and only that',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'again' });
    const ids = { session: newId(), errors: newId() };
    const request = { ...ids, command: ['sh', '-c', 'echo run >> /tmp/runs; read x; echo got $x'] };
    const once = { target: uuid, id: newId() };
    let shown = '';
    const show = (bytes: Uint8Array): void => void (shown += Buffer.from(bytes).toString());
    const output = clientStream(bus, ids.session, show);
    const errors = clientStream(bus, ids.errors, () => undefined);
    const ask = () => call(bus, execInDomain, request, once);
    const [first, beside] = await Promise.all([ask(), ask()]);
    expect(beside).toEqual(first);
    output.connect(first.input);
    await output.write(Buffer.from('this\n'));
    expect(await output.ended).toBe('exit status 0');
    expect(shown).toBe('got this\n');
    expect(await ask()).toEqual(first);
    expect((await runInside(bus, uuid, ['cat', '/tmp/runs'])).out).toBe('run\n');
    errors.end();

    const session = newId();
    const terminal = clientStream(bus, session, show);
    const open = { target: uuid, id: newId() };
    const attach = () => call(bus, openConsole, { session }, open);
    const [opened, again] = await Promise.all([attach(), attach()]);
    expect(again).toEqual(opened);
    await expect(call(bus, openConsole, { session: newId() }, { target: uuid })).rejects.toThrow('Active console');
    terminal.connect(opened.input);
    await terminal.write(Buffer.from('echo so$((1))me\n'));
    await eventually(() => shown.includes('so1me'), true);
    terminal.end();
    await call(bus, destroyDomain, {}, { target: uuid });
  },
  60_000,
);
