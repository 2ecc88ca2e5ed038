/** Files that were made for commands, once those are over: taken away where nobody came to use them. */
import type { LeaseBook } from '../leases/book';
import type { MadeFiles } from './made-files';
import type { Use } from './use';

export class Leftovers {
  /** Claims that are being prepared: their leases come after their files. */
  private readonly underWay: string[] = [];

  constructor(
    private readonly made: MadeFiles,
    private readonly leases: LeaseBook,
    private readonly use: Use,
  ) {}

  /** Nothing that is made under the claim is taken for a leftover while the result is held. */
  prepares(claim: string): Disposable {
    this.underWay.push(claim);
    return { [Symbol.dispose]: () => void this.underWay.splice(this.underWay.indexOf(claim), 1) };
  }

  get preparing(): readonly string[] {
    return this.underWay;
  }

  /** A guest stands on these images: no leftovers. */
  taken(domain: string, paths: ReadonlySet<string>): void {
    this.made.taken(domain, paths);
  }

  /** These commands are known to have come to nothing. */
  undo(domain: string, claims: readonly string[]): Promise<void> {
    return this.made.over({ domain, claims }, true, (path) => this.isUsed(path));
  }

  /** Claims that nobody holds any longer are over, whatever came of them. Of all domains when none is named. */
  async sweep(domain?: string): Promise<void> {
    const makers = this.made.makers.filter((maker) => domain === undefined || maker.domain === domain);
    for (const { domain: of, claim } of makers) {
      const held = this.leases.all(of).some((holder) => holder.claim === claim);
      if (!held && !this.underWay.includes(claim))
        await this.made.over({ domain: of, claims: [claim] }, false, (path) => this.isUsed(path));
    }
  }

  private async isUsed(path: string): Promise<boolean> {
    return (await this.use.usersOf(path)).length > 0 || (await this.use.holdersOf(path)).length > 0;
  }
}
