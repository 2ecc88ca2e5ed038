/** What is on disk when we die while a guest tells that its disks stand on other images. */
import { parseDomain } from '@virtbus/domain-xml';
import { OneHost, uuid, xml } from './testing/one-host';

test('the definition is there before the live document: whoever does it again finds that as it was', async () => {
  using one = await OneHost.open();
  await one.define({ title: 'before' });
  await one.call('start');
  const { store } = one.host;
  const titleOf = (kind: 'config' | 'live'): string | undefined =>
    /<title>(.*)<.title>/.exec(store.loadDocument(uuid, kind) ?? '')?.[1];
  const after = parseDomain(xml({ title: 'after' }), { mode: 'inactive' }).domain;
  one.guest.live = after;
  const seen: unknown[] = [];
  const save = store.saveDocument.bind(store);
  store.saveDocument = (...args) => (seen.push([titleOf('config'), titleOf('live')]), save(...args));
  one.guest.sink({ kind: 'images', chains: {}, definition: () => after });
  seen.push([titleOf('config'), titleOf('live')]);
  expect(seen).toEqual([
    ['before', 'before'],
    ['after', 'before'],
    ['after', 'after'],
  ]);
});
