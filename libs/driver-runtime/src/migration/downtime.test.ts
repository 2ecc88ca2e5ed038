/** How long a target may wait for the last of a guest whose limits were changed on its way. */
import { Moving } from '../testing/moving';

test.each([
  [{ downtimeMs: 90_000 }, 90_000],
  [{}, 300],
])('a target that is told %j lets the guest stand still for %d ms', async (told, downtimeMs) => {
  using moving = await Moving.open({ downtimeMs: 300 });
  await moving.from.create();
  await moving.performed();
  const finish = jest.spyOn(moving.to.driver.facets.migration!, 'finish');
  expect((await moving.finish(told)).phase).toBe('finished');
  expect(finish.mock.lastCall![1].options).toMatchObject({ downtimeMs, live: true });
});
