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

export interface AgentCommand {
  execute: string;
  arguments?: Record<string, unknown> | undefined;
}

/**
 * Run one command. `guest-shutdown` and its like are answered by silence: for those, `left` resolves when the guest is seen
 * to obey.
 * @throws AGENT_UNRESPONSIVE, AGENT_COMMAND_TIMEOUT, AGENT_COMMAND_FAILED
 */
export async function askAgent(
  path: string,
  command: AgentCommand,
  how: { timeoutMs: number; signal: AbortSignal; left?: Promise<void> },
): Promise<unknown> {
  const socket = await open(path);
  const limit = AbortSignal.any([how.signal, AbortSignal.timeout(how.timeoutMs)]);
  try {
    await synchronize(socket, limit);
    if (!how.left) return await exchange(socket, [command], limit);
    return await obeyed(exchange(socket, [command, { execute: 'guest-ping' }], limit), how.left);
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
      const answer = await exchange(socket, [{ execute: 'guest-sync-delimited', arguments: { id } }], signal, true);
      if (answer === id) return;
    }
  } catch (error) {
    if (limit.aborted || !silence.aborted) throw error;
    throw new VirtError('AGENT_UNRESPONSIVE', {
      detail: 'QEMU guest agent does not answer; is it running in the guest?',
    });
  }
}

/** Send commands and settle with the first line that comes back. */
function exchange(
  socket: Socket,
  commands: [AgentCommand, ...AgentCommand[]],
  limit: AbortSignal,
  delimited = false,
): Promise<unknown> {
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
      finish(() => settle(line, commands[0].execute, resolve, reject));
    };
    socket.on('data', onData).on('close', onClose);
    if (limit.aborted) return onAbort();
    limit.addEventListener('abort', onAbort, { once: true });
    // The delimiter before a request resets the agent's own parser.
    if (delimited) socket.write(Buffer.of(delimiter));
    socket.write(commands.map((command) => `${JSON.stringify(command)}\n`).join(''));
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

/**
 * For a command that succeeds without a word. The agent does one thing after another, so what follows tells: it answers the
 * ping, hangs up, or the guest is on its way. Only a refusal fails.
 */
async function obeyed(answer: Promise<unknown>, left: Promise<void>): Promise<void> {
  const heard = answer.then(
    () => undefined,
    (error: unknown) => {
      if (!isVirtError(error, 'AGENT_UNRESPONSIVE')) throw error;
    },
  );
  await Promise.race([heard, left]);
}
