/**
 * Learning what hosts say about domains: into the projection at once, and into the registry where placement changed.
 *
 * Read your writes, also through another copy: before a copy answers a command it tells the host's answer to all copies
 * on `virtbus.v1.sync.domain`. On one server that message is in every copy's hands before any request that the caller
 * makes after its answer; in a cluster it is ahead of it by the same path. Events bring the same news later and for good.
 */
import { DomainSummary, syncSubject } from '@virtbus/shared';
import { decode, encode, type Bus } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import { hasLeft, type Applied, type Projection } from './projection';
import type { Registry } from './registry/registry';

export class Knowledge {
  /** Telling the same trouble at every heartbeat helps nobody. */
  private readonly told = new Set<string>();

  constructor(
    private readonly bus: Bus,
    private readonly projection: Projection,
    private readonly registry: Registry,
    private readonly log: Log,
  ) {}

  /** Hear what the other copies learn, for as long as the connection lasts. */
  listen(): void {
    this.bus.nc.subscribe(syncSubject, {
      callback: (error, message) => {
        // One that has a reply is a stored message that somebody had delivered here: no copy said it.
        if (error || message.reply) return;
        try {
          this.heard((decode(message.data) as { domain?: unknown }).domain);
        } catch (err) {
          this.log.warn({ err }, 'another copy says what cannot be read');
        }
      },
    });
  }

  /**
   * A host answered a command of ours with this domain. Once it resolves, every copy knows, and the registry has let go
   * of a domain that left.
   */
  async answered(told: unknown): Promise<void> {
    const parsed = DomainSummary.safeParse(told);
    if (!parsed.success) return;
    const applied = this.apply(parsed.data);
    if (applied.kind === 'two-hosts') return;
    this.bus.nc.publish(syncSubject, encode({ domain: parsed.data }, 'msgpack'));
    await this.record(parsed.data, applied);
  }

  /** An event told this. The registry follows, in case the copy that caused it did not live to see to that. */
  happened(told: unknown): void {
    const domain = this.heard(told);
    if (!domain) return;
    this.record(domain.summary, domain.applied).catch((err: unknown) => {
      this.log.warn({ err, domain: domain.summary.uuid }, 'the registry could not follow an event');
    });
  }

  /** An inventory or another copy told this. */
  heard(told: unknown): { summary: DomainSummary; applied: Applied } | undefined {
    const parsed = DomainSummary.safeParse(told);
    if (parsed.success) return { summary: parsed.data, applied: this.apply(parsed.data) };
    this.log.warn({ reason: parsed.error.issues[0]?.message }, 'what was told of a domain makes no sense');
    return undefined;
  }

  /** Say a trouble once. */
  once(key: string, say: () => void): void {
    if (this.told.has(key)) return;
    if (this.told.size > 10_000) this.told.clear();
    this.told.add(key);
    say();
  }

  private apply(summary: DomainSummary): Applied {
    const applied = this.projection.apply(summary);
    if (applied.kind === 'two-hosts') {
      const hosts = [applied.kept.host, summary.host];
      this.once(`two-hosts ${summary.uuid} ${hosts.join(' ')}`, () =>
        this.log.error({ domain: summary.uuid, epoch: summary.epoch, hosts }, 'two hosts claim the same domain'),
      );
    }
    return applied;
  }

  private async record(summary: DomainSummary, applied: Applied): Promise<void> {
    if (applied.kind === 'gone' || (applied.kind === 'stale' && hasLeft(summary))) {
      await this.registry.forget(
        applied.kind === 'gone' ? { ...summary, name: applied.before?.name ?? summary.name } : summary,
      );
    } else if (applied.kind === 'changed') {
      const { before } = applied;
      if (before.name !== summary.name || before.host !== summary.host || before.epoch !== summary.epoch) {
        await this.registry.follow(before, summary);
      }
    }
  }
}
