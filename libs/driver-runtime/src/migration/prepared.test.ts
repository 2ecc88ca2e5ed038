/** A host that gets ready for a guest. */
import { gate } from '../testing/one-host';
import { Moving } from '../testing/moving';

test('says whether it is about to: a process that has begun anew is not', async () => {
  using moving = await Moving.open();
  const { from, to } = moving;
  await from.create();
  const status = () => to.call('migration-status', { id: moving.id, role: 'target' });
  expect(await status()).toEqual({ phase: 'absent', preparing: false });
  const slow = gate();
  let reached = (): void => undefined;
  const starts = new Promise<void>((resolve) => (reached = resolve));
  to.driver.before.set('start', () => (reached(), slow.wait));
  const prepared = moving.prepared();
  await starts;
  expect(await status()).toEqual({ phase: 'absent', preparing: true });
  slow.open();
  expect((await prepared).phase).toBe('prepared');
  expect(await status()).toMatchObject({ phase: 'prepared' });
});
