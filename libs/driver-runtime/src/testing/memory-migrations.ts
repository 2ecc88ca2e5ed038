/** Guests of the memory driver that move: what is sent is nothing, and arrives at once. */
import { VirtError, type MigrationReason } from '@virtbus/shared';
import type { MigrationFacet } from '../migration/facet';
import type { MemoryDriver, MemoryGuest } from './memory-driver';

const nothing = new Uint8Array();

export class MemoryMigrations implements MigrationFacet<MemoryGuest> {
  /** What this host says of a guest that is to come. */
  reasons: MigrationReason[] = [];

  /** What a domain that is off has on this host alone. */
  kept: MigrationReason[] = [];

  constructor(private readonly driver: MemoryDriver) {}

  show = async () => ({});
  blockers = async () => [];
  offlineBlockers = async () => this.kept;
  obstacles = async () => this.reasons;

  begin: MigrationFacet<MemoryGuest>['begin'] = async (guest) => {
    await this.driver.at('migrate');
    return { cookie: nothing, domain: guest.live };
  };

  receive: MigrationFacet<MemoryGuest>['receive'] = async (spec) => {
    const guest = await this.driver.start({ ...spec, paused: true });
    return { guest, uri: 'tcp:127.0.0.1:49152', cookie: nothing };
  };

  perform: MigrationFacet<MemoryGuest>['perform'] = async (guest, { handOver }) => {
    await guest.suspend('migration');
    handOver(nothing, { certain: true });
  };

  finish: MigrationFacet<MemoryGuest>['finish'] = async (guest, { letRun }) => {
    letRun(true);
    await guest.resume('migrated');
    return {};
  };

  arrived = () => nothing;
  confirm = async () => undefined;
  belongsHere = () => undefined;
  withdraw = async () => undefined;
  limits = async () => undefined;

  transferred: MigrationFacet<MemoryGuest>['transferred'] = async (guest, role) => {
    if (guest.machine.status === 'crashed')
      throw new VirtError('OPERATION_FAILED', { detail: 'the guest has crashed' });
    return role === 'target' ? 'arrived' : 'handed-over';
  };
}
