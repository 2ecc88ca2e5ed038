/** What goes from the fleet's book when a host's book has let go, between a table and a storage service of a test's making. */
import { encode, type Bus } from '@virtbus/shared/bus';
import type { Registry } from '../registry/registry';
import { FleetLeases } from './fleet-leases';

const domain = '00000000-0000-4000-8000-000000000001';
const identity = 'file:1:2';
const holder = { domain, name: 'd1', host: 'h1', driver: 'qemu', epoch: 1, claim: 'c2' };

type Mode = 'exclusive' | 'shared';
const lease = (identity: string, mode: Mode) => ({ identity, path: '/a', mode, target: 'vda', fleet: true });
const { claim: _claim, ...at } = holder;

/** The fleet's book has the image for the domain alone, and its host's book has these. */
function stand(booked: ReturnType<typeof lease>[], host = 'h1'): { leases: FleetLeases; deleted: number[] } {
  const deleted: number[] = [];
  const entry = { key: 'k', revision: 7, value: { identity, path: '/a', holder: { ...holder, host } } };
  const table = {
    get: async (key: string) => (key.endsWith('.x') ? entry : undefined),
    create: async () => undefined,
    delete: async (_key: string, revision: number) => void deleted.push(revision),
  };
  const registry = { on: (work: (tables: object) => unknown) => work({ leases: table }) } as unknown as Registry;
  const holders = [{ ...holder, revision: 3, taken: 0, leases: booked }];
  const bus = {
    settling: () => false,
    connected: () => true,
    onReconnect: () => () => undefined,
    bodies: { outgoing: (body: Uint8Array) => body, incoming: (body: Uint8Array) => body },
    nc: { isClosed: () => false, request: async () => ({ data: encode({ holders }, 'msgpack') }) },
  } as unknown as Bus;
  return { leases: new FleetLeases(registry, bus), deleted };
}

/** Deletes what the domain has let go of, while its host's book holds `booked`. @returns revisions of what was deleted */
async function dropped(booked: string[], { host = 'h1' } = {}): Promise<number[]> {
  const { leases, deleted } = stand(
    booked.map((one) => lease(one, 'exclusive')),
    host,
  );
  await leases.drop({ domain, host: 'h1' }, [identity]);
  return deleted;
}

describe('an image that a domain has let go of', () => {
  test('goes from the book of the fleet', async () => {
    expect(await dropped([])).toEqual([7]);
  });

  test('stays when the domain has taken it again since', async () => {
    expect(await dropped([identity])).toEqual([]);
  });

  test('stays with whoever has it alone when the domain is told to share it: a command on its way', async () => {
    const shares = [{ claim: 'c1', leases: [lease(identity, 'shared')] }];
    const has = async (mode: 'exclusive' | 'shared'): Promise<number[]> => {
      const { leases, deleted } = stand([lease(identity, mode)]);
      await leases.hold(at, shares);
      return deleted;
    };
    expect(await has('exclusive')).toEqual([]);
    expect(await has('shared')).toEqual([7]);
  });

  test('stays when the domain has it on another host by now', async () => {
    expect(await dropped([], { host: 'h2' })).toEqual([]);
  });
});
