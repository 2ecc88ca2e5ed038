/** What reaches into the guest or looks at it: agent, keys, screen, monitor, consoles. */
import {
  agentCommand,
  execInDomain,
  openConsole,
  qmpCommand,
  resizeTerminal,
  screenshot,
  sendKey,
  VirtError,
} from '@virtbus/shared';
import { facet } from '../driver';
import { mustBeHere } from '../handed-over';
import { change, guestOf, look, op } from './op';

export const agent = op({
  contract: agentCommand,
  needs: 'running',
  job: 'agent',
  once: true,
  run: async (request, { host, actor, call }) => {
    const { execute, arguments: args, timeoutMs } = request;
    const result = await facet(host.implementation, 'agent').execute(
      guestOf(actor),
      { execute, arguments: args },
      { timeoutMs, signal: call.signal },
    );
    return { result };
  },
});

export const keys = change(sendKey, 'active', async ({ keys: pressed, codeset, holdMs }, { host, actor, call }) => {
  const how = { codeset, holdMs, signal: call.signal };
  await facet(host.implementation, 'keyboard').sendKey(guestOf(actor), pressed, how);
  return {};
});

export const screen = look(screenshot, 'active', async ({ screen: number }, { host, actor, call }) => {
  const { mime, data } = await facet(host.implementation, 'screenshot').take(guestOf(actor), number, call.signal);
  return { mime, data: data.toString('base64') };
});

export const monitor = op({
  contract: qmpCommand,
  needs: 'active',
  job: 'none',
  once: true,
  run: async (request, { host, actor, call }) => {
    if ((request.execute === undefined) === (request.hmp === undefined)) {
      throw new VirtError('INVALID_ARG', { detail: 'give either execute or hmp' });
    }
    // What is let run here may run there, too.
    if (!request.execute?.startsWith('query-')) mustBeHere(actor);
    actor.taint('custom-monitor');
    return { result: await facet(host.implementation, 'monitor').execute(guestOf(actor), request, call.signal) };
  },
});

export const console = op({
  contract: openConsole,
  needs: 'active',
  job: 'none',
  once: true,
  run: async ({ session, device, force, backlog }, { host, actor }) => {
    const channel = facet(host.implementation, 'console').channel(guestOf(actor), device);
    return host.consoles.open({ uuid: actor.uuid, channel, session, force, backlog });
  },
});

export const exec = op({
  contract: execInDomain,
  needs: 'running',
  job: 'none',
  once: true,
  run: async ({ session, errors, command, ...how }, { host, actor }) => {
    const running = await facet(host.implementation, 'exec').run(guestOf(actor), { words: command, ...how });
    actor.log.info({ program: command[0] }, 'a command runs inside');
    return host.consoles.attach(running, { uuid: actor.uuid, session, errors });
  },
});

export const resize = op({
  contract: resizeTerminal,
  needs: 'active',
  job: 'none',
  once: false,
  run: async ({ session, ...size }, { host, actor }) => ({ resized: host.consoles.resize(actor.uuid, session, size) }),
});
