/** A migration that is taken back while it begins. */
import { heldBefore, uuid } from '../testing/one-host';
import { Moving } from '../testing/moving';

test('one that is taken back while it is still being begun never began, and nobody waits for it', async () => {
  using moving = await Moving.open();
  const { from } = moving;
  await from.define();
  await from.call('start');
  const begins = heldBefore(from.driver, 'migrate');
  const begun = moving.begin();
  await begins.reached;
  await moving.undo();
  begins.open();
  expect((await begun).phase).toBe('undone');
  expect((await moving.begin()).phase).toBe('undone');
  await from.call('autostart', { enabled: true }, { timeoutMs: 500 });
  expect(from.host.get(uuid).jobs.busy).toBe(false);
});
