/** The conversation with a guest agent, against one whose answers to each line are what the test says. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { askAgent, type AgentCommand } from './agent';

type Reply = (command: AgentCommand, socket: Socket) => void;

const folder = mkdtempSync(join(tmpdir(), 'agent-'));
const servers: Server[] = [];
afterEach(() => servers.splice(0).forEach((server) => server.close()));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Starts an agent; answers its socket's path. What is not said otherwise it answers as a good one does. */
function agent(reply: Reply = good): string {
  const path = join(folder, `${servers.length}-${process.hrtime.bigint()}.sock`);
  const server = createServer((socket) => {
    let text = '';
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1').replaceAll('\xff', '');
      const lines = text.split('\n');
      text = lines.pop()!;
      for (const line of lines) reply(JSON.parse(line) as AgentCommand, socket);
    });
  });
  servers.push(server.listen(path));
  return path;
}

const synced = (id: unknown): Buffer => Buffer.from(`\xff{"return": ${String(id)}}\n`, 'latin1');

const good: Reply = ({ execute, arguments: given }, socket) => {
  if (execute === 'guest-sync-delimited') socket.write(synced(given!.id));
  else if (execute !== 'guest-shutdown') socket.write('{"return": {}}\n');
};

const ask = (path: string, execute: string, left?: Promise<void>, timeoutMs = 500): Promise<unknown> =>
  askAgent(path, { execute }, { timeoutMs, signal: new AbortController().signal, ...(left && { left }) });

const never = new Promise<void>(() => undefined);

test('an answer that an earlier caller did not wait for is passed over, and leaves nothing behind', async () => {
  const asked: string[] = [];
  const path = agent((command, socket) => {
    asked.push(command.execute);
    if (command.execute === 'guest-sync-delimited') {
      // What the earlier caller had asked is answered to this one, after the rest of a line, and is seen by itself.
      socket.write(Buffer.concat([Buffer.from('{"ret'), synced(17)]));
      setTimeout(good, 20, command, socket);
    } else if (command.execute === 'guest-info') socket.write('{"return": {"version": "7.2"}}\n');
    else good(command, socket);
  });
  await expect(ask(path, 'guest-info')).resolves.toEqual({ version: '7.2' });
  await expect(ask(path, 'guest-shutdown', never)).resolves.toBeUndefined();
  expect(asked).toEqual([
    ...['guest-sync-delimited', 'guest-info'],
    ...['guest-sync-delimited', 'guest-shutdown', 'guest-ping'],
  ]);
});

test('a shutdown is obeyed when the agent goes on, hangs up or the guest leaves; a refusal is told', async () => {
  const on =
    (act: (socket: Socket) => void): Reply =>
    (command, socket) =>
      command.execute === 'guest-shutdown' ? act(socket) : command.execute !== 'guest-ping' && good(command, socket);
  await expect(ask(agent(), 'guest-shutdown', never)).resolves.toBeUndefined();
  await expect(ask(agent(on((socket) => socket.destroy())), 'guest-shutdown', never)).resolves.toBeUndefined();
  const silent = agent(on(() => undefined));
  await expect(ask(silent, 'guest-shutdown', Promise.resolve())).resolves.toBeUndefined();
  await expect(ask(silent, 'guest-shutdown', never)).rejects.toMatchObject({ code: 'AGENT_COMMAND_TIMEOUT' });
  const refusal = '{"error": {"class": "CommandNotFound", "desc": "it is disabled"}}\n';
  const refused = ask(agent(on((socket) => socket.write(refusal))), 'guest-shutdown', never);
  await expect(refused).rejects.toMatchObject({ code: 'AGENT_COMMAND_FAILED' });
  await expect(refused).rejects.toThrow("'guest-shutdown': it is disabled");
});

test.each([
  ['no answer', 'null\n', 'not its protocol'],
  ['half an answer', '{"return": \n', 'not its protocol'],
  ['no end', 'x'.repeat(17 * 1024 * 1024), 'too long'],
])('an impostor whose words have %s', async (_, words, why) => {
  const path = agent((command, socket) => {
    if (command.execute === 'guest-info') socket.write(words);
    else good(command, socket);
  });
  const asked = ask(path, 'guest-info', undefined, 10_000);
  await expect(asked).rejects.toMatchObject({ code: 'AGENT_COMMAND_FAILED' });
  await expect(asked).rejects.toThrow(why);
});

test('nobody there, nobody who answers, one who hangs up', async () => {
  await expect(ask(join(folder, 'none'), 'guest-info')).rejects.toMatchObject({ code: 'AGENT_UNRESPONSIVE' });
  const hangsUp = agent((_, socket) => socket.destroy());
  await expect(ask(hangsUp, 'guest-info')).rejects.toMatchObject({ code: 'AGENT_UNRESPONSIVE' });
  const unheard = ask(
    agent(() => undefined),
    'guest-info',
    undefined,
    10_000,
  );
  await expect(unheard).rejects.toMatchObject({ code: 'AGENT_UNRESPONSIVE' });
  await expect(unheard).rejects.toThrow('is it running in the guest');
});
