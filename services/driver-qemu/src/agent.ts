/**
 * The QEMU guest agent: JSON lines over the unix socket behind a virtio-serial port.
 *
 * The agent may not be there, may be slow, or may be an impostor: every command has a time limit, answers are bounded,
 * and each conversation begins with `guest-sync-delimited`, which drops what an earlier one left in the pipe.
 *
 * Source: QEMU's guest agent protocol reference.
 */
import { connect, type Socket } from 'node:net';
import { isVirtError, VirtError } from '@virtbus/shared';

const maxAnswer = 16 * 1024 * 1024;
const delimiter = 0xff;
/** A command that was not refused in this time is being carried out, milliseconds. */
const acceptedMs = 1_000;

export interface AgentCommand {
  execute: string;
  arguments?: Record<string, unknown> | undefined;
}

/**
 * Run one command. `guest-shutdown` and its like may be answered by silence: the agent is gone by then.
 * @throws AGENT_UNRESPONSIVE, AGENT_COMMAND_TIMEOUT, AGENT_COMMAND_FAILED
 */
export async function askAgent(
  path: string,
  command: AgentCommand,
  how: { timeoutMs: number; signal: AbortSignal; silent?: boolean },
): Promise<unknown> {
  const socket = await open(path);
  const limit = AbortSignal.any([how.signal, AbortSignal.timeout(how.timeoutMs)]);
  try {
    await synchronize(socket, limit);
    const answer = exchange(socket, command, limit);
    return await (how.silent ? refusalOf(answer, socket) : answer);
  } catch (error) {
    if (!limit.aborted) throw error;
    const detail = `${command.execute} was not answered within ${how.timeoutMs} ms`;
    throw new VirtError('AGENT_COMMAND_TIMEOUT', { detail });
  } finally {
    socket.destroy();
  }
}

function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => resolve(socket));
    socket.once('error', (cause) => {
      reject(new VirtError('AGENT_UNRESPONSIVE', { detail: 'QEMU guest agent is not connected' }, { cause }));
    });
  });
}

/** An agent that does not even answer this is not there. */
async function synchronize(socket: Socket, limit: AbortSignal): Promise<void> {
  const id = Math.floor(Math.random() * 0x7fffffff);
  const silence = AbortSignal.timeout(3_000);
  try {
    const signal = AbortSignal.any([limit, silence]);
    for (;;) {
      const answer = await exchange(socket, { execute: 'guest-sync-delimited', arguments: { id } }, signal, true);
      if (answer === id) return;
    }
  } catch (error) {
    if (limit.aborted || !silence.aborted) throw error;
    throw new VirtError('AGENT_UNRESPONSIVE', {
      detail: 'QEMU guest agent does not answer; is it running in the guest?',
    });
  }
}

function exchange(socket: Socket, command: AgentCommand, limit: AbortSignal, delimited = false): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const finish = (act: () => void): void => {
      socket.off('data', onData).off('close', onClose);
      limit.removeEventListener('abort', onAbort);
      act();
    };
    const onAbort = (): void => finish(() => reject(limit.reason as Error));
    const onClose = (): void =>
      finish(() => reject(new VirtError('AGENT_UNRESPONSIVE', { detail: 'the guest agent hung up' })));
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      if (received.length > maxAnswer) {
        return finish(() => reject(new VirtError('AGENT_COMMAND_FAILED', { detail: 'the answer is too long' })));
      }
      const start = delimited ? received.lastIndexOf(delimiter) + 1 : 0;
      if (delimited && start === 0) return;
      const end = received.indexOf('\n', start);
      if (end < 0) return;
      const line = received.subarray(start, end).toString('utf8');
      finish(() => settle(line, command.execute, resolve, reject));
    };
    socket.on('data', onData).on('close', onClose);
    if (limit.aborted) return onAbort();
    limit.addEventListener('abort', onAbort, { once: true });
    // The delimiter before a request resets the agent's own parser.
    if (delimited) socket.write(Buffer.of(delimiter));
    socket.write(`${JSON.stringify(command)}\n`);
  });
}

function settle(line: string, command: string, resolve: (v: unknown) => void, reject: (e: Error) => void): void {
  try {
    const answer = JSON.parse(line) as { return?: unknown; error?: { class: string; desc: string } };
    if (answer.error) {
      const detail = `unable to execute QEMU agent command '${command}': ${answer.error.desc}`;
      return reject(new VirtError('AGENT_COMMAND_FAILED', { detail }));
    }
    resolve(answer.return);
  } catch (cause) {
    const detail = `the guest agent answered '${command}' with words that are not its protocol`;
    reject(new VirtError('AGENT_COMMAND_FAILED', { detail }, { cause }));
  }
}

/** For a command that succeeds without a word: only a refusal is waited for, and not for long. */
async function refusalOf(answer: Promise<unknown>, socket: Socket): Promise<void> {
  const accepted = new Promise<void>((resolve) => {
    setTimeout(resolve, acceptedMs).unref();
    socket.once('end', () => resolve()).once('close', () => resolve());
  });
  await Promise.race([
    accepted,
    answer.catch(async (error: unknown) => {
      if (!isVirtError(error, 'AGENT_COMMAND_FAILED')) return accepted;
      throw error;
    }),
  ]);
}
