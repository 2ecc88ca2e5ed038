/** Commands on a domain's hardware, and on the guest inside. */
import { z } from 'zod';
import { Affect } from '../model';
import { contract } from './contract';
import { changed, imageErrors } from './domain-commands';

const affect = Affect.default('current');
const changeErrors = ['OPERATION_INVALID', 'OPERATION_FAILED', 'CONFIG_UNSUPPORTED', 'INVALID_ARG'] as const;

export const setMemory = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'memory',
  request: z.object({
    kib: z.number().int().positive().describe('KiB'),
    maximum: z.boolean().default(false).describe('the maximum rather than the balloon; config only'),
    affect,
  }),
  response: changed,
  errors: changeErrors,
  doc: 'Set the balloon target or the maximum memory. The balloon moves as the guest gives memory back: see its event.',
  example: { kib: 131072 },
});

export const setVcpus = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'vcpus',
  request: z.object({ count: z.number().int().positive(), maximum: z.boolean().default(false), affect }),
  response: changed,
  errors: changeErrors,
  doc: 'Set the number of virtual CPUs, or the maximum (config only).',
  example: { count: 2 },
});

export const setMetadata = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'set-metadata',
  request: z.object({
    type: z.enum(['title', 'description', 'element']),
    value: z.string().nullable().describe('null removes it'),
    key: z.string().optional().describe('prefix for an element'),
    uri: z.string().optional().describe('namespace of an element'),
    affect,
  }),
  response: changed,
  errors: [...changeErrors, 'XML_ERROR', 'XML_DETAIL'],
  doc: 'Set title, description, or an element of `<metadata>`.',
  example: { type: 'title', value: 'Front end' },
});

const device = <const O extends string>(operation: O, doc: string) =>
  contract({
    kind: 'cmd',
    entity: 'domain',
    operation,
    request: z.object({ xml: z.string().describe('one device element'), affect }),
    response: changed.extend({ device: z.string().optional().describe('the device as it is now, XML') }),
    errors: [
      ...changeErrors,
      'XML_ERROR',
      'XML_DETAIL',
      'DEVICE_MISSING',
      'SYSTEM_ERROR',
      'RESOURCE_BUSY',
      ...imageErrors,
    ],
    doc,
    example: {
      xml: "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/var/lib/virtbus/images/data.img'/><target dev='vdb' bus='virtio'/></disk>",
    },
  });

export const attachDevice = device('attach-device', 'Add a device, live, in the definition, or both.');
export const detachDevice = device(
  'detach-device',
  'Remove a device. Live removal needs the guest: it is answered after at most five seconds, the `device.removed` event tells that it is gone.',
);
export const updateDevice = device(
  'update-device',
  'Change what can be changed of a device: media of a cdrom, link state, …',
);

export const sendKey = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'send-key',
  request: z.object({
    keys: z
      .array(z.union([z.string(), z.number().int()]))
      .min(1)
      .max(16)
      .describe('names (linux: KEY_A) or codes'),
    codeset: z.enum(['linux', 'qcode']).default('linux'),
    holdMs: z.number().int().min(0).max(60_000).default(0),
  }),
  response: z.object({}),
  errors: ['OPERATION_INVALID', 'OPERATION_FAILED'],
  doc: 'Press keys together.',
  example: { keys: ['KEY_LEFTCTRL', 'KEY_LEFTALT', 'KEY_DELETE'] },
});

export const agentCommand = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'agent',
  timeoutMs: 15_000,
  queue: false,
  request: z.object({
    execute: z.string().describe("the guest agent's command: guest-ping, guest-info, …"),
    arguments: z.record(z.string(), z.unknown()).optional(),
    timeoutMs: z.number().int().positive().max(600_000).default(5_000),
  }),
  response: z.object({ result: z.unknown() }),
  errors: [
    'OPERATION_INVALID',
    'ARGUMENT_UNSUPPORTED',
    'AGENT_UNRESPONSIVE',
    'AGENT_COMMAND_TIMEOUT',
    'AGENT_COMMAND_FAILED',
  ],
  doc: 'Run a command of the QEMU guest agent inside the guest.',
  example: { execute: 'guest-ping' },
});

export const qmpCommand = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'qmp',
  role: 'admin',
  timeoutMs: 15_000,
  queue: false,
  request: z.object({
    execute: z.string().optional().describe('a QMP command'),
    arguments: z.record(z.string(), z.unknown()).optional(),
    hmp: z.string().optional().describe('or a line for the human monitor'),
  }),
  response: z.object({ result: z.unknown() }),
  errors: ['OPERATION_INVALID', 'OPERATION_FAILED'],
  doc: 'Pass a command to QEMU behind our back. Admins only; taints the domain.',
  example: { execute: 'query-status' },
});

export const openConsole = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'console',
  queue: false,
  request: z.object({
    session: z
      .string()
      .regex(/^[A-Za-z0-9]{16,40}$/)
      .describe('made by the caller, who subscribes to `stream.*.<session>.out` before the call'),
    device: z.string().optional().describe('alias, serial0; the first console when left out'),
    force: z.boolean().default(false).describe('end another session on this console'),
    backlog: z.number().int().min(0).max(262_144).default(16_384).describe('bytes of recent output to begin with'),
  }),
  response: z.object({ host: z.string(), device: z.string(), input: z.string().describe('subject of the input') }),
  errors: ['OPERATION_INVALID', 'OPERATION_FAILED', 'DEVICE_MISSING'],
  doc: 'Open a serial console as a stream of bytes in both directions; see the page on streams.',
  example: { session: 'q1w2e3r4t5y6u7i8o9p0' },
});

const side = z.number().int().min(1).max(65_535);
const TerminalSize = z.object({ rows: side, columns: side });
export type TerminalSize = z.infer<typeof TerminalSize>;

const streamToken = z.string().regex(/^[A-Za-z0-9]{16,40}$/);

export const execInDomain = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'exec',
  queue: false,
  request: z.object({
    session: streamToken.describe('of standard input and output, made by the caller as for `console`'),
    errors: streamToken.describe('another one, for standard error'),
    command: z.array(z.string()).min(1).max(1_024).describe('program and arguments; no shell comes between'),
    env: z
      .record(z.string().regex(/^[A-Za-z_]\w*$/), z.string())
      .default({})
      .describe('added to its environment'),
    uid: z.number().int().nonnegative().optional().describe('user it runs as, by number inside; root when left out'),
    gid: z.number().int().nonnegative().optional(),
    terminal: TerminalSize.optional().describe('give it a terminal of this size: output and errors are one then'),
  }),
  response: z.object({ host: z.string(), input: z.string().describe('subject of the input') }),
  errors: ['OPERATION_INVALID', 'OPERATION_FAILED'],
  doc: 'Run a command inside a container. Answered when it has begun; the stream ends with `exit status N` or `signal N`.',
  example: { session: 'q1w2e3r4t5y6u7i8o9p0', errors: 'p0o9i8u7y6t5r4e3w2q1', command: ['uname', '-a'] },
});

export const resizeTerminal = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'resize-terminal',
  queue: false,
  request: TerminalSize.extend({ session: streamToken.describe('of `console` or `exec`') }),
  response: z.object({ resized: z.boolean().describe('false: a serial line has no size') }),
  errors: ['INVALID_ARG'],
  doc: 'Tell the size of the window that a console or a command with a terminal is shown in. Programs inside are told too.',
  example: { session: 'q1w2e3r4t5y6u7i8o9p0', rows: 50, columns: 132 },
});

/** How a command ended, as the last words of its stream. */
export type CommandEnd = { exitStatus: number } | { signal: number };

export const commandEndText = (end: CommandEnd): string =>
  'signal' in end ? `signal ${end.signal}` : `exit status ${end.exitStatus}`;

/** The exit code that a shell would give; undefined when the stream ended for another reason. */
export function exitCodeOf(text: string): number | undefined {
  const [, how, number] = /^(exit status|signal) (\d+)$/.exec(text) ?? [];
  if (how === undefined) return undefined;
  return how === 'signal' ? 128 + Number(number) : Number(number);
}
