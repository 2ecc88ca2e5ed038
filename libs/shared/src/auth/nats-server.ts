/**
 * The configuration of an embedded nats-server: loopback only, JetStream, one nkey a user, and the credentials of each
 * user as a context file.
 */
import { createUser, fromSeed } from 'nkeys.js';
import type { ContextFile } from '../bus/connection';
import { inboxPrefix, permissionsOf, type UserRole } from './roles';

export interface User {
  role: UserRole;
  /** Public nkey, `U…`. */
  publicKey: string;
  /** Seed, `SU…`: secret. */
  seed: string;
}

export function newUser(role: UserRole): User {
  const pair = createUser();
  return { role, publicKey: pair.getPublicKey(), seed: new TextDecoder().decode(pair.getSeed()) };
}

/** A user from the seed in its context file. */
export function userOf(role: UserRole, seed: string): User {
  return { role, publicKey: fromSeed(new TextEncoder().encode(seed)).getPublicKey(), seed };
}

/** `admin`, `host-h1`: the name of the user's context file. */
export function userName(role: UserRole): string {
  return role.role === 'host' ? `host-${role.host}` : role.role;
}

export function contextOf(user: User, url: string): ContextFile {
  return { url, role: user.role.role, nkey: user.seed, inboxPrefix: inboxPrefix(user.role) };
}

export interface ServerOptions {
  port: number;
  storeDir: string;
  users: readonly Pick<User, 'role' | 'publicKey'>[];
  serverName?: string | undefined;
  pidFile?: string | undefined;
}

/** The text of a nats-server configuration file. */
export function serverConfig(o: ServerOptions): string {
  const text = JSON.stringify;
  return [
    `server_name: ${text(o.serverName ?? 'virtbus')}`,
    `listen: "127.0.0.1:${o.port}"`,
    ...(o.pidFile ? [`pid_file: ${text(o.pidFile)}`] : []),
    'max_payload: 1MB',
    `jetstream { store_dir: ${text(o.storeDir)} }`,
    authorization(o.users),
    '',
  ].join('\n');
}

/** The `authorization` block: also for a server of your own. */
export function authorization(users: readonly Pick<User, 'role' | 'publicKey'>[]): string {
  const blocks = users.map(({ role, publicKey }) => {
    const { publish, subscribe, responses } = permissionsOf(role);
    const permissions = {
      publish,
      subscribe,
      ...(responses ? { allow_responses: responses } : {}),
    };
    return `    { nkey: ${publicKey}, permissions: ${JSON.stringify(permissions)} }`;
  });
  return ['authorization {', '  users = [', blocks.join(',\n'), '  ]', '}'].join('\n');
}
