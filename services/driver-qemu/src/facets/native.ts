/** `qemu-argv`: the command line that a document would be started with, and the document that a command line says. */
import { join } from 'node:path';
import {
  buildCommandLine,
  domainFromQemuArgv,
  formatInvocation,
  prepareForStart,
  type Domain,
  type QemuCapabilities,
} from '@virtbus/domain-xml';
import type { Facets } from '@virtbus/driver-runtime';
import { commandLineContext } from '../command-line';

/** What the facet asks of its driver. */
export interface NativeHost {
  /** Where guests have their folders of sockets. */
  run: string;
  sandbox: boolean;
  prepare(domain: Domain): Domain;
  capabilitiesOf(domain: Domain): QemuCapabilities;
}

const firstVncPort = 5900;
/** Where descriptors begin that a driver would pass. */
const firstDescriptor = 20;

export const nativeFacet = (host: NativeHost): NonNullable<Facets['native']> => ({
  formats: ['qemu-argv'],
  toNative: (_format, domain) => commandLineOf(host, domain),
  fromNative: (_format, text) => domainFromQemuArgv(text),
});

/**
 * The same steps as a start, without touching the host: a port or a tap that a start chooses is the first of its kind here,
 * and images are named without a look at what they stand on.
 */
function commandLineOf(host: NativeHost, definition: Domain): string {
  const prepared = host.prepare(definition);
  const capabilities = host.capabilitiesOf(prepared);
  const run = join(host.run, prepared.name.replaceAll(/[^\w.-]/g, '_').slice(0, 40));
  const live = withChoices(prepareForStart(prepared, { channelDir: run, capabilities }));
  let descriptor = firstDescriptor;
  const context = {
    ...commandLineContext(live, { run, state: run, log: join(run, 'log') }, host, capabilities),
    monitor: { path: join(run, 'monitor.sock') },
    descriptor: () => descriptor++,
    allowUnknownChain: true,
  };
  const { args, env } = buildCommandLine(live, context);
  return formatInvocation({ env, program: capabilities.emulator, args });
}

/** In place: what is found out when a guest starts. */
function withChoices(live: Domain): Domain {
  let port = firstVncPort;
  for (const screen of live.devices.graphics) {
    if (screen.type === 'vnc' && screen.listens[0]?.type !== 'socket') screen.port ??= port++;
    if (screen.type === 'spice' && screen.autoport) screen.port ??= port++;
  }
  let tap = 0;
  for (const card of live.devices.interfaces) {
    const isOnTap = ['bridge', 'network', 'ethernet', 'direct'].includes(card.type);
    if (isOnTap && card.target?.dev === undefined) card.target = { ...card.target, dev: `vnet${tap++}` };
  }
  return live;
}
