/** A deed of the state machine as a call: to the source, the target or the registry. */
import {
  handoverClaim,
  handoverCommit,
  handoverImages,
  handoverRelease,
  isVirtError,
  migrationBegin,
  migrationConfirm,
  migrationFinish,
  migrationForsake,
  migrationPerform,
  migrationPrepare,
  migrationStatus,
  migrationUndo,
  VirtError,
  type DriverContract,
  type ErrorCode,
  type MigrationProgress,
  type MigrationView,
} from '@virtbus/shared';
import { callDriver, callService, type Bus } from '@virtbus/shared/bus';
import { isKnown, type At, type Deed, type Mind, type Outcome } from '@virtbus/migration-saga';
import type { z } from 'zod';
import type { Saga } from './journal';

/** Nobody answered, or the answer was lost on its way. */
const away: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'HOST_OFFLINE',
  'SERVICE_OFFLINE',
  'OPERATION_TIMEOUT',
  'RPC',
]);

/** The registry was to tell what a side needs. */
class RegistryAway extends Error {}

/** Somebody waits for what is known beside it, milliseconds. */
const progressMs = 2_000;

export class Parties {
  constructor(private readonly bus: Bus) {}

  /** Never throws: what is no answer is an outcome, too. */
  async ask(saga: Saga, mind: Mind<MigrationView>, deed: Deed): Promise<Outcome<MigrationView>> {
    try {
      return await this.call(saga, mind, deed);
    } catch (thrown) {
      if (thrown instanceof RegistryAway) return 'registry-away';
      const error = VirtError.from(thrown);
      return isAway(error) ? 'away' : { refused: error.message };
    }
  }

  /** Say something to the source beside the steps. Throws what it answers. */
  async tell({ id, domain, source }: Saga, c: DriverContract, request: object = {}): Promise<void> {
    await callDriver(this.bus, source, c, { id, ...request }, { domain });
  }

  /** How far the source says that it is; undefined where it says nothing in time. Never throws. */
  async progress({ id, domain, source }: Saga): Promise<MigrationProgress | undefined> {
    const ask = { id, role: 'source' } as const;
    const view = callDriver(this.bus, source, migrationStatus, ask, { domain, timeoutMs: progressMs });
    return (await view.catch(() => undefined))?.progress;
  }

  private async call(saga: Saga, mind: Mind<MigrationView>, deed: Deed): Promise<Outcome<MigrationView>> {
    const { id, domain, source, target, options, ledger } = saga;
    const { epoch } = saga;
    const name = options.name ?? saga.name;
    switch (deed.do) {
      case 'claim': {
        const ask = { id, domain, from: { ...source, epoch }, to: target, name };
        return { epoch: (await callService(this.bus, 'domain', handoverClaim, ask)).epoch };
      }
      case 'commit':
        await callService(this.bus, 'domain', handoverCommit, {
          id,
          domain,
          to: target,
          epoch: ledger.promised!,
          name,
        });
        return 'done';
      case 'release': {
        const ask = { id, domain, fence: deed.fence };
        return { epoch: (await callService(this.bus, 'domain', handoverRelease, ask)).epoch };
      }
      case 'look':
        return this.side(saga, deed.at, migrationStatus, { id, role: deed.at });
      case 'begin':
        return this.side(saga, 'source', migrationBegin, { id, peer: target, options });
      case 'prepare': {
        const { xml = '', definition, autostart, cookie = nothing, copies } = viewOf(mind.source);
        const given = { xml, ...(definition !== undefined && { definition, autostart }), cookie };
        const promised = { name, epoch: ledger.promised! };
        const opens = !options.offline && !deed.recover;
        const images = opens ? await this.images({ id, domain, to: target, ...promised, xml, copies }) : {};
        const ask = { id, peer: source, options, ...promised, recover: deed.recover, ...given, ...images };
        return this.side(saga, 'target', migrationPrepare, ask);
      }
      case 'perform': {
        const { uri = '', cookie = nothing } = viewOf(mind.target);
        return this.side(saga, 'source', migrationPerform, { id, options, uri, cookie, recover: deed.recover });
      }
      case 'finish': {
        const { cookie = nothing, revision } = viewOf(mind.source);
        const { downtimeMs } = options;
        return this.side(saga, 'target', migrationFinish, { id, cookie, revision, downtimeMs });
      }
      case 'forsake':
        return this.side(saga, 'target', migrationForsake, { id });
      case 'confirm': {
        const { cookie = nothing } = viewOf(mind.target);
        return this.side(saga, 'source', migrationConfirm, { id, cookie });
      }
      case 'undo': {
        const lives = ledger.givenUp?.targetIsOff ? { epoch: ledger.released } : {};
        const how = deed.at === 'source' ? { targetUndone: deed.targetUndone, ...lives } : {};
        return this.side(saga, deed.at, migrationUndo, { id, role: deed.at, ...how });
      }
      default:
        throw new TypeError(`nobody is asked to ${deed.do}`);
    }
  }

  /** What the disks stand on at the target. */
  private async images(ask: z.input<typeof handoverImages.request>): Promise<z.output<typeof handoverImages.response>> {
    try {
      return await callService(this.bus, 'domain', handoverImages, ask);
    } catch (error) {
      throw isAway(error) ? new RegistryAway('the registry is away', { cause: error }) : error;
    }
  }

  private async side<Req extends z.ZodType>(
    saga: Saga,
    at: At,
    c: DriverContract<Req, z.ZodType<MigrationView>>,
    request: z.input<Req>,
  ): Promise<Outcome<MigrationView>> {
    return { view: await callDriver(this.bus, saga[at], c, request, { domain: saga.domain }) };
  }
}

const isAway = (error: unknown): boolean => isVirtError(error) && away.has(error.code);

const nothing = new Uint8Array();

const viewOf = (seen: Mind<MigrationView>['source']): Partial<MigrationView> => (isKnown(seen) ? seen : {});
