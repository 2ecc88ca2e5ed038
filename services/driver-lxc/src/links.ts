/** Network cards of a container that runs: made, moved into it and taken away with the host's `ip` (iproute2). */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Interface } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';

const run = promisify(execFile);

/** Throws `SYSTEM_ERROR` with ip's words; nothing is left then. @param pid of the container's init */
export async function plugLink(pid: number, card: Interface): Promise<void> {
  const inside = card.guest!.dev!;
  const address = card.mac ? ['address', card.mac.address] : [];
  // What is in the way is not ours to take away.
  let isMade = false;
  try {
    if (card.type === 'direct') {
      const { dev, mode = 'vepa' } = card.source ?? {};
      const as = mode === 'passthrough' ? 'passthru' : mode;
      await ip(
        'link',
        'add',
        'link',
        dev!,
        'name',
        inside,
        ...address,
        'netns',
        String(pid),
        'type',
        'macvlan',
        'mode',
        as,
      );
      isMade = true;
    } else {
      const outside = card.target!.dev!;
      const peer = ['peer', 'name', inside, ...address, 'netns', String(pid)];
      await ip('link', 'add', 'name', outside, 'type', 'veth', ...peer);
      isMade = true;
      if (card.mtu?.size) await ip('link', 'set', 'dev', outside, 'mtu', String(card.mtu.size));
      if (card.source?.bridge) await ip('link', 'set', 'dev', outside, 'master', card.source.bridge);
      await ip('link', 'set', 'dev', outside, 'up');
    }
    for (const { address: own, prefix } of card.ips) {
      const bits = prefix ?? (own.includes(':') ? 64 : 24);
      await inNetwork(pid, 'address', 'add', `${own}/${bits}`, 'dev', inside);
    }
    if (card.link?.state !== 'down') await inNetwork(pid, 'link', 'set', 'dev', inside, 'up');
  } catch (error) {
    if (isMade) await unplugLink(pid, card).catch(() => undefined);
    throw error;
  }
}

/** Does nothing for a card that is gone. */
export async function unplugLink(pid: number, card: Interface): Promise<void> {
  if (!(await isLinked(pid, card))) return;
  if (card.type === 'direct') await inNetwork(pid, 'link', 'delete', 'dev', card.guest!.dev!);
  else await ip('link', 'delete', 'dev', card.target!.dev!);
}

/** There is a network device of its name: on the host, or inside for one that has no end there. */
export async function isLinked(pid: number, card: Interface): Promise<boolean> {
  if (card.type !== 'direct') return existsSync(`/sys/class/net/${card.target!.dev!}`);
  return inNetwork(pid, 'link', 'show', 'dev', card.guest!.dev!).then(
    () => true,
    () => false,
  );
}

const inNetwork = (pid: number, ...args: string[]): Promise<void> =>
  output('nsenter', ['-t', String(pid), '-n', 'ip', ...args]);
const ip = (...args: string[]): Promise<void> => output('ip', args);

async function output(program: string, args: string[]): Promise<void> {
  try {
    await run(program, args);
  } catch (cause) {
    const { stderr, message } = cause as { stderr?: string; message: string };
    throw new VirtError(
      'SYSTEM_ERROR',
      { detail: `${program} ${args.join(' ')}: ${stderr?.trim() || message}` },
      { cause },
    );
  }
}
