/** The public operations on migrations. */
import {
  abortMigration,
  checkMigration,
  listMigrations,
  migrateDomain,
  MigrationOptions,
  migrationLimits,
  migrationPostcopy,
  setMigrationLimits,
  showMigration,
  startPostcopy,
  VirtError,
  encodeToken,
  type MigrationStep,
} from '@virtbus/shared';
import { endpoint, type Bus, type Call, type Endpoint } from '@virtbus/shared/bus';
import { newLedger } from '@virtbus/migration-saga';
import type { Saga } from './journal';
import type { Parties } from './parties';
import { preflight, refusal } from './preflight';
import type { Sagas } from './sagas';

export function endpointsOf(bus: Bus, sagas: Sagas, parties: Parties): Endpoint[] {
  const underWay = async (target: string): Promise<Saga> => {
    const saga = await sagas.find(target);
    const { settled } = saga.ledger;
    if (!settled) return saga;
    throw new VirtError('OPERATION_INVALID', { detail: `migration ${saga.id} has ended: ${settled}` });
  };
  return [
    endpoint(migrateDomain, async (request, call) => ({
      migration: sagas.show(await migrate(bus, sagas, request, call)),
    })),
    endpoint(checkMigration, async ({ to, driver, timeout, ...rest }, call) => {
      const options = MigrationOptions.parse(rest);
      const { reasons } = await preflight(bus, call.target!, { to, driver, options, timeout });
      return { reasons };
    }),
    endpoint(listMigrations, async ({ state, domain }) => ({
      migrations: sagas
        .recent()
        .filter((saga) => domain === undefined || saga.domain === domain || saga.name === domain)
        .map((saga) => sagas.show(saga))
        .filter((migration) => state === undefined || migration.state === state),
    })),
    endpoint(showMigration, async (_request, call) => ({
      migration: await sagas.look(await sagas.find(call.target!)),
    })),
    endpoint(abortMigration, async ({ targetIsOff }, call) => ({
      migration: sagas.show(await sagas.giveUp(call.target!, targetIsOff)),
    })),
    endpoint(setMigrationLimits, async (limits, call) => {
      // Written first: what is sent from now on is sent so.
      const saga = await sagas.amend(call.target!, limits);
      if (!beforeSending.has(saga.ledger.step)) await parties.tell(saga, migrationLimits, limits);
      return { migration: sagas.show(saga) };
    }),
    endpoint(startPostcopy, async (_request, call) => {
      const saga = await underWay(call.target!);
      if (!saga.ledger.postcopy) {
        const detail = `migration ${saga.id} does not allow post-copy: that is asked for as it begins (--postcopy)`;
        throw new VirtError('OPERATION_INVALID', { detail });
      }
      await parties.tell(saga, migrationPostcopy);
      return { migration: sagas.show(saga) };
    }),
  ];
}

/** Steps at which the source has not been asked to send: it will hear of the limits with that. */
const beforeSending: ReadonlySet<MigrationStep> = new Set(['claim', 'begin', 'prepare'] as const);

async function migrate(
  bus: Bus,
  sagas: Sagas,
  { to, driver, timeout, wait, ...rest }: ReturnType<typeof migrateDomain.request.parse>,
  call: Call,
): Promise<Saga> {
  const id = encodeToken(call.id);
  const options = MigrationOptions.parse(rest);
  const begun = await sagas.find(id).catch(() => undefined);
  const saga = begun ?? (await begin());
  return wait ? sagas.ended(saga.id, call.signal) : saga;

  async function begin(): Promise<Saga> {
    const { domain, source, target, reasons } = await preflight(bus, call.target!, { to, driver, options, timeout });
    if (reasons.length > 0) throw refusal(reasons);
    const { uuid, name, epoch, state } = domain;
    // One that stands still now is not set going by moving it.
    const asItIs = state === 'paused' ? { ...options, paused: true, postcopy: false } : options;
    const given = { id, domain: uuid, name, epoch, source, target, options: asItIs, ledger: newLedger(asItIs) };
    // Who stands still writes to no memory, and need not be hurried.
    const late = timeout?.action === 'postcopy' && !asItIs.postcopy ? undefined : timeout;
    return sagas.start({ ...given, cause: call.id, ...(late && { timeout: late }) });
  }
}
