/** Talk with the running servers of a bus as their own account: tell them of the virtbus account, ask who is there. */
import { connect, jwtAuthenticator, RequestStrategy, type NatsConnection } from 'nats';
import { VirtError } from '../errors';
import type { AuthorityFolder } from './authority-folder';

/** When a user was last connected: now, or until when; and where from. */
export interface Seen {
  connected: boolean;
  /** Until now, or when it left. */
  at: string;
  /** Address it came from. */
  from: string;
}

/** How long servers may take to answer, milliseconds. */
const answerMs = 3_000;

/**
 * Bring permissions and revocations of the authority into force: connected clients that are revoked are thrown out,
 * clients whose role may now do something else come back at once. Tells which servers have confirmed it; one that is away learns it from
 * the others within ten seconds of its return.
 */
export async function tellServers(folder: AuthorityFolder): Promise<string[]> {
  const jwt = await folder.authority.accountJwt();
  const answers = await ask<{ code?: number }>(folder, '$SYS.REQ.CLAIMS.UPDATE', jwt);
  const refused = answers.find(({ data }) => data?.code !== 200);
  if (refused) {
    const detail = `server ${refused.server.name} does not take the account: ${refused.error?.description ?? 'unknown'}`;
    throw new VirtError('OPERATION_FAILED', { detail });
  }
  return answers.map(({ server }) => server.name).sort();
}

/** By public nkey. */
export async function lastSeen(folder: AuthorityFolder): Promise<Map<string, Seen>> {
  interface Connz {
    connections?: { authorized_user?: string; ip: string; stop?: string }[];
  }
  // State 2: open and closed; the servers keep the latest ten thousand that were closed.
  const query = JSON.stringify({ auth: true, state: 2, acc: folder.authority.accountKey, limit: 100_000 });
  const answers = await ask<Connz>(folder, '$SYS.REQ.SERVER.PING.CONNZ', query);
  const seen = new Map<string, Seen>();
  for (const { data, server } of answers) {
    for (const { authorized_user: key, ip, stop } of data?.connections ?? []) {
      if (key === undefined) continue;
      const found = { connected: stop === undefined, at: stop ?? server.time, from: ip };
      const known = seen.get(key);
      if (
        !known ||
        Number(found.connected) - Number(known.connected) > 0 ||
        (!known.connected && found.at > known.at)
      ) {
        seen.set(key, found);
      }
    }
  }
  return seen;
}

interface Answer<T> {
  server: { name: string; time: string };
  data?: T;
  error?: { description?: string };
}

/** One question to all servers; throws `RPC` when none can be reached. */
async function ask<T>(folder: AuthorityFolder, subject: string, payload: string): Promise<Answer<T>[]> {
  const nc = await connected(folder);
  try {
    const how = {
      strategy: RequestStrategy.Count,
      maxMessages: folder.deployment.servers.length,
      maxWait: answerMs,
    };
    const answers: Answer<T>[] = [];
    for await (const message of await nc.requestMany(subject, payload, how)) answers.push(message.json<Answer<T>>());
    if (answers.length === 0)
      throw new VirtError('OPERATION_TIMEOUT', { detail: `no server answers at ${folder.url}` });
    return answers;
  } finally {
    await nc.close();
  }
}

async function connected(folder: AuthorityFolder): Promise<NatsConnection> {
  const { jwt, seed } = await folder.authority.systemUser();
  const { ca } = folder;
  try {
    return await connect({
      servers: folder.url.split(','),
      name: 'virtbus auth',
      authenticator: jwtAuthenticator(jwt, seed),
      timeout: answerMs,
      reconnect: false,
      ...(ca === undefined ? {} : { tls: { ca } }),
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new VirtError('RPC', { detail: `no NATS server at ${folder.url} can be told (${why})` }, { cause });
  }
}
