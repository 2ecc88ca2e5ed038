/**
 * The QEMU guest agent: JSON lines over the unix socket behind a virtio-serial port.
 *
 * The agent may not be there, may be slow, or may be an impostor: every command has a time limit, answers are bounded,
 * and each conversation begins with `guest-sync-delimited`, which drops what an earlier one left in the pipe.
 *
 * Source: QEMU's guest agent protocol reference.
 */
import { addAbortListener } from 'node:events';
import { connect, type Socket } from 'node:net';
import { isVirtError, VirtError } from '@virtbus/shared';
import { z } from 'zod';

const maxAnswer = 16 * 1024 * 1024;
const delimiter = 0xff;
const newline = 0x0a;

export interface AgentCommand {
  execute: string;
  arguments?: Record<string, unknown> | undefined;
}

/**
 * Run one command. `guest-shutdown` and its like are answered by silence: for those, `left` resolves when the guest is seen
 * to obey.
 * @param how `sending` is called when the agent has answered a first question: the command may have an effect from then on
 * @throws AGENT_UNRESPONSIVE, AGENT_COMMAND_TIMEOUT, AGENT_COMMAND_FAILED
 */
export async function askAgent(
  path: string,
  command: AgentCommand,
  how: { timeoutMs: number; signal: AbortSignal; left?: Promise<void>; sending?: () => void },
): Promise<unknown> {
  const socket = await open(path);
  const answers = linesOf(socket);
  const limit = AbortSignal.any([how.signal, AbortSignal.timeout(how.timeoutMs)]);
  try {
    await synchronize(socket, answers, limit);
    how.sending?.();
    send(socket, command);
    if (!how.left) return await answerTo(command, answers, limit);
    send(socket, { execute: 'guest-ping' });
    return await obeyed(answerTo(command, answers, limit), how.left);
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

/**
 * Asks once and passes over what comes before the answer: each answer left in the pipe is one that the next command would
 * take for its own. An agent that does not even answer this is not there.
 */
async function synchronize(socket: Socket, answers: Answers, limit: AbortSignal): Promise<void> {
  const id = Math.floor(Math.random() * 0x7fffffff);
  const silence = AbortSignal.timeout(3_000);
  const signal = AbortSignal.any([limit, silence]);
  // The delimiter before a request resets the agent's own parser.
  socket.write(Buffer.of(delimiter));
  send(socket, { execute: 'guest-sync-delimited', arguments: { id } });
  try {
    while (!answersSync(await nextLine(answers, signal), id));
  } catch (error) {
    if (limit.aborted || !silence.aborted) throw error;
    throw new VirtError('AGENT_UNRESPONSIVE', {
      detail: 'QEMU guest agent does not answer; is it running in the guest?',
    });
  }
}

/** The delimiter stands before the answer; whatever was before that on the line is the rest of something else. */
function answersSync(line: Buffer, id: number): boolean {
  const start = line.lastIndexOf(delimiter) + 1;
  if (start === 0) return false;
  return Answer.safeParse(json(line.subarray(start))).data?.return === id;
}

async function answerTo({ execute }: AgentCommand, answers: Answers, limit: AbortSignal): Promise<unknown> {
  const answer = Answer.safeParse(json(await nextLine(answers, limit)));
  if (!answer.success) {
    const detail = `the guest agent answered '${execute}' with words that are not its protocol`;
    throw new VirtError('AGENT_COMMAND_FAILED', { detail }, { cause: answer.error });
  }
  if (!answer.data.error) return answer.data.return;
  const detail = `unable to execute QEMU agent command '${execute}': ${answer.data.error.desc}`;
  throw new VirtError('AGENT_COMMAND_FAILED', { detail });
}

const Answer = z.object({ return: z.unknown().optional(), error: z.object({ desc: z.string() }).optional() });

function json(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8'));
  } catch {
    return undefined;
  }
}

function send(socket: Socket, command: AgentCommand): void {
  socket.write(`${JSON.stringify(command)}\n`);
}

type Answers = AsyncGenerator<Buffer, void>;

async function* linesOf(socket: Socket): Answers {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    let rest = chunk;
    for (let end = rest.indexOf(newline); end >= 0; end = rest.indexOf(newline)) {
      yield Buffer.concat([...parts, rest.subarray(0, end)]);
      parts = [];
      length = 0;
      rest = rest.subarray(end + 1);
    }
    parts.push(rest);
    length += rest.length;
    if (length > maxAnswer) throw new VirtError('AGENT_COMMAND_FAILED', { detail: 'the answer is too long' });
  }
}

/** @throws AGENT_UNRESPONSIVE when the agent hangs up, the signal's reason when that is aborted first */
async function nextLine(answers: Answers, signal: AbortSignal): Promise<Buffer> {
  signal.throwIfAborted();
  let stop = (): void => undefined;
  const stopped = new Promise<never>((_, reject) => (stop = () => reject(signal.reason as Error)));
  using _watch = addAbortListener(signal, stop);
  const next = answers.next().catch((cause: unknown) => {
    throw isVirtError(cause) ? cause : hungUp(cause);
  });
  const { value } = await Promise.race([next, stopped]);
  if (!value) throw hungUp();
  return value;
}

const hungUp = (cause?: unknown): VirtError =>
  new VirtError('AGENT_UNRESPONSIVE', { detail: 'the guest agent hung up' }, { cause });

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
