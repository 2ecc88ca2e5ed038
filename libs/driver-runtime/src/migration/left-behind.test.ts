/** What a domain would leave behind keeps it where it is, and is told before anything is touched. */
import { BackupsInMemory, startWithDisk } from '../testing/memory-backups';
import type { MemoryMigrations } from '../testing/memory-migrations';
import { uuid } from '../testing/one-host';
import { Moving } from '../testing/moving';

test('a domain with checkpoints does not leave until they are gone, or their descriptions are', async () => {
  using moving = await Moving.open();
  const { from } = moving;
  new BackupsInMemory().giveTo(from.driver);
  await startWithDisk(from);
  const make = (name: string): Promise<unknown> =>
    from.call('checkpoint-create', {
      xml: `<domaincheckpoint><name>${name}</name></domaincheckpoint>`,
      redefine: false,
      quiesce: false,
    });
  await make('c1');
  await make('c2');
  const refusal =
    /^OPERATION_INVALID: .*with 2 checkpoints \(c1, c2\); delete them \(checkpoint-delete\), or .*--metadata/;
  expect(await moving.blockers()).toEqual([expect.stringMatching(refusal)]);
  expect(await moving.refusal()).toMatch(refusal);
  expect(from.state()).toBe('running(booted)');
  for (const [name, metadata] of [
    ['c2', false],
    ['c1', true],
  ] as const) {
    await from.call('checkpoint-delete', { name, metadata, children: false, childrenOnly: false });
  }
  expect(await moving.blockers()).toEqual([]);
  await moving.performed();
  await moving.finish();
  expect(moving.to.state(uuid)).toBe('running(migrated)');
});

test('a domain that is off does not leave what its hypervisor has here alone', async () => {
  using moving = await Moving.open({ live: false, offline: true });
  const { from } = moving;
  await from.define();
  const facet = from.driver.facets.migration as MemoryMigrations;
  facet.kept = [{ where: 'source', code: 'MIGRATE_UNSAFE', message: 'Unsafe migration: its variables stay' }];
  const refusal = 'MIGRATE_UNSAFE: Unsafe migration: its variables stay';
  expect(await moving.blockers()).toEqual([refusal]);
  expect(await moving.refusal()).toBe(refusal);
  facet.kept = [];
  expect((await moving.performed()).phase).toBe('performed');
});
