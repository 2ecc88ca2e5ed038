/** Two hosts with networks of their own: what a migration makes of links that break, and of certificates. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { migrationStatus, migrationUndo } from '@virtbus/shared';
import { callDriver, type Bus } from '@virtbus/shared/bus';
import { eventually, findProgram, HostsInNamespaces, needsHostNamespaces, Stack } from '@virtbus/testkit';
import { makeCertificates } from './certificates';
import { finish, move, perform, qemu, upToPrepared, type Move } from './host-moves';

jest.setTimeout(300_000);

const hosts = ['h1', 'h2'];
const needs = needsHostNamespaces();

async function undo(bus: Bus, { id, uuid, from, to }: Move): Promise<void> {
  for (const [host, role] of [
    [to, 'target'],
    [from, 'source'],
  ] as const) {
    const view = await callDriver(bus, qemu(host), migrationUndo, { id, role }, { domain: uuid });
    expect(view).toMatchObject({ phase: 'undone' });
  }
}

needs.test(
  'a link that loses everything ends the transfer: the guest runs where it was, and the reason is told',
  async () => {
    using namespaces = HostsInNamespaces.make(hosts);
    await using stack = await Stack.start({ hosts, namespaces });
    const bus = await stack.connect('service');
    const user = await stack.connect();
    const { uuid, epoch } = await stack.run(user, { name: 'web1', host: 'h1', linux: true });
    const spec = { uuid, name: 'web1', from: 'h1', to: 'h2', epoch: epoch + 1 };

    const lost = move(spec, { bandwidth: 2 * 1024 * 1024 });
    const prepared = await upToPrepared(bus, lost);
    expect(prepared.uri).toContain(namespaces.address('h2'));
    const sending = perform(bus, lost, prepared);
    const status = { id: lost.id, role: 'source' } as const;
    const sent = async (): Promise<boolean> => {
      const { progress } = await callDriver(bus, qemu('h1'), migrationStatus, status, { domain: uuid });
      return (progress?.memory?.processed ?? 0) > 0;
    };
    await eventually(sent, true, { timeoutMs: 30_000 });
    namespaces.part('h1', 'h2');
    const why = { message: expect.stringContaining(`nothing has reached ${namespaces.address('h2')} for 30 s`) };
    expect(await sending).toMatchObject({ phase: 'undone', guest: { state: 'running' }, error: why });
    await undo(bus, lost);
    expect(stack.guestPids()).toHaveLength(1);

    namespaces.join('h1', 'h2');
    const next = move(spec);
    await finish(bus, next, await perform(bus, next, await upToPrepared(bus, next)));
    expect(stack.guestPids()).toHaveLength(1);
  },
);

needs.test('certificates encrypt what is sent; wrong ones are refused, and the guest runs on', async () => {
  if (!findProgram('openssl')) throw new Error('openssl is not installed; run: tools/bootstrap.sh --for test');
  using namespaces = HostsInNamespaces.make(hosts);
  await using stack = await Stack.start({ hosts, namespaces });
  const bus = await stack.connect('service');
  const user = await stack.connect();
  const { uuid, epoch } = await stack.run(user, { name: 'web1', host: 'h1' });
  const good = makeCertificates(stack.folder.file('good'), namespaces.address('h2'));
  const mixed = makeCertificates(stack.folder.file('mixed'), namespaces.address('h2'));
  copyFileSync(join(good, 'ca-cert.pem'), join(mixed, 'ca-cert.pem'));
  const encrypted = (directory: string, more: object = {}): Move =>
    move({ uuid, name: 'web1', from: 'h1', to: 'h2', epoch: epoch + 1 }, { tls: { directory, ...more } });
  const staysHere = async (): Promise<void> => {
    // The drivers are asked directly here: the domain service hears of it a moment later.
    await eventually(
      () => stack.state(user, uuid),
      (state) => state.startsWith('running'),
    );
    expect(stack.guestPids()).toHaveLength(1);
  };

  for (const [directory, reason] of [
    ['/nowhere', '/nowhere'],
    [mixed, 'certificate'],
  ] as const) {
    const refused = encrypted(directory);
    await expect(upToPrepared(bus, refused)).rejects.toMatchObject({ message: expect.stringContaining(reason) });
    await undo(bus, refused);
    await staysHere();
  }

  const other = encrypted(good, { peer: 'other.example' });
  const refused = await perform(bus, other, await upToPrepared(bus, other));
  const why = { message: expect.stringContaining('other.example') };
  expect(refused).toMatchObject({ phase: 'undone', error: why });
  await undo(bus, other);
  await staysHere();

  const right = encrypted(good);
  await finish(bus, right, await perform(bus, right, await upToPrepared(bus, right)));
  await staysHere();
});
