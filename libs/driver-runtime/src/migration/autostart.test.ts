/** A domain that is to start with its host, which goes down while the domain is about to move. */
import { uuid } from '../testing/one-host';
import { Moving } from '../testing/moving';

async function about(options: Parameters<typeof Moving.open>[0]): Promise<Moving> {
  const moving = await Moving.open(options);
  await moving.from.define();
  await moving.from.call('autostart', { enabled: true });
  return moving;
}

const awaited = ({ from }: Moving): string[] | undefined => from.host.contents().awaited?.map((one) => one.uuid);

test('a guest whose migration had begun is started once that is taken back, and its driver does not wait for it', async () => {
  using moving = await about({});
  const { from } = moving;
  await from.call('start');
  await moving.begin();
  await from.restart({ freshBoot: true, meanwhile: () => from.machines.end(uuid, 'crashed', 'crashed') });
  expect([from.state(), awaited(moving)]).toEqual(['shutoff(crashed)', [uuid]]);
  await moving.undo();
  await from.call('start');
  expect([from.state(), awaited(moving)]).toEqual(['running(booted)', []]);
});

test('a domain that was handed over is not started here', async () => {
  using moving = await about({ live: false, offline: true });
  const { from } = moving;
  await moving.performed();
  await from.restart({ freshBoot: true });
  expect([from.state(), awaited(moving)]).toEqual(['shutoff(unknown)', []]);
  await moving.finish();
  await moving.confirm();
  expect([from.state(), moving.to.state()]).toEqual(['absent', 'shutoff(unknown)']);
});

test('a domain that has left is not waited for', async () => {
  using moving = await about({ live: false, offline: true });
  const { from } = moving;
  await moving.begin();
  await from.restart({ freshBoot: true });
  expect(awaited(moving)).toEqual([uuid]);
  await moving.performed();
  await moving.finish();
  await moving.confirm();
  expect(awaited(moving)).toEqual([]);
});
