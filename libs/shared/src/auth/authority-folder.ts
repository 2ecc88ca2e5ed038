/**
 * The folder of an authority:
 *
 *     authority.json       its keys, and whom it has issued credentials to: secret, kept off the hosts
 *     NAME.json            a context file a user: carry it to where the user is
 *     tls/                 the private authority for certificates, when it made one
 *     servers/NAME/        what one nats-server needs: nats-server.conf, and ca.pem, cert.pem, key.pem with TLS
 *
 * Every file is its owner's alone. What changes is on disk before any server is told of it.
 */
import { copyFileSync, chmodSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { readContextFile, type ContextFile } from '../bus/context-file';
import { VirtError } from '../errors';
import { lockFolder, makeFolder, replaceFile } from '../files';
import { HostName } from '../model';
import { Authority, Keys, type Credentials, type NewUser } from './authority';
import { checkServerCertificate, makeAuthority, makeServerCertificate } from './certificates';
import { clientUrl, isLoopback, serverConfig } from './nats-server';

const Port = z.int().min(1).max(65_535);
const Deployment = z.object({
  servers: z.array(z.object({ name: HostName, host: z.string(), port: Port, clusterPort: Port })).min(1),
  /** Who made the certificates: `own`, a private authority in this folder; `given`, somebody else; `none` of TLS. */
  tls: z.enum(['none', 'own', 'given']),
  /** The folder in which a server finds its part of this one; absent: here. */
  configDir: z.string().optional(),
  /** Where a server keeps JetStream's data; absent: in `data`, beside its configuration. */
  storeDir: z.string().optional(),
  monitorPort: Port.optional(),
});
export type Deployment = z.infer<typeof Deployment>;

const AuthorityFile = z.object({ ...Keys.shape, deployment: Deployment });

/** Certificates somebody else made: paths of PEM files. */
export interface GivenCertificates {
  ca: string;
  cert: string;
  key: string;
}

/** How long a change waits for another one of the same folder, milliseconds. */
const patienceMs = 30_000;

export class AuthorityFolder {
  private constructor(
    readonly path: string,
    readonly authority: Authority,
    readonly deployment: Deployment,
  ) {}

  /** Throws `INVALID_ARG` when the folder has an authority, or the deployment cannot be safe. */
  static async create(path: string, deployment: Deployment, given?: GivenCertificates): Promise<AuthorityFolder> {
    const folder = new AuthorityFolder(resolve(path), Authority.create(), deployment);
    folder.checkDeployment();
    if (given)
      checkServerCertificate(
        given,
        deployment.servers.map(({ host }) => host),
      );
    makeFolder(folder.path, 0o700);
    if (AuthorityFolder.isIn(path)) {
      const detail = `${folder.file} is there already: its credentials would all become worthless; name another folder`;
      throw new VirtError('INVALID_ARG', { detail });
    }
    for (const { name } of deployment.servers) makeFolder(folder.serverDir(name), 0o700);
    folder.bringCertificates(given);
    folder.save();
    await folder.writeServers();
    return folder;
  }

  static isIn(path: string): boolean {
    return existsSync(join(path, 'authority.json'));
  }

  /** Throws `INVALID_ARG` when there is none or it cannot be read. */
  static open(path: string): AuthorityFolder {
    const file = join(resolve(path), 'authority.json');
    const bad = (why: string, cause?: unknown): VirtError =>
      new VirtError('INVALID_ARG', { detail: `${file} ${why}` }, { cause });
    let content: unknown;
    try {
      content = JSON.parse(readFileSync(file, 'utf8'));
    } catch (cause) {
      if (cause instanceof SyntaxError) throw bad('is not JSON', cause);
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'ENOENT') throw bad("does not exist; make an authority with 'virtbus auth init'", cause);
      throw bad(code === 'EACCES' ? 'may not be read by you' : `cannot be read: ${String(cause)}`, cause);
    }
    const parsed = AuthorityFile.safeParse(content);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw bad(`is damaged: ${issue?.path.join('.')}: ${issue?.message}`);
    }
    const { deployment, ...keys } = parsed.data;
    return new AuthorityFolder(resolve(path), new Authority(keys), deployment);
  }

  /** Open, change and save it while nobody else does; configurations of servers follow. */
  static async change<T>(path: string, change: (folder: AuthorityFolder) => Promise<T>): Promise<T> {
    AuthorityFolder.open(path);
    using _lock = await patientLock(path);
    const folder = AuthorityFolder.open(path);
    const result = await change(folder);
    folder.save();
    await folder.writeServers();
    return result;
  }

  /** How clients reach the servers. */
  get url(): string {
    return clientUrl(this.deployment.servers, this.deployment.tls !== 'none');
  }

  /** PEM of the authority that vouches for the servers. */
  get ca(): string | undefined {
    const [first] = this.deployment.servers;
    return this.deployment.tls === 'none'
      ? undefined
      : readFileSync(join(this.serverDir(first!.name), 'ca.pem'), 'utf8');
  }

  contextFile(name: string): string {
    return join(this.path, `${name}.json`);
  }

  /** Write a user's context file; tells where. */
  writeContext(credentials: Credentials): string {
    const { ca } = this;
    const context: ContextFile = { url: this.url, ...credentials, ...(ca === undefined ? {} : { ca }) };
    const path = this.contextFile(credentials.name);
    replaceFile(path, `${JSON.stringify(context, null, 2)}\n`, true);
    return path;
  }

  /** A user that is not there yet, or whose context file is gone, gets credentials; a revoked one stays without. */
  async ensure(user: NewUser): Promise<void> {
    const known = this.authority.keys.users.find(({ name }) => name === user.name);
    if (!known) this.writeContext(await this.authority.add(user));
    else if (!known.revoked && !existsSync(this.contextFile(user.name))) {
      this.writeContext(await this.authority.rotate(user.name, user.expires, false));
    }
  }

  /** The servers are reached elsewhere now: the context files that are here say so. */
  moveContexts(): void {
    for (const { name } of this.authority.keys.users) {
      const path = this.contextFile(name);
      if (!existsSync(path)) continue;
      const context = readContextFile(path);
      if (context.url !== this.url)
        replaceFile(path, `${JSON.stringify({ ...context, url: this.url }, null, 2)}\n`, true);
    }
  }

  dropContext(name: string): void {
    rmSync(this.contextFile(name), { force: true });
  }

  /** New certificates for the servers, where the private authority of this folder made the old ones. */
  renewCertificates(): boolean {
    if (this.deployment.tls !== 'own') return false;
    for (const { name, host } of this.deployment.servers) {
      const dir = this.serverDir(name);
      copyFileSync(this.ownCa.cert, join(dir, 'ca.pem'));
      const files = { cert: join(dir, 'cert.pem'), key: join(dir, 'key.pem') };
      makeServerCertificate(this.ownCa, files, name, host);
    }
    return true;
  }

  /** The configuration file of a server. */
  serverConfig(name: string): string {
    return join(this.serverDir(name), 'nats-server.conf');
  }

  private get file(): string {
    return join(this.path, 'authority.json');
  }

  private get ownCa(): { cert: string; key: string } {
    return { cert: join(this.path, 'tls', 'ca.pem'), key: join(this.path, 'tls', 'ca-key.pem') };
  }

  private serverDir(name: string): string {
    return join(this.path, 'servers', name);
  }

  private save(): void {
    const content = { ...this.authority.keys, deployment: this.deployment };
    replaceFile(this.file, `${JSON.stringify(content, null, 2)}\n`, true);
  }

  /** The configurations know the latest account: a server that starts with an empty store begins with it. */
  private async writeServers(): Promise<void> {
    const { servers, tls, configDir, storeDir, monitorPort } = this.deployment;
    for (const server of servers) {
      const dir = configDir ?? this.serverDir(server.name);
      const config = await serverConfig(this.authority, {
        server,
        cluster: servers,
        storeDir: storeDir ?? join(dir, 'data'),
        tlsDir: tls === 'none' ? undefined : dir,
        monitorPort,
      });
      replaceFile(this.serverConfig(server.name), config, true);
    }
  }

  /** What could not be read again is not written. */
  private checkDeployment(): void {
    const { error } = Deployment.safeParse(this.deployment);
    if (error) {
      const [issue] = error.issues;
      throw new VirtError('INVALID_ARG', { detail: `${issue?.path.join('.')}: ${issue?.message}` });
    }
    const { servers, tls } = this.deployment;
    const names = servers.map(({ name }) => name);
    const twice = names.find((name, at) => names.indexOf(name) !== at);
    if (twice) throw new VirtError('INVALID_ARG', { detail: `two servers are named '${twice}'` });
    const open = servers.find(({ host }) => !isLoopback(host));
    if (tls === 'none' && (open || servers.length > 1)) {
      const which = open ? `others can reach server '${open.name}' at ${open.host}` : 'a cluster has routes';
      throw new VirtError('INVALID_ARG', { detail: `${which}: that needs --tls, or --ca, --cert and --key` });
    }
  }

  private bringCertificates(given: GivenCertificates | undefined): void {
    if (this.deployment.tls === 'own') {
      makeFolder(join(this.path, 'tls'), 0o700);
      makeAuthority(this.ownCa);
      this.renewCertificates();
    }
    for (const { name } of given ? this.deployment.servers : []) {
      for (const [what, from] of Object.entries<string>({ ...given })) {
        const to = join(this.serverDir(name), `${what}.pem`);
        copyFileSync(from, to);
        chmodSync(to, 0o600);
      }
    }
  }
}

async function patientLock(path: string): Promise<Disposable> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await lockFolder(path);
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((again) => setTimeout(again, 50));
    }
  }
}
