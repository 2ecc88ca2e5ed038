/** Commands inside the container, by `lxc-attach`: in its namespaces and cgroups, with its capabilities and policies. */
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { identify, type Facets, type InsideCommand } from '@virtbus/driver-runtime';
import { VirtError, type CommandEnd } from '@virtbus/shared';
import { constants } from 'node:os';
import type { LxcGuest } from '../guest';
import { noInit } from '../init';
import { onPseudoTerminal } from '../pseudo-terminal';

type Exec = NonNullable<Facets<LxcGuest>['exec']>;

/** @param emulator path of lxc-start; lxc-attach lies beside it */
export function execFacet(emulator: string): Exec {
  const program = join(dirname(emulator), 'lxc-attach');
  return { run: async (guest, command) => run(program, guest, command) };
}

async function run(program: string, guest: LxcGuest, command: Parameters<Exec['run']>[1]): Promise<InsideCommand> {
  const { lxcPath, name } = guest.place;
  const { words, env, uid, gid, terminal } = command;
  const odd = [...words, ...Object.values(env)].find((word) => word.includes('\0'));
  if (odd !== undefined) throw new VirtError('INVALID_ARG', { detail: 'a word of a command cannot hold a NUL byte' });
  for (const [what, id] of Object.entries({ uid, gid })) {
    const detail = `${what} ${id} is none that Linux has: 0 to ${lastId}`;
    if (id !== undefined && id > lastId) throw new VirtError('INVALID_ARG', { detail });
  }
  const given = Object.entries({ ...defaults, ...env }).flatMap(([key, value]) => ['-v', `${key}=${value}`]);
  const ids = [...(uid === undefined ? [] : ['-u', String(uid)]), ...(gid === undefined ? [] : ['-g', String(gid)])];
  // Between two boots there is nowhere to go: what is still on its way then is ended before the next boot (between-boots.ts).
  const init = identify(guest.initPid);
  if (!init) throw noInit();
  // Not quiet: what keeps the program from running is told in its errors, and nothing is where it runs.
  const args = ['-P', lxcPath, '-n', name, '--clear-env', ...given, ...ids, '--', ...words];
  // On a terminal, lxc-attach makes one inside. In a group of its own, so that it can be ended with all it has started.
  const pseudo = terminal && onPseudoTerminal([program, ...args], { size: terminal });
  const child = pseudo?.child ?? spawn(program, args, { detached: true, cwd: '/', stdio: ['pipe', 'pipe', 'pipe'] });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) =>
      reject(new VirtError('OPERATION_FAILED', { detail: `cannot run ${program}: ${cause.message}` }, { cause })),
    );
  });
  const kill = (): void => {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {
      // It has just ended.
    }
  };
  // What runs inside ends with its init. An lxc-attach that was still on its way there may wait for ever.
  const watch = setInterval(() => {
    const now = identify(init.pid);
    // On its way out it has no program any more; another one it may well have come to run.
    if (now?.startTime !== init.startTime || now.exe === '') kill();
  }, watchMs).unref();
  child.once('exit', () => clearInterval(watch));
  // It may close its input before we have written all of it.
  child.stdin.on('error', () => undefined);
  const listening: Promise<void>[] = [];
  let begin!: () => void;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const ended = new Promise<CommandEnd>((resolve) =>
    child.once('exit', (code, signal) =>
      resolve(signal === null ? { exitStatus: code ?? 0 } : { signal: constants.signals[signal] }),
    ),
  );
  return {
    write: (bytes) =>
      new Promise((resolve) => {
        // What nobody reads any more is dropped, as a pipe without reader does.
        if (child.stdin.destroyed) resolve();
        else child.stdin.write(bytes, () => resolve());
      }),
    // The end of a terminal's input is typed.
    endInput: () => (pseudo ? void child.stdin.write(endOfInput) : void child.stdin.end()),
    ...(pseudo && { resize: pseudo.resize }),
    kill,
    onOutput: (listener) => {
      for (const from of ['output', 'errors'] as const) {
        const stream = from === 'output' ? child.stdout : child.stderr;
        listening.push(
          (async () => {
            for await (const bytes of stream) await listener(bytes as Buffer, from);
          })().catch(() => undefined),
        );
      }
      begin();
    },
    ended: begun.then(async () => {
      await Promise.all(listening);
      return ended;
    }),
  };
}

/** Between two looks whether the container is still in the same boot, milliseconds. */
const watchMs = 200;

/** The one above means none (chown(2)): lxc-attach would run the command as root. */
const lastId = 4_294_967_294;

/** Ctrl-D: what a terminal takes for the end of a file (termios(3), VEOF). */
const endOfInput = '\u0004';

/** What a command finds in its environment, as a login of root would. */
const defaults = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  TERM: 'linux',
};
