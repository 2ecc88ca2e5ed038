/** The conversation with a guest agent, against one whose answers to each line are what the test says. */
import { join } from 'node:path';
import { goodAgent, pretendAgent, syncedWith, type AgentReply, type PretendedAgent } from '@virtbus/testkit';
import { askAgent } from './agent';

const agents: PretendedAgent[] = [];
afterEach(() => agents.splice(0).forEach((agent) => agent[Symbol.dispose]()));

function agent(reply: AgentReply = goodAgent): PretendedAgent {
  const started = pretendAgent(reply);
  agents.push(started);
  return started;
}

const ask = (
  { path }: Pick<PretendedAgent, 'path'>,
  execute: string,
  left?: Promise<void>,
  timeoutMs = 2_000,
): Promise<unknown> =>
  askAgent(path, { execute }, { timeoutMs, signal: new AbortController().signal, ...(left && { left }) });

const never = new Promise<void>(() => undefined);

test('an answer that an earlier caller did not wait for is passed over, and leaves nothing behind', async () => {
  const stale = agent((command, socket) => {
    if (command.execute === 'guest-sync-delimited') {
      // What the earlier caller had asked is answered to this one, after the rest of a line, and is seen by itself.
      const stale = Buffer.concat([Buffer.from('{"ret'), syncedWith(17)]);
      // Between two turns of the event loop what has come is read.
      socket.write(stale, () => setImmediate(setImmediate, goodAgent, command, socket));
    } else if (command.execute === 'guest-info') socket.write('{"return": {"version": "7.2"}}\n');
    else goodAgent(command, socket);
  });
  await expect(ask(stale, 'guest-info')).resolves.toEqual({ version: '7.2' });
  await expect(ask(stale, 'guest-shutdown', never)).resolves.toBeUndefined();
  expect(stale.asked).toEqual([
    ...['guest-sync-delimited', 'guest-info'],
    ...['guest-sync-delimited', 'guest-shutdown', 'guest-ping'],
  ]);
});

test('a shutdown is obeyed when the agent goes on, hangs up or the guest leaves; a refusal is told', async () => {
  const on =
    (act: (socket: Parameters<AgentReply>[1]) => void): AgentReply =>
    (command, socket) =>
      command.execute === 'guest-shutdown'
        ? act(socket)
        : command.execute !== 'guest-ping' && goodAgent(command, socket);
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
  const impostor = agent((command, socket) => {
    if (command.execute === 'guest-info') socket.write(words);
    else goodAgent(command, socket);
  });
  const asked = ask(impostor, 'guest-info', undefined, 10_000);
  await expect(asked).rejects.toMatchObject({ code: 'AGENT_COMMAND_FAILED' });
  await expect(asked).rejects.toThrow(why);
});

test('nobody there, nobody who answers, one who hangs up', async () => {
  await expect(ask({ path: join(agent().path, 'none') }, 'guest-info')).rejects.toMatchObject({
    code: 'AGENT_UNRESPONSIVE',
  });
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
