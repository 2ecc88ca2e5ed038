/** Paths of sockets that a start has made up: they mean something on that host, for that run, and nowhere else. */
import type { Channel } from './elements/chardev';
import type { Domain } from './elements/domain';
import { copyModel } from './schema';

/** What a channel without a name of its own is called. */
export const namelessSocket = 'unknown.sock';

/** libvirt's folder of channels, of any release: for this or for another name of the domain. */
const libvirts =
  /^\/var\/(?:lib|run)\/libvirt\/qemu\/channel\/(?:target\/)?(?:(?:domain-[^/]+|\d+-[^/]+)\/|[^/]+\.)(.*)$/;
/** The folder that a guest has while it runs, on whichever host: twenty digits of its uuid, below a folder of the host's choice. */
const ours = /\/[0-9a-f]{20}\/([^/]+)$/;

/** A listening channel whose path nobody chose. */
export function hasGeneratedSocket({ type, sources: [source], target }: Channel): boolean {
  const { path, mode } = source ?? {};
  if (type !== 'unix' || path === undefined) return false;
  if (libvirts.test(path)) return !!target?.name && path.endsWith(target.name);
  return mode !== 'connect' && ours.exec(path)?.[1] === (target?.name ?? namelessSocket);
}

/** A copy whose channels have only the paths that somebody chose: what is made of it chooses anew. */
export function withoutGeneratedSockets(domain: Domain): Domain {
  const copy = copyModel(domain);
  for (const channel of copy.devices.channels) if (hasGeneratedSocket(channel)) channel.sources = [];
  return copy;
}
