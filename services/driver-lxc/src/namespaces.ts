/**
 * Namespaces of another container, or of a process of the host, that a container shares: each is held from its start to its end. liblxc
 * looks for the process at each boot anew, and by a reboot from inside its number may be somebody else's.
 */
import type { Domain } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import { mountBelow, type MountFolder } from './host-mounts';

export type NamespaceKind = 'net' | 'ipc' | 'uts';

/**
 * Where each is held. What names no process is left to whoever writes the configuration.
 * Throws `SYSTEM_ERROR` where there is no such process; what came about until then stays mounted.
 * @param initPid process id of the init of a container, by its domain's name
 */
export async function holdNamespaces(
  { lxcNamespace: shared }: Pick<Domain, 'lxcNamespace'>,
  folder: MountFolder,
  initPid: (domain: string) => number | undefined,
): Promise<Map<NamespaceKind, string>> {
  const held = new Map<NamespaceKind, string>();
  for (const kind of ['net', 'ipc', 'uts'] as const) {
    const { type, value = '' } = shared?.[kind] ?? {};
    const pid = type === 'name' ? initPid(value) : type === 'pid' && /^[1-9]\d{0,9}$/.test(value) ? value : undefined;
    if (pid === undefined) continue;
    held.set(kind, await mountBelow(folder, `${kind}-namespace`, bind, `/proc/${pid}/ns/${kind}`, 'file'));
    if (type === 'name' && initPid(value) !== pid)
      throw new VirtError('OPERATION_FAILED', { detail: `container '${value}' has just ended` });
  }
  return held;
}

/** The path is no link to a file of this name. */
const bind = ['--bind', '--no-canonicalize'];
