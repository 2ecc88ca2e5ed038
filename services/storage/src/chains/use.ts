/**
 * Who stands on an image, and that nobody begins to while it is changed: domains by the chains of their guests and by the
 * disks of their definitions, volumes by what their headers say.
 */
import { identityKey, type ChainStart } from '@virtbus/disk-image';
import { isVirtError, VirtError, type ChainDocument, type ImageUser } from '@virtbus/shared';
import type { ImageUse, StorageHost, VolumeDirectory } from '../host';
import type { LeaseBook } from '../leases/book';
import type { ChainBook } from './book';
import type { Resolver } from './resolve';

/** Somebody who has a chain, or would have when started. */
interface Standing {
  user: Omit<ImageUser, 'layer'>;
  chain: ChainDocument;
}

/** A disk of a domain. */
interface DiskOf {
  domain: string;
  target: string;
  /** Identities of images that the same command writes to, or removes. */
  written?: ReadonlySet<string>;
}

export class Use implements ImageUse {
  constructor(
    private readonly host: StorageHost,
    private readonly resolver: Resolver,
    private readonly chains: ChainBook,
    private readonly leases: LeaseBook,
    private readonly volumes: VolumeDirectory,
  ) {}

  usersOf(path: string): Promise<ImageUser[]> {
    return this.standingOn(path);
  }

  /**
   * Throws `IMAGE_IN_USE` when anybody stands on the image.
   * @param but this disk, with the volumes that it stands on itself, and those that its command writes to
   */
  async nobodyOn(path: string, but?: DiskOf): Promise<void> {
    const users = await this.standingOn(path, but);
    if (users.length > 0) throw new VirtError('IMAGE_IN_USE', { path, users: [...new Set(users.map(nameOf))] });
  }

  private async standingOn(path: string, but?: DiskOf): Promise<ImageUser[]> {
    const identity = await this.identityOf(path);
    if (identity === undefined) return [];
    const all = [...this.guests(), ...(await this.definitions()), ...(await this.pooled())];
    const isOwn = ({ user }: Standing): boolean =>
      but !== undefined && user.domain === but.domain && user.target === but.target;
    const own = all.filter(isOwn).flatMap(({ chain }) => chain.layers);
    const isOwns = ({ user, chain: { layers } }: Standing): boolean => {
      const [top] = layers;
      if (user.kind !== 'volume' || !top?.identity) return false;
      const key = identityKey(top.identity);
      return but?.written?.has(key) === true || own.some((layer) => has(layer, key));
    };
    const found = all
      .filter((standing) => !isOwn(standing) && !isOwns(standing))
      .flatMap(({ user, chain }) => {
        const layer = chain.layers.findIndex((one) => has(one, identity));
        return layer < 0 || (user.kind === 'volume' && layer === 0) ? [] : [{ ...user, layer }];
      });
    // A domain that runs and is defined stands on it once.
    const keys = found.map(({ kind, name, domain, target }) => [kind, domain ?? name, target].join(' '));
    return found.filter((_user, i) => keys.indexOf(keys[i]!) === i);
  }

  async claim(path: string, what: string, below: boolean): Promise<Disposable> {
    const identity = await this.identityOf(path);
    if (identity === undefined) return { [Symbol.dispose]: () => undefined };
    if (below) await this.mustSeeAll(path, what);
    const bar = this.leases.bar(identity, path, what);
    try {
      const users = (await this.usersOf(path)).filter(({ running, layer }) => running || (below && layer > 0));
      const holders = this.leases.of(identity).map(({ name }) => `domain '${name}'`);
      const names = [...new Set([...users.map(nameOf), ...holders])];
      if (names.length === 0) return bar;
      throw new VirtError('IMAGE_IN_USE', { path, users: names });
    } catch (error) {
      bar[Symbol.dispose]();
      throw error;
    }
  }

  /** What nobody can look into now may stand on it. */
  private async mustSeeAll(path: string, what: string): Promise<void> {
    const [pool] = await this.volumes.unseen();
    if (pool === undefined) return;
    const detail = `${path} is not ${what}: pool '${pool}' cannot be looked into now, and a volume there may stand on it; try again when it can, or stop that pool`;
    throw new VirtError('RESOURCE_BUSY', { detail });
  }

  /** Domains of this host that hold a lease on it, by name. */
  async holdersOf(path: string): Promise<string[]> {
    const identity = await this.identityOf(path);
    return identity === undefined ? [] : this.leases.of(identity).map(({ name }) => name);
  }

  /** Undefined when nothing is there. */
  private async identityOf(path: string): Promise<string | undefined> {
    try {
      const image = await this.resolver.opener()({ type: 'file', path }, 'given');
      await image?.close();
      return image && identityKey(image.identity);
    } catch (error) {
      if (isVirtError(error, 'SYSTEM_ERROR')) return undefined;
      throw error;
    }
  }

  private guests(): Standing[] {
    return this.chains.all.flatMap(({ domain, name, live }) =>
      live.flatMap(({ target, chain }) => {
        const user = { kind: 'domain', name, host: this.host.name, domain, target, running: true } as const;
        return chain ? [{ user, chain }] : [];
      }),
    );
  }

  private async definitions(): Promise<Standing[]> {
    const disks = this.chains.all.flatMap(({ domain, name, definition }) =>
      definition.map(async (xml): Promise<Standing[]> => {
        const { target, chain } = await this.resolver.disk(xml).catch(() => this.resolver.named(xml));
        const user = { kind: 'domain', name, host: this.host.name, domain, target, running: false } as const;
        return chain ? [{ user, chain }] : [];
      }),
    );
    return (await Promise.all(disks)).flat();
  }

  private async pooled(): Promise<Standing[]> {
    const volumes = await this.volumes.list();
    const standing = volumes.map(async ({ pool, volume, location, format }): Promise<Standing[]> => {
      const start: ChainStart = { location, format };
      // A volume whose chain is broken stands on what can still be read of it.
      const chain = await this.resolver.chain(start).catch(() => this.resolver.broken(start));
      const user = { kind: 'volume', name: `${pool}/${volume}`, host: this.host.name, running: false } as const;
      return chain ? [{ user, chain }] : [];
    });
    return (await Promise.all(standing)).flat();
  }
}

function has({ identity, dataFile }: ChainDocument['layers'][number], wanted: string): boolean {
  return [identity, dataFile?.identity].some((one) => one !== undefined && identityKey(one) === wanted);
}

const nameOf = ({ kind, name }: ImageUser): string => `${kind} '${name}'`;
