/** Who may use the bus: users are added, listed, given new credentials, and thrown out. */
import type { AuthorityFolder, IssuedUser, Seen } from '@virtbus/shared/auth';
import { fail } from '../failure';
import { auth } from '../lazy';
import { printUsers } from '../print/auth';
import { credentialsFolder } from '../settings';
import { argument, command, example, flag, optional, UsageError, value, type Option } from '../spec';
import { parseExpiry } from '../times';

const folder = value('DIR', "the authority's folder; default: credentials, in the state folder", 'file');
const expires: Option<Date | undefined> = {
  placeholder: 'WHEN',
  doc: 'until when the credentials are good: 12h, 90d, 52w or a time; default: for ever',
  parse: (text) => parseExpiry(text),
};
const roles = ['admin', 'operator', 'reader', 'service', 'host'] as const;
const ofRole: Option<string | undefined> = {
  placeholder: roles.join('|'),
  doc: 'what it may do: docs/reference/roles.md',
  completes: roles,
  parse: (text) => text,
};
const named = argument('name of the user');

/** A user as `list` tells of it. */
export interface UserRow extends Omit<IssuedUser, 'publicKey' | 'previous'> {
  key: string;
  /** Absent when no server could be asked, or none remembers the user. */
  seen?: Seen;
}

export const authAdd = command({
  name: 'auth-add',
  group: 'auth',
  summary: 'Add a user and write its credentials',
  about: 'Needs no server: whom the authority has signed is let in.',
  args: { name: optional('its name; default: its role, and the host for role host') },
  options: {
    role: ofRole,
    host: value('HOST', 'the host it speaks for, with role host', 'host'),
    expires,
    folder,
  },
  examples: [
    example('auth add --role host --host h2', 'for the driver and the storage service of host h2'),
    example('auth add ann --role operator --expires 90d', 'for a person, for three months'),
  ],
  async run({ args, options, out }) {
    const role = roles.find((each) => each === options.role);
    if (!role) {
      const wrong = options.role === undefined ? 'is missing' : `'${options.role}' is none of ${roles.join(', ')}`;
      throw new UsageError(`--role: ${wrong}`);
    }
    const name = args.name ?? (options.host === undefined ? role : `${role}-${options.host}`);
    const file = await auth().AuthorityFolder.change(options.folder ?? credentialsFolder(), async (opened) =>
      opened.writeContext(await opened.authority.add({ name, role, host: options.host, expires: options.expires })),
    );
    out.show({ name, role, file }, () => `User '${name}' added: ${file}`);
  },
});

export const authList = command({
  name: 'auth-list',
  group: 'auth',
  summary: 'List users, what they are good for, and when they were last connected',
  args: {},
  options: { folder },
  examples: [example('auth list', 'everybody, those that were revoked too')],
  async run({ options, out }) {
    const opened = auth().AuthorityFolder.open(options.folder ?? credentialsFolder());
    const seen = await auth()
      .lastSeen(opened)
      .catch((error: Error) => {
        out.note(`nobody knows who is connected: ${error.message}`);
        return new Map<string, Seen>();
      });
    const rows = opened.authority.keys.users.map(({ publicKey: key, previous: _previous, ...user }): UserRow => {
      const found = seen.get(key);
      return { ...user, key, ...(found ? { seen: found } : {}) };
    });
    out.show({ users: rows }, () => printUsers(rows, out.paint));
  },
});

export const authRevoke = command({
  name: 'auth-revoke',
  group: 'auth',
  summary: 'Throw a user out, at once and for good',
  about:
    'Its connections are ended and it cannot connect again. What runs on a host goes on: only our processes there lose the bus.',
  args: { name: named },
  options: { old: flag("only credentials that 'auth rotate --keep-old' has kept"), folder },
  examples: [example('auth revoke ann', 'ann is out')],
  async run({ args, options, out }) {
    const path = options.folder ?? credentialsFolder();
    const changed = await auth().AuthorityFolder.change(path, (opened) => {
      opened.authority.revoke(args.name, options.old ? 'old' : 'all');
      if (!options.old) opened.dropContext(args.name);
      return Promise.resolve(opened);
    });
    const servers = await told(changed, options.folder);
    const what = options.old ? `Old credentials of '${args.name}'` : `User '${args.name}'`;
    out.show({ name: args.name, servers }, () => `${what} revoked on ${servers.join(', ')}`);
  },
});

export const authRotate = command({
  name: 'auth-rotate',
  group: 'auth',
  summary: 'Give a user new credentials in place of its old ones',
  about:
    "A service reads its file again when it is thrown out: where it reads this very file it is back at once. Where the file has to be carried to, give --keep-old, carry it, and then 'auth revoke NAME --old'.",
  args: { name: named },
  options: { keepOld: flag("the old credentials stay good until 'auth revoke NAME --old'"), expires, folder },
  examples: [example('auth rotate host-h2 --keep-old', 'before the new file is carried to h2')],
  async run({ args, options, out }) {
    const { name } = args;
    const path = options.folder ?? credentialsFolder();
    const { file, changed } = await auth().AuthorityFolder.change(path, async (opened) => ({
      file: opened.writeContext(await opened.authority.rotate(name, options.expires, options.keepOld)),
      changed: opened,
    }));
    const servers = options.keepOld ? [] : await told(changed, options.folder);
    const old = options.keepOld ? 'the old ones stay good' : `the old ones are refused on ${servers.join(', ')}`;
    out.show({ name, file, servers }, () => `New credentials for '${name}': ${file}; ${old}`);
  },
});

export const authRenew = command({
  name: 'auth-renew',
  group: 'auth',
  summary: "Bring this version's permissions and all revocations into force on every server",
  about:
    'After an upgrade, and after servers were away. Users keep their credentials: what a role may do is told to the servers. Certificates of our own making are made anew; servers read them when they are reloaded (SIGHUP).',
  args: {},
  options: { folder },
  examples: [example('auth renew', 'after an upgrade')],
  async run({ options, out }) {
    const path = options.folder ?? credentialsFolder();
    const { changed, certificates } = await auth().AuthorityFolder.change(path, (opened) =>
      Promise.resolve({ changed: opened, certificates: opened.renewCertificates() }),
    );
    const servers = await told(changed, options.folder);
    out.show({ servers, certificates }, () => `In force on ${servers.join(', ')}`);
  },
});

/** The servers that have confirmed it. What none has heard is on disk: the failure says how they will. */
async function told(changed: AuthorityFolder, named: string | undefined): Promise<string[]> {
  try {
    return await auth().tellServers(changed);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const detail = `${why}; it is written down, and comes into force with 'virtbus auth renew${named === undefined ? '' : ` --folder ${named}`}'`;
    throw fail('OPERATION_FAILED', { detail });
  }
}
