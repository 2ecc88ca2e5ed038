/** Starts QEMU with a command line and asks it over QMP how it is; ends it by its own pid, whatever happens. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds until it has to have answered. */
const patience = 30_000;

/** In a network of its own, with a loopback, so that no port of the machine is taken; and it ends when we do. */
const alone = ['--net', 'sh', '-c', 'ip link set lo up && exec setpriv --pdeathsig KILL -- "$@"', 'sh'];

/** The state that QEMU tells, or its last words. */
export type Answer = { readonly state: string } | { readonly refusal: string };

export async function startAndAsk(
  emulator: string,
  args: readonly string[],
  { env, monitor }: { env: Record<string, string>; monitor: string },
): Promise<Answer> {
  const qemu = spawn('unshare', [...alone, emulator, ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  qemu.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = once(qemu, 'close');
  let failure = '';
  try {
    const socket = await connected(monitor, qemu);
    if (socket) return { state: await queryStatus(socket) };
  } catch (error) {
    failure = (error as Error).message;
  } finally {
    qemu.kill('SIGKILL');
    await ended;
  }
  return { refusal: lastWords(said) ?? failure };
}

/** Undefined when QEMU ended instead. */
async function connected(path: string, qemu: ChildProcess): Promise<Socket | undefined> {
  for (const deadline = Date.now() + patience; Date.now() < deadline; await sleep(10)) {
    if (qemu.exitCode !== null || qemu.signalCode !== null) return undefined;
    const socket = connect(path);
    try {
      await once(socket, 'connect');
      return socket;
    } catch {
      // Not there yet.
    }
  }
  throw new Error(`it opened no monitor within ${patience} ms`);
}

/** The greeting is answered first; QEMU answers it once the machine is built. */
async function queryStatus(socket: Socket): Promise<string> {
  const timer = setTimeout(() => socket.destroy(new Error(`it did not answer within ${patience} ms`)), patience);
  const lines = createInterface({ input: socket });
  lines.on('error', () => undefined);
  for (const execute of ['qmp_capabilities', 'query-status']) socket.write(`${JSON.stringify({ execute })}\n`);
  try {
    for await (const line of lines) {
      const { return: answer } = JSON.parse(line) as { return?: { status?: string } };
      if (answer?.status !== undefined) return answer.status;
    }
    throw new Error('it hung up before it answered');
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/** What it says last of itself before it ends, without the time and its name. */
function lastWords(said: string): string | undefined {
  const lines = [...said.matchAll(/^(?:[\d-]+T[\d:.]+Z )?\S*qemu-system-\w+: (?!warning:)(.*)$/gm)];
  return lines.at(-1)?.[1];
}
