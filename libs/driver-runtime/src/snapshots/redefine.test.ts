/** Descriptions that are kept again, and those that nobody can read. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCheckpoint, createSnapshot } from '@virtbus/shared';
import { BackupsInMemory, startWithDisk } from '../testing/memory-backups';
import { OneHost, uuid, xml } from '../testing/one-host';

let one: OneHost;
beforeEach(async () => {
  one = await OneHost.open('h1', (driver) => {
    Object.assign(driver.facets, { snapshots: {} });
    new BackupsInMemory().giveTo(driver);
  });
});
afterEach(() => one[Symbol.dispose]());

const overlay = (file: string): string =>
  `<disk name='vda' snapshot='external' type='file'><driver type='qcow2'/><source file='${file}'/></disk>`;

const description = (more = ''): string => `<domainsnapshot><name>s</name><state>shutoff</state>
  <creationTime>1</creationTime><disks>${overlay('/i/a.s')}</disks>${more}${xml()}</domainsnapshot>`;

const redefine = (document: string) =>
  one.call('snapshot-create', createSnapshot.request.parse({ xml: document, redefine: true }));

const shown = async (): Promise<string> => (await one.call<{ xml: string }>('snapshot-dumpxml', { name: 's' })).xml;

test('a document of before the last return does not take away the overlays of that', async () => {
  await one.define();
  await redefine(description(`<revertDisks>${overlay('/i/a.vda.17')}</revertDisks>`));
  const whole = await shown();
  expect(whole).toContain("<source file='/i/a.vda.17'");
  for (const document of [description(), whole]) {
    await redefine(document);
    expect(await shown()).toBe(whole);
  }
});

describe('a description that cannot be read', () => {
  const fileIn = (folder: string): string => join(one.host.store.folderOf(uuid), folder, 's.xml');
  const damaged = '<domainsnapsh';

  test('of a snapshot is not written over by a new one of its name, but may be given again', async () => {
    await one.define();
    await redefine(description());
    await one.restart({ meanwhile: () => writeFileSync(fileIn('snapshots'), damaged) });
    const request = createSnapshot.request.parse({ xml: '<domainsnapshot><name>s</name></domainsnapshot>' });
    expect(await one.refusal('snapshot-create', request)).toContain(
      `OPERATION_FAILED: operation failed: what is kept under the name 's' cannot be read: ${fileIn('snapshots')}; mend`,
    );
    expect(readFileSync(fileIn('snapshots'), 'utf8')).toBe(damaged);
    await redefine(description());
    expect(await shown()).toContain('/i/a.s');
  });

  test('of a checkpoint is not either, until somebody has mended it', async () => {
    await startWithDisk(one);
    const request = createCheckpoint.request.parse({ xml: '<domaincheckpoint><name>s</name></domaincheckpoint>' });
    await one.call('checkpoint-create', request);
    const whole = readFileSync(fileIn('checkpoints'), 'utf8');
    await one.restart({ meanwhile: () => writeFileSync(fileIn('checkpoints'), damaged) });
    expect(await one.refusal('checkpoint-create', request)).toContain("'s' cannot be read");
    expect(readFileSync(fileIn('checkpoints'), 'utf8')).toBe(damaged);
    writeFileSync(fileIn('checkpoints'), whole);
    expect(await one.refusal('checkpoint-create', request)).toContain('domain checkpoint s already exists');
  });
});
