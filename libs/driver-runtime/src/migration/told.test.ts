/** What both hosts tell of a domain that moves while it is off. */
import { Moving } from '../testing/moving';
import type { OneHost } from '../testing/one-host';

test('each event names the migration as its command, and what that was', async () => {
  using moving = await Moving.open({ live: false, offline: true });
  const { from, to } = moving;
  await from.define();
  const before = from.events().length;
  await moving.performed();
  await moving.finish();
  await moving.confirm();
  const told = (host: OneHost, since = 0) =>
    host
      .events()
      .slice(since)
      .map(({ type, commandId, cause }) => [type, commandId, cause?.operation]);
  expect(told(to)).toEqual([['defined', moving.id, 'migrate']]);
  expect(told(from, before)).toEqual([['undefined', moving.id, 'migrate']]);
});
