/** A domain's entry while it moves: what is promised, moved and taken back, and what comes late or twice. */
import { Conflict } from '@virtbus/shared/bus';
import type { DomainEntry } from '../registry/entries';
import type { Registry } from '../registry/registry';
import { Handover } from './handover';

const uuid = '11111111-1111-4111-8111-111111111111';
const [h1, h2] = [
  { host: 'h1', driver: 'qemu' },
  { host: 'h2', driver: 'qemu' },
];
const from = { ...h1, epoch: 3 };

/** One entry with compare-and-set; `meanwhile` is what another copy writes before our first write. */
function stand(meanwhile?: DomainEntry) {
  let value: DomainEntry | undefined = { uuid, name: 'web1', ...from };
  let revision = 1;
  const names: string[] = [];
  const domains = {
    create: async () => undefined,
    update: async (_key: string, entry: DomainEntry, at: number) => {
      if (meanwhile) {
        [value, meanwhile] = [meanwhile, undefined];
        revision++;
      }
      if (at !== revision) throw new Conflict('another was first');
      value = entry;
      revision++;
    },
  };
  const registry = {
    domain: async () => value && { key: uuid, value, revision },
    on: (work: (tables: { domains: typeof domains }) => unknown) => work({ domains }),
    release: async (name: string) => void names.push(`released ${name}`),
  } as unknown as Registry;
  const claims = {
    name: async ({ name }: { name: string }) => {
      names.push(`claimed ${name}`);
      return async () => undefined;
    },
  };
  return { handover: new Handover(registry, claims), names, entry: () => value };
}

const ask = { id: 'm1', domain: uuid, from, to: h2, name: 'web1' };

test('an epoch is promised to one migration, and the domain moves under it', async () => {
  const { handover, entry } = stand();
  expect(await handover.claim(ask)).toEqual({ epoch: 4 });
  expect(await handover.claim(ask)).toEqual({ epoch: 4 });
  expect(entry()).toMatchObject({ ...h1, epoch: 3, moving: { id: 'm1', epoch: 4 } });
  await expect(handover.claim({ ...ask, id: 'm2' })).rejects.toThrow('is being migrated (m1)');
  await handover.commit({ ...ask, epoch: 4 });
  await handover.commit({ ...ask, epoch: 4 });
  expect(entry()).toEqual({ uuid, name: 'web1', ...h2, epoch: 4, highest: 4 });
  // A claim that comes late is answered as it was.
  expect(await handover.claim(ask)).toEqual({ epoch: 4 });
});

test('what was promised and taken back is never promised again, also not to a claim that comes late', async () => {
  const { handover, entry } = stand();
  await handover.claim(ask);
  expect(await handover.release({ ...ask, fence: false })).toEqual({ epoch: 3 });
  expect(await handover.release({ ...ask, fence: false })).toEqual({ epoch: 3 });
  await expect(handover.claim(ask)).rejects.toThrow('migration m1 was withdrawn');
  expect(await handover.claim({ ...ask, id: 'm2' })).toEqual({ epoch: 5 });
  expect(entry()).toMatchObject({ ...h1, epoch: 3, withdrawn: ['m1'] });
});

test('a migration that was released before it was claimed gets nothing', async () => {
  const { handover } = stand();
  await handover.release({ ...ask, fence: false });
  await expect(handover.claim(ask)).rejects.toThrow('withdrawn');
});

test('images may have been brought by a domain that opened some, or is heard of from its new place before we are told', async () => {
  const { handover } = stand();
  const asked = { ...ask, epoch: 4 };
  await handover.claim(ask);
  expect(await handover.brought(asked)).toBe(false);
  await handover.opens(ask);
  expect(await handover.brought(asked)).toBe(true);
  await handover.commit(asked);
  expect(await handover.brought(asked)).toBe(true);
  expect(await handover.brought({ ...asked, epoch: 3 })).toBe(false);
});

test('where the target could not be asked the domain lives on above what it was promised', async () => {
  const { handover, entry } = stand();
  await handover.claim(ask);
  expect(await handover.release({ ...ask, fence: true })).toEqual({ epoch: 5 });
  expect(entry()).toMatchObject({ ...h1, epoch: 5, highest: 5 });
});

test('a name on the target is claimed, and the one that is not used is let go', async () => {
  const moved = stand();
  await moved.handover.claim({ ...ask, name: 'web2' });
  await moved.handover.commit({ ...ask, name: 'web2', epoch: 4 });
  expect(moved.names).toEqual(['claimed web2', 'released web1']);
  const stayed = stand();
  await stayed.handover.claim({ ...ask, name: 'web2' });
  await stayed.handover.release({ ...ask, fence: false });
  expect(stayed.names).toEqual(['claimed web2', 'released web2']);
});

test('a domain that is not where the caller believes gets no promise, whoever moved it in between', async () => {
  const elsewhere: DomainEntry = { uuid, name: 'web1', host: 'h3', driver: 'qemu', epoch: 9 };
  await expect(stand(elsewhere).handover.claim(ask)).rejects.toThrow('at epoch 9 here');
  await expect(stand().handover.claim({ ...ask, from: { ...h1, epoch: 2 } })).rejects.toThrow('speaks of epoch 2');
});
