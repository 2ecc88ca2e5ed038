/** Something that speaks the guest agent's protocol on a unix socket, and says to each command what a test has it say. */
import { createServer, type Socket } from 'node:net';
import { temporaryFolder } from './temporary-folder';

export interface AgentAsked {
  execute: string;
  arguments?: Record<string, unknown>;
}

export type AgentReply = (asked: AgentAsked, socket: Socket) => void;

export interface PretendedAgent extends Disposable {
  /** Of its socket. */
  readonly path: string;
  /** The commands that it has heard, in order. */
  readonly asked: readonly string[];
}

export function pretendAgent(reply: AgentReply = goodAgent): PretendedAgent {
  const folder = temporaryFolder();
  const path = folder.file('agent.sock');
  const asked: string[] = [];
  const server = createServer((socket) => {
    let text = '';
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1').replaceAll('\xff', '');
      const lines = text.split('\n');
      text = lines.pop()!;
      for (const line of lines) {
        const command = JSON.parse(line) as AgentAsked;
        asked.push(command.execute);
        reply(command, socket);
      }
    });
  }).listen(path);
  return {
    path,
    asked,
    [Symbol.dispose]: () => {
      server.close();
      folder[Symbol.dispose]();
    },
  };
}

/** It is in step with whoever asks, has nothing to tell, and obeys `guest-shutdown` without a word. */
export const goodAgent: AgentReply = ({ execute, arguments: given }, socket) => {
  if (execute === 'guest-sync-delimited') socket.write(syncedWith(given?.id));
  else if (execute !== 'guest-shutdown') socket.write('{"return": {}}\n');
};

/** The answer to `guest-sync-delimited`. */
export const syncedWith = (id: unknown): Buffer => Buffer.from(`\xff{"return": ${String(id)}}\n`, 'latin1');
