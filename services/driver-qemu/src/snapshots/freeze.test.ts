/** A guest is thawed whatever becomes of the answers of its agent. */
import { parseDomain } from '@virtbus/domain-xml';
import { silent } from '@virtbus/shared/log';
import { eventually, goodAgent, pretendAgent, type AgentAsked, type PretendedAgent } from '@virtbus/testkit';
import type { SavedQemu } from '../saved-guest';
import { freeze, thaw } from './freeze';

jest.setTimeout(60_000);

const thaws = ({ asked }: PretendedAgent): number =>
  asked.filter((command) => command === 'guest-fsfreeze-thaw').length;

function guestWith({ path }: PretendedAgent) {
  const xml =
    '<domain type="qemu"><name>g</name><memory>1024</memory><os><type>hvm</type></os><devices><channel type="unix">' +
    `<source mode="bind" path="${path}"/><target type="virtio" name="org.qemu.guest_agent.0"/></channel></devices></domain>`;
  const written: (true | undefined)[] = [];
  let end = (): void => undefined;
  const saved = {} as SavedQemu;
  return {
    ...{ live: parseDomain(xml, { mode: 'live' }).domain, saved, log: silent, written },
    ...{ ended: new Promise<void>((resolve) => (end = resolve)), end: () => end() },
    tellSaved: () => void written.push(saved.frozen),
  };
}

test('what an agent froze it thaws, and that it may be frozen is on disk meanwhile', async () => {
  using agent = pretendAgent();
  const guest = guestWith(agent);
  await freeze(guest, new AbortController().signal);
  await thaw(guest);
  expect(guest.written).toEqual([true, undefined]);
  expect(thaws(agent)).toBe(1);
  await thaw(guest);
  expect(thaws(agent)).toBe(1);
});

test('an agent that is busy with freezing for longer than anybody waits is asked to thaw until it does', async () => {
  let busy = false;
  using agent = pretendAgent((command: AgentAsked, socket) => {
    if (command.execute === 'guest-fsfreeze-freeze') busy = true;
    else if (!busy) goodAgent(command, socket);
  });
  const guest = guestWith(agent);
  await expect(freeze(guest, AbortSignal.timeout(500))).rejects.toMatchObject({ code: 'AGENT_COMMAND_TIMEOUT' });
  await thaw(guest);
  expect(guest.saved.frozen).toBe(true);
  busy = false;
  await eventually(() => guest.saved.frozen, undefined, { timeoutMs: 20_000 });
  expect(thaws(agent)).toBe(1);
});

test('where no agent answers nothing is frozen, and nobody waits for it', async () => {
  using agent = pretendAgent(() => undefined);
  const guest = guestWith(agent);
  await expect(freeze(guest, new AbortController().signal)).rejects.toMatchObject({ code: 'AGENT_UNRESPONSIVE' });
  await thaw(guest);
  expect(guest.written).toEqual([]);
});
