/** Commands on a domain's life that change its state and answer at once: start, stop, pause and their kin. */
import type { PowerMode } from '@virtbus/shared';
import { command, domain, example, flag, UsageError, value } from '../spec';
import { attachConsole, consoleOptions } from '../console';
import { untilStopped } from '../wait';

/** `--mode acpi,agent`. */
const mode = value(
  'MODE[,MODE]',
  'acpi, agent, of a container initctl, signal: ways to ask the guest, in the order they are tried',
);

const known = ['acpi', 'agent', 'initctl', 'signal'] as const satisfies readonly PowerMode[];

export function modes(text: string | undefined): PowerMode[] {
  if (text === undefined) return [];
  return text.split(',').map((each) => {
    const found = known.find((one) => one === each);
    if (found) return found;
    throw new UsageError(`--mode: '${each}' is none of ${known.join(', ')}`);
  });
}

export const start = command({
  name: 'start',
  group: 'domain',
  summary: 'Boot a defined, inactive domain, or bring back its managed save image',
  args: { domain },
  options: {
    console: flag('attach to its console'),
    paused: flag('leave it paused'),
    forceBoot: flag('boot afresh and drop a managed save image'),
  },
  gives: 'startDomain',
  queue: true,
  examples: [
    example('start web1', 'boot it'),
    example('start web1 --console', 'and watch it boot'),
    example('start web1 --queue', 'whenever its host is there'),
  ],
  async run({ args, options, session, out }) {
    if (options.console && session.queueing) throw new UsageError('--console does not go with --queue');
    const { paused, forceBoot } = options;
    await session.give('startDomain', { paused, forceBoot }, args.domain, (a) => `Domain '${a.domain.name}' started`);
    if (options.console) await attachConsole(session, out, args.domain, {});
  },
});

export const shutdown = command({
  name: 'shutdown',
  group: 'domain',
  summary: 'Ask the guest to shut down',
  about: 'Answered when the guest has been asked, as in virsh; with --wait when it has stopped.',
  args: { domain },
  options: { mode, wait: flag('wait until it has stopped, at most --timeout seconds (300)') },
  gives: 'shutdownDomain',
  queue: true,
  examples: [
    example('shutdown web1', 'ask it'),
    example('shutdown web1 --mode agent,acpi', 'through the agent, else the power button'),
    example('shutdown web1 --wait --timeout 60', 'give it a minute; exit code 4 when it does not stop'),
  ],
  async run({ args, options, globals, session, out }) {
    if (options.wait && session.queueing) throw new UsageError('--wait does not go with --queue');
    const request = { mode: modes(options.mode) };
    if (!options.wait) {
      await session.give('shutdownDomain', request, args.domain, (a) => `Domain '${a.domain.name}' is being shutdown`);
      return;
    }
    const stopped = await untilStopped(session, args.domain, globals.timeout ?? 300, () =>
      session.call('shutdownDomain', request, args.domain),
    );
    out.show({ domain: stopped }, () => `Domain '${stopped.name}' has shut down`);
  },
});

export const reboot = command({
  name: 'reboot',
  group: 'domain',
  summary: 'Ask the guest to reboot',
  args: { domain },
  options: { mode },
  gives: 'rebootDomain',
  queue: true,
  examples: [example('reboot web1', 'ask it')],
  async run({ args, options, session }) {
    const request = { mode: modes(options.mode) };
    await session.give('rebootDomain', request, args.domain, (a) => `Domain '${a.domain.name}' is being rebooted`);
  },
});

export const destroy = command({
  name: 'destroy',
  group: 'domain',
  summary: 'Cut the power: stop a domain at once',
  about: 'Works on a guest that hangs, and interrupts whatever else is done to the domain. Its definition stays.',
  args: { domain },
  options: { graceful: flag('fail rather than kill it when it does not end in 15 seconds') },
  gives: 'destroyDomain',
  queue: true,
  examples: [example('destroy web1', 'stop it now'), example('destroy web1 --graceful', 'but let QEMU flush')],
  async run({ args, options: { graceful }, session }) {
    await session.give('destroyDomain', { graceful }, args.domain, (a) => `Domain '${a.domain.name}' destroyed`);
  },
});

export const suspend = command({
  name: 'suspend',
  group: 'domain',
  summary: 'Pause a running domain; it keeps its memory',
  args: { domain },
  options: {},
  gives: 'suspendDomain',
  queue: true,
  examples: [example('suspend web1', 'pause it')],
  async run({ args, session }) {
    await session.give('suspendDomain', {}, args.domain, (a) => `Domain '${a.domain.name}' suspended`);
  },
});

export const resume = command({
  name: 'resume',
  group: 'domain',
  summary: 'Let a paused domain run again',
  args: { domain },
  options: {},
  gives: 'resumeDomain',
  queue: true,
  examples: [example('resume web1', 'let it run')],
  async run({ args, session }) {
    await session.give('resumeDomain', {}, args.domain, (a) => `Domain '${a.domain.name}' resumed`);
  },
});

export const reset = command({
  name: 'reset',
  group: 'domain',
  summary: 'Press the reset button',
  args: { domain },
  options: {},
  gives: 'resetDomain',
  queue: true,
  examples: [example('reset web1', 'reset it without asking the guest')],
  async run({ args, session }) {
    await session.give('resetDomain', {}, args.domain, (a) => `Domain '${a.domain.name}' was reset`);
  },
});

export const console = command({
  name: 'console',
  group: 'guest',
  summary: 'Connect to a serial console',
  about:
    'On a terminal every key goes to the guest; ^] leaves. With input from a pipe it is sent as it comes, and output ' +
    'follows until the domain stops, the console is taken over, or --for seconds have passed.',
  args: { domain },
  options: consoleOptions,
  gives: 'openConsole',
  examples: [
    example('console web1', 'type to the guest; ^] leaves'),
    example('console web1 --for 5 < commands.txt', 'send lines, show five seconds of output'),
    example('console web1 --devname serial1 --force', 'the second port, taken from whoever has it'),
  ],
  async run({ args, options, session, out }) {
    await attachConsole(session, out, args.domain, options);
  },
});
