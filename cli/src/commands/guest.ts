/** Reaching into a guest and behind virtbus: keys, screen, agent, QEMU's monitor. */
import { writeFile } from 'node:fs/promises';
import { reasonOf } from '../definition';
import { execInside } from '../exec';
import { choice, command, domain, example, flag, many, number, optional, repeated, UsageError } from '../spec';

export const sendKey = command({
  name: 'send-key',
  group: 'guest',
  summary: 'Press keys together',
  args: { domain, keycode: many('names (KEY_A) or codes') },
  options: {
    codeset: choice(['linux', 'qcode'], 'what the names and codes mean'),
    holdtime: number('MILLISECONDS', 'how long they are held'),
  },
  gives: 'sendKey',
  queue: true,
  examples: [example('send-key web1 KEY_LEFTCTRL KEY_LEFTALT KEY_DELETE', 'the three fingers')],
  async run({ args, options, session }) {
    if (args.keycode.length === 0) throw new UsageError('missing argument <keycode>');
    const keys = args.keycode.map((key) => (/^(0x[\da-f]+|\d+)$/i.test(key) ? Number(key) : key));
    const request = { keys, codeset: options.codeset ?? 'linux', holdMs: options.holdtime ?? 0 } as const;
    await session.give('sendKey', request, args.domain, () => '');
  },
});

const suffixes: Record<string, string> = { 'image/png': 'png', 'image/x-portable-pixmap': 'ppm' };

export const screenshot = command({
  name: 'screenshot',
  group: 'guest',
  summary: "Save a picture of a guest's screen to a file here",
  args: { domain, file: optional('where; made from name and time when left out, - is standard output', 'file') },
  options: { screen: number('N', 'which screen, from 0') },
  examples: [example('screenshot web1 web1.png', 'what it shows now')],
  async run({ args, options, session, out }) {
    const { mime, data } = await session.call('screenshot', { screen: options.screen ?? 0 }, args.domain);
    const bytes = Buffer.from(data, 'base64');
    if (args.file === '-') return out.write(bytes);
    const time = new Date().toISOString().replace(/\.\d+/, '').replaceAll(':', '-');
    const name = args.domain.replace(/[^\w.-]/g, '_');
    const file = args.file ?? `${name}-${time}.${suffixes[mime] ?? 'img'}`;
    await writeFile(file, bytes).catch((cause: unknown) => {
      throw new UsageError(`cannot write ${file}: ${reasonOf(cause)}`);
    });
    out.show({ file, mime, bytes: bytes.length }, () => `Screenshot saved to ${file}, with type of ${mime}`);
  },
});

/** One JSON object `{execute, arguments}`, from words that a shell may have split. */
export function commandOf(words: readonly string[]): { execute: string; arguments?: Record<string, unknown> } {
  const text = words.join(' ');
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new UsageError(`<cmd> is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  const { execute, arguments: given } = (parsed ?? {}) as { execute?: unknown; arguments?: unknown };
  if (typeof execute !== 'string') throw new UsageError(`<cmd> needs "execute": {"execute": "guest-ping"}`);
  if (given === undefined) return { execute };
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new UsageError('<cmd>: "arguments" is not an object');
  }
  return { execute, arguments: given as Record<string, unknown> };
}

export const exec = command({
  name: 'exec',
  group: 'guest',
  summary: 'Run a command inside a container; its exit code becomes ours',
  args: { domain, command: many('program and arguments, after --') },
  options: {
    env: repeated('NAME=VALUE', 'added to its environment; may be given again'),
    uid: number('N', 'user it runs as, by number inside'),
    gid: number('N', 'group it runs as'),
    noStdin: flag('give it no standard input'),
    interactive: { ...flag('give it our standard input; so it is anyway'), short: 'i' },
    tty: { ...flag('give it a terminal, as a shell wants one; ours is raw meanwhile'), short: 't' },
  },
  gives: 'execInDomain',
  examples: [
    example('exec c1 -- ps aux', 'what runs in it'),
    example('exec -it c1 -- sh', 'a shell, with a terminal of its own'),
    example('exec c1 -- sh -c "cat >/etc/motd" <motd', 'put a file into it'),
  ],
  async run({ args, options, session, out }) {
    if (args.command.length === 0) throw new UsageError('missing argument <command>');
    const { uid, gid } = options;
    if (options.interactive && options.noStdin) throw new UsageError('--interactive does not go with --no-stdin');
    await execInside(session, out, args.domain, {
      command: args.command,
      env: Object.fromEntries((options.env ?? []).map(variable)),
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
      input: !options.noStdin,
      tty: options.tty,
    });
  },
});

function variable(text: string): [string, string] {
  const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(text) ?? [];
  if (name === undefined) throw new UsageError(`--env: '${text}' is not NAME=VALUE`);
  return [name, value!];
}

export const agent = command({
  name: 'qemu-agent-command',
  group: 'guest',
  summary: 'Run a command of the QEMU guest agent inside the guest',
  args: { domain, cmd: many('JSON: {"execute": …, "arguments": {…}}') },
  options: { pretty: flag('print the answer over several lines') },
  gives: 'agentCommand',
  examples: [example(`qemu-agent-command web1 '{"execute":"guest-ping"}'`, 'is it there?')],
  async run({ args, options, globals, session, out }) {
    const timeout = globals.timeout === undefined ? {} : { timeoutMs: Math.ceil(globals.timeout * 1_000) };
    const request = { ...commandOf(args.cmd), ...timeout };
    const { result } = await session.call('agentCommand', request, args.domain);
    const answer = { return: result };
    out.show(answer, () => JSON.stringify(answer, null, options.pretty ? 2 : undefined));
  },
});

export const monitor = command({
  name: 'qemu-monitor-command',
  group: 'guest',
  summary: "Pass a command to QEMU's monitor (admins only; taints the domain)",
  args: { domain, cmd: many('JSON: {"execute": …}, or a line for the human monitor with --hmp') },
  options: { hmp: flag('a line for the human monitor'), pretty: flag('print the answer over several lines') },
  gives: 'qmpCommand',
  examples: [
    example(`qemu-monitor-command web1 '{"execute":"query-status"}'`, 'QMP'),
    example('qemu-monitor-command web1 --hmp info block', 'the human monitor'),
  ],
  async run({ args, options, session, out }) {
    if (args.cmd.length === 0) throw new UsageError('missing argument <cmd>');
    const request = options.hmp ? { hmp: args.cmd.join(' ') } : commandOf(args.cmd);
    const { result } = await session.call('qmpCommand', request, args.domain);
    const answer = { return: result };
    out.show(answer, () =>
      options.hmp && typeof result === 'string'
        ? result.replaceAll('\r\n', '\n')
        : JSON.stringify(answer, null, options.pretty ? 2 : undefined),
    );
  },
});
