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

export class Use implements ImageUse {
  constructor(
    private readonly host: StorageHost,
    private readonly resolver: Resolver,
    private readonly chains: ChainBook,
    private readonly leases: LeaseBook,
    private readonly volumes: VolumeDirectory,
  ) {}

  async usersOf(path: string): Promise<ImageUser[]> {
    const identity = await this.identityOf(path);
    if (identity === undefined) return [];
    const standing = [...this.guests(), ...(await this.definitions()), ...(await this.pooled())];
    const found = standing.flatMap(({ user, chain }) => {
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
