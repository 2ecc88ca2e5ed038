/** What a domain that is off has here and nowhere else. */
import { existsSync, writeFileSync } from 'node:fs';
import type { Domain } from '@virtbus/domain-xml';
import { MigrationOptions } from '@virtbus/shared';
import { temporaryFolder } from '@virtbus/testkit';
import { obstaclesFor, offlineBlockersOf, showOffline } from './refusals';

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

test('its target is asked whether they have come there: whoever said so may have copied them elsewhere', async () => {
  using folder = temporaryFolder();
  const [here, there] = [folder.file('h1_VARS.fd'), folder.file('h2_VARS.fd')];
  const domainAt = (path: string): Domain =>
    ({ os: { nvram: { path } }, devices: { interfaces: [], disks: [] } }) as unknown as Domain;
  expect(showOffline(domainAt(here))).toEqual({});
  writeFileSync(here, 'variables');
  const shown = showOffline(domainAt(here));
  expect(shown).toEqual({ nvram: here });
  const options = MigrationOptions.parse({
    offline: true,
    unsafe: true,
    listen: '127.0.0.1',
    uri: 'tcp:127.0.0.1:49152',
  });
  const end = { host: 'h2', uuid: '00000000-0000-4000-8000-000000000002' };
  const ask = {
    own: end,
    peer: { host: 'h1', driver: 'qemu' },
    sourceName: 'web1',
    options,
    signal: AbortSignal.timeout(5_000),
  };
  const host = {
    ports: { take: async () => 1, release: () => undefined },
    prepare: () => undefined,
    capabilitiesOf: () => ({ cpu: [] }),
  };
  const obstacles = (): Promise<object[]> => obstaclesFor(domainAt(there), { ...ask, ...shown }, host as never);
  const message = expect.stringContaining(
    `the firmware variables ${there} are not on this host; copy ${here}`,
  ) as string;
  expect(await obstacles()).toEqual([{ where: 'target', code: 'SYSTEM_ERROR', message }]);
  writeFileSync(there, 'variables');
  expect(await obstacles()).toEqual([]);
});
