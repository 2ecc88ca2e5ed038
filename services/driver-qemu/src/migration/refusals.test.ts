/** What a domain that is off has here and nowhere else. */
import { existsSync, writeFileSync } from 'node:fs';
import type { Domain } from '@virtbus/domain-xml';
import { MigrationOptions } from '@virtbus/shared';
import { temporaryFolder } from '@virtbus/testkit';
import { offlineBlockersOf } from './refusals';

test('a domain that is off keeps its firmware variables where they are, unless others reach them or somebody has seen to it', async () => {
  using folder = temporaryFolder();
  const path = folder.file('web1_VARS.fd');
  const domain = { os: { nvram: { path } } } as Domain;
  const reasons = (options: object = {}, folders: string[] = []): Promise<object[]> =>
    offlineBlockersOf(domain, { options: MigrationOptions.parse({ offline: true, ...options }) }, { folders });
  // It was never started: the template is what it has.
  expect(existsSync(path)).toBe(false);
  expect(await reasons()).toEqual([]);
  writeFileSync(path, 'variables');
  const message = expect.stringContaining(`${path}, which other hosts do not reach; copy the file`) as string;
  expect(await reasons()).toEqual([{ where: 'source', code: 'MIGRATE_UNSAFE', message }]);
  expect(await reasons({ unsafe: true })).toEqual([]);
  expect(await reasons({}, [folder.path])).toEqual([]);
});
