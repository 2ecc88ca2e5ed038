/** A host that gets ready for a guest. */
import { heldBefore } from '../testing/one-host';
import { Moving } from '../testing/moving';

test('says whether it is about to: a process that has begun anew is not', async () => {
  using moving = await Moving.open();
  const { from, to } = moving;
  await from.create();
  const status = () => to.call('migration-status', { id: moving.id, role: 'target' });
  expect(await status()).toEqual({ phase: 'absent', preparing: false });
  const starts = heldBefore(to.driver, 'start');
  const prepared = moving.prepared();
  await starts.reached;
  expect(await status()).toEqual({ phase: 'absent', preparing: true });
  starts.open();
  expect((await prepared).phase).toBe('prepared');
  expect(await status()).toMatchObject({ phase: 'prepared' });
});
