/** An authority for one test's bus, as `virtbus auth` makes one: a server that trusts it, context files for its users. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { Authority, trustIn, type Credentials, type NewUser } from '@virtbus/shared/auth';
import type { TemporaryFolder } from './temporary-folder';

interface Made {
  authority: Authority;
  credentials: readonly Credentials[];
}

/** Keys and signatures cost more than a server: the stands of a test file that have the same hosts share theirs. */
const made = new Map<string, Promise<Made>>();

export class BusUsers {
  private constructor(
    private readonly folder: TemporaryFolder,
    private readonly made: Made,
  ) {}

  /** One user a role, named like it, and `host-<host>` for each host. */
  static async create(folder: TemporaryFolder, hosts: readonly string[]): Promise<BusUsers> {
    const key = hosts.join();
    if (!made.has(key)) made.set(key, make(hosts));
    return new BusUsers(folder, await made.get(key)!);
  }

  /**
   * Lines of a nats-server's configuration: what it trusts, and below which folder it remembers that.
   * @param server its name, where there are several
   */
  serverTrust(server?: string): Promise<string> {
    const memory = server === undefined ? this.folder.path : this.folder.file(server);
    mkdirSync(memory, { recursive: true });
    return trustIn(this.made.authority, memory);
  }

  /**
   * A context file a user, `<name>.json` in the folder.
   * @param detours other addresses for some of them, by name
   */
  write(url: string, detours: ReadonlyMap<string, string> = new Map()): void {
    for (const each of this.made.credentials) this.writeOne(each, detours.get(each.name) ?? url);
  }

  writeOne(credentials: Credentials, url: string): void {
    const path = this.folder.file(`${credentials.name}.json`);
    writeFileSync(path, JSON.stringify({ url, ...credentials }), { mode: 0o600 });
  }
}

async function make(hosts: readonly string[]): Promise<Made> {
  const users: NewUser[] = [
    ...(['admin', 'operator', 'reader', 'service'] as const).map((role) => ({ name: role, role })),
    ...hosts.map((host) => ({ name: `host-${host}`, role: 'host' as const, host })),
  ];
  const authority = Authority.create();
  const credentials: Credentials[] = [];
  for (const user of users) credentials.push(await authority.add(user));
  return { authority, credentials };
}
