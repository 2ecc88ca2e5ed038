import { encodeToken, type DomainSummary, type Inventory } from '@virtbus/shared';
import { Conflict } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import { Projection } from '../projection';
import { placeholder } from './entries';
import { Reconciler } from './reconciler';
import type { Registry, Tables } from './registry';

const uuid = '00000000-0000-4000-8000-000000000001';
const web: DomainSummary = {
  ...placeholder({ uuid, name: 'web', host: 'h1', driver: 'qemu', epoch: 1 }),
  state: 'shutoff',
  revision: 1,
};
const gone: DomainSummary = { ...web, persistent: false, revision: 2 };
const inventory = (domains: DomainSummary[], left: Inventory['gone'] = []): Inventory =>
  ({ status: { host: 'h1', driver: 'qemu' }, domains, gone: left }) as unknown as Inventory;

/** A bucket without revisions. */
class Rows {
  readonly rows = new Map<string, unknown>();
  /** What comes in between a write and its answer. */
  meanwhile: () => void = () => undefined;

  async entries() {
    return [...this.rows].map(([key, value]) => ({ key, value, revision: 1 }));
  }

  async create(key: string, value: unknown): Promise<void> {
    if (this.rows.has(key)) throw new Conflict();
    this.rows.set(key, value);
    this.meanwhile();
  }
}

const stand = () => {
  const [domains, names, projection] = [new Rows(), new Rows(), new Projection()];
  const registry: Pick<Registry, 'on' | 'forget'> = {
    on: (work) => work({ domains, names } as unknown as Tables),
    forget: async (left) => {
      domains.rows.delete(left.uuid);
      names.rows.delete(encodeToken(left.name));
    },
  };
  const knowledge = {
    heard: (told: unknown) => ({ summary: web, applied: projection.apply(told as DomainSummary) }),
    once: (_key: string, say: () => void) => say(),
  };
  const log = { warn: jest.fn(), error: jest.fn() } as unknown as Log;
  const reconciler = new Reconciler(registry, projection, knowledge, async () => 'unknown', log);
  return { domains: domains.rows, names: names.rows, table: domains, projection, reconciler };
};

test('a domain that the registry lacks is written with its name', async () => {
  const { domains, names, reconciler } = stand();
  await reconciler.take(inventory([web]));
  expect([...domains.keys()]).toEqual([uuid]);
  expect([...names.keys()]).toEqual([encodeToken('web')]);
});

test('an inventory that is older than the end of its domain writes nothing', async () => {
  const { domains, names, table, projection, reconciler } = stand();
  const create = jest.spyOn(table, 'create');
  projection.apply(web);
  projection.apply(gone);
  await reconciler.take(inventory([web]));
  expect(create).not.toHaveBeenCalled();
  expect([...domains.keys(), ...names.keys()]).toEqual([]);
});

test('a domain that ends while it is being written is let go of again', async () => {
  const { domains, names, table, projection, reconciler } = stand();
  table.meanwhile = () => projection.apply(gone);
  await reconciler.take(inventory([web]));
  expect([...domains.keys(), ...names.keys()]).toEqual([]);
});

test('a later life of a domain that had ended is written', async () => {
  const { domains, projection, reconciler } = stand();
  projection.apply(web);
  projection.apply(gone);
  await reconciler.take(inventory([{ ...web, revision: 3 }]));
  expect([...domains.keys()]).toEqual([uuid]);
});

test('inventories that come together are compared with one reading', async () => {
  const { table, reconciler } = stand();
  const read = jest.spyOn(table, 'entries');
  const other = { ...web, uuid: uuid.replace(/1$/, '2'), name: 'db' };
  await Promise.all([reconciler.take(inventory([web])), reconciler.take(inventory([other]))]);
  expect(read).toHaveBeenCalledTimes(1);
  expect(table.rows.size).toBe(2);
});
