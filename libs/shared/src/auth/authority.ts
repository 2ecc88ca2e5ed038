/**
 * The authority of a bus: the keys that issue credentials, and a list of whom they were issued to.
 *
 * NATS' own chain of trust (decision 0016). An operator signs two accounts: the server's own (`$SYS`) and virtbus'. Each
 * role has a signing key in the virtbus account, and what the role may do stands beside that key: the account's JWT is
 * the one document from which servers learn permissions and revocations. A user's JWT says who it is and no more.
 */
import {
  createAccount,
  createOperator,
  createUser,
  encodeAccount,
  encodeOperator,
  encodeUser,
  fromSeed,
  type SigningKey,
} from '@nats-io/jwt';
import { z } from 'zod';
import type { ContextFile } from '../bus/context-file';
import { VirtError } from '../errors';
import { HostName } from '../model';
import { inboxPrefix, permissionsOf, roleNames, type RoleName } from './roles';

const Seed = z.string().regex(/^S[AO][A-Z2-7]{56}$/, 'is no seed of an nkey');

const IssuedUser = z.object({
  /** One token of a subject: that of its inboxes. */
  name: HostName,
  role: z.enum(roleNames),
  /** The host that a user of role `host` speaks for. */
  host: HostName.optional(),
  /** Public nkey, `U…`. */
  publicKey: z.string(),
  /** Keys that were replaced and are still good. */
  previous: z.array(z.string()).optional(),
  created: z.iso.datetime(),
  expires: z.iso.datetime().optional(),
  revoked: z.iso.datetime().optional(),
});
export type IssuedUser = z.infer<typeof IssuedUser>;

export const Keys = z.object({
  operator: Seed,
  systemAccount: Seed,
  account: Seed,
  roles: z.record(z.enum(roleNames), Seed),
  users: z.array(IssuedUser),
  /** Public nkeys that are refused, and credentials until when: seconds since 1970. */
  revocations: z.record(z.string(), z.int()),
});
export type Keys = z.infer<typeof Keys>;

/** What one user connects with, beside the address of the servers. */
export type Credentials = Pick<ContextFile, 'role' | 'name' | 'nkey' | 'jwt' | 'inboxPrefix'>;

export interface NewUser {
  name: string;
  role: RoleName;
  host?: string | undefined;
  expires?: Date | undefined;
}

const unlimited = { conn: -1, subs: -1, data: -1, payload: -1, leaf: -1, imports: -1, exports: -1, wildcards: true };
const jetStream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
/** How long the credentials of our own talk with the servers are good, seconds. */
const systemUserSeconds = 300;

const text = (seed: Uint8Array): string => new TextDecoder().decode(seed);
const pair = (seed: string): ReturnType<typeof fromSeed> => fromSeed(new TextEncoder().encode(seed));
const publicKey = (seed: string): string => pair(seed).getPublicKey();
const seconds = (date: Date): number => Math.floor(date.getTime() / 1_000);

export class Authority {
  constructor(readonly keys: Keys) {}

  static create(): Authority {
    const account = (): string => text(createAccount().getSeed());
    return new Authority({
      operator: text(createOperator().getSeed()),
      systemAccount: account(),
      account: account(),
      roles: Object.fromEntries(roleNames.map((role) => [role, account()])) as Keys['roles'],
      users: [],
      revocations: {},
    });
  }

  get accountKey(): string {
    return publicKey(this.keys.account);
  }

  get systemAccountKey(): string {
    return publicKey(this.keys.systemAccount);
  }

  /** Throws `INVALID_ARG` when there is no user of that name. */
  user(name: string): IssuedUser {
    const user = this.keys.users.find((each) => each.name === name);
    if (user) return user;
    const known = this.keys.users.map((each) => each.name).join(', ');
    throw new VirtError('INVALID_ARG', { detail: `there is no user '${name}'; there are: ${known || 'none'}` });
  }

  /** Throws `INVALID_ARG` when the name is taken or the role lacks its host. */
  async add({ name, role, host, expires }: NewUser): Promise<Credentials> {
    checkName('name', name);
    // Its context file would take the place of the authority's own.
    if (name === 'authority') throw new VirtError('INVALID_ARG', { detail: `name '${name}': choose another name` });
    const taken = this.keys.users.find((each) => each.name === name);
    if (taken) {
      const state = taken.revoked ? 'was revoked' : 'exists';
      const detail = `user '${name}' ${state}; choose another name, or 'virtbus auth rotate ${name}' for new credentials`;
      throw new VirtError('INVALID_ARG', { detail });
    }
    if ((role === 'host') !== (host !== undefined)) {
      const detail = role === 'host' ? 'role host needs the name of its host' : `role ${role} is of no host`;
      throw new VirtError('INVALID_ARG', { detail });
    }
    if (host !== undefined) checkName('host', host);
    const user = { name, role, ...(host === undefined ? {} : { host }), publicKey: '', created: '' };
    this.keys.users.push(user);
    return this.issue(user, expires);
  }

  /**
   * New credentials for a user, with a new key; it need not have been in good standing.
   * @param keepOld the old ones stay good until `revoke(name, 'old')`
   */
  async rotate(name: string, expires: Date | undefined, keepOld: boolean): Promise<Credentials> {
    const user = this.user(name);
    if (keepOld && !user.revoked) user.previous = [...(user.previous ?? []), user.publicKey];
    else this.refuse(user.publicKey);
    return this.issue(user, expires);
  }

  /** Nobody connects with its credentials any more; with `old`, those that were replaced and kept. */
  revoke(name: string, which: 'all' | 'old' = 'all'): void {
    const user = this.user(name);
    for (const key of user.previous ?? []) this.refuse(key);
    delete user.previous;
    if (which === 'old') return;
    this.refuse(user.publicKey);
    user.revoked ??= new Date().toISOString();
  }

  operatorJwt(): Promise<string> {
    return encodeOperator('virtbus', this.keys.operator, { system_account: this.systemAccountKey });
  }

  systemAccountJwt(): Promise<string> {
    const system = { limits: unlimited };
    return encodeAccount('SYS', this.systemAccountKey, system, { signer: this.keys.operator });
  }

  /** What servers hold virtbus' users to: the permissions of this version's roles, and who is revoked. */
  accountJwt(): Promise<string> {
    const account = {
      limits: { ...unlimited, ...jetStream },
      signing_keys: roleNames.map((role) => this.signingKey(role)),
      revocations: this.keys.revocations,
    };
    return encodeAccount('virtbus', this.accountKey, account, { signer: this.keys.operator });
  }

  /** A user of the servers' own account, for a few minutes: it may change accounts and ask who is connected. */
  async systemUser(): Promise<{ jwt: string; seed: Uint8Array }> {
    const user = createUser();
    const exp = seconds(new Date()) + systemUserSeconds;
    return { jwt: await encodeUser('virtbus auth', user, this.keys.systemAccount, {}, { exp }), seed: user.getSeed() };
  }

  private signingKey(role: RoleName): SigningKey {
    const { publish, subscribe, responses } = permissionsOf(role, { name: '{{name()}}', host: '{{tag(host)}}' });
    return {
      kind: 'user_scope',
      key: publicKey(this.keys.roles[role]),
      role,
      template: {
        pub: { allow: publish.allow, deny: publish.deny ?? [] },
        sub: { allow: subscribe.allow, deny: [] },
        ...(responses ? { resp: { max: responses.max, ttl: responses.ttlMs * 1_000_000 } } : {}),
        ...{ data: -1, payload: -1, subs: -1 },
      },
    };
  }

  private async issue(user: IssuedUser, expires: Date | undefined): Promise<Credentials> {
    const key = createUser();
    user.publicKey = key.getPublicKey();
    user.created = new Date().toISOString();
    delete user.revoked;
    delete user.expires;
    if (expires) user.expires = expires.toISOString();
    const jwt = await encodeUser(
      user.name,
      user.publicKey,
      this.accountKey,
      { tags: user.host === undefined ? [] : [`host:${user.host}`] },
      { signer: this.keys.roles[user.role], scopedUser: true, ...(expires ? { exp: seconds(expires) } : {}) },
    );
    return { role: user.role, name: user.name, nkey: text(key.getSeed()), jwt, inboxPrefix: inboxPrefix(user.name) };
  }

  private refuse(key: string): void {
    this.keys.revocations[key] = seconds(new Date());
  }
}

function checkName(what: string, name: string): void {
  const { error } = HostName.safeParse(name);
  if (error) throw new VirtError('INVALID_ARG', { detail: `${what} '${name}': ${error.issues[0]?.message}` });
}
