import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { parseDomain } from '@virtbus/domain-xml';
import { needsRoot, temporaryFolder } from '@virtbus/testkit';
import { mapIds } from './live';
import { warningOfReach } from './reached-root';

const folder = temporaryFolder();
afterAll(() => folder[Symbol.dispose]());
const root = folder.file('containers', 'one');
mkdirSync(root, { recursive: true });

const warning = (subIds: boolean, more = ''): string | undefined => {
  const document = `<domain type='lxc'><name>c</name><memory>65536</memory><os><type>exe</type><init>/sbin/init</init></os>
    <devices><filesystem type='mount'><source dir='${root}'/><target dir='/'/>${more}</filesystem></devices></domain>`;
  const { domain } = parseDomain(document, { mode: 'inactive' });
  mapIds(domain, subIds ? { start: 300_000, count: 65_536 } : undefined);
  return warningOfReach(domain);
};

needsRoot().test('a root file system that others of the host reach is warned of, whoever its root is', () => {
  for (const subIds of [true, false]) {
    expect(warning(subIds)).toContain(`other users of this host reach '${root}'`);
    expect(warning(subIds, '<readonly/>')).toBeUndefined();
  }
  chmodSync(folder.file('containers'), 0o700);
  expect(warning(true)).toBeUndefined();
  chmodSync(folder.file('containers'), 0o711);
  chownSync(root, 300_000, 300_000);
  expect(warning(true)).toBeUndefined();
});
