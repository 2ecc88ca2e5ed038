/** Ports for guests on their way here, where others on the machine want the same. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { freePort } from '@virtbus/testkit';
import { MigrationPorts } from './ports';

const address = '127.0.0.1';
const guest = { name: 'web1' };

async function listen(port: number): Promise<Server> {
  const server = createServer().listen({ port, host: address, exclusive: true });
  await once(server, 'listening');
  return server;
}

test('a port that another listens on is passed over, and all of them in use is told', async () => {
  const first = await freePort();
  const ports = new MigrationPorts({ first, last: first });
  expect(await ports.take(address, guest)).toBe(first);
  await expect(ports.take(address, guest)).rejects.toThrow(`between ${first} and ${first}`);
  ports.release(guest);
  const server = await listen(first);
  await expect(ports.take(address, guest)).rejects.toThrow('no free port for a migration');
  server.close();
});

test('who is beaten to a port between look and listening takes the next, and the lost one is free again later', async () => {
  const first = await freePort();
  const ports = new MigrationPorts({ first, last: first + 20 });
  let other: Server | undefined;
  const port = await ports.occupy(address, guest, async (free) => {
    other ??= await listen(free); // the first time another is faster
    if (free === first) throw new Error('Failed to find an available port: Address already in use');
  });
  expect(port).toBeGreaterThan(first);
  await new Promise((resolve) => other!.close(resolve));
  expect(await ports.take(address, guest)).toBe(first);
});

test('what fails for another reason is no matter of ports', async () => {
  const first = await freePort();
  const ports = new MigrationPorts({ first, last: first });
  const fails = ports.occupy(address, guest, async () => {
    throw new Error('no such thing');
  });
  await expect(fails).rejects.toThrow('no such thing');
  expect(await ports.take(address, guest)).toBe(first);
});

test('who lets go a second time lets go of nothing that another was given meanwhile', async () => {
  const first = await freePort();
  const ports = new MigrationPorts({ first, last: first });
  const later = { name: 'web2' };
  expect(await ports.occupy(address, guest, async () => undefined)).toBe(first);
  ports.release(guest);
  expect(await ports.take(address, later)).toBe(first);
  ports.release(guest);
  await expect(ports.take(address, guest)).rejects.toThrow('no free port for a migration');
});

test('an address that is not of this host is named, not its ports, and none is kept', async () => {
  const first = await freePort();
  const ports = new MigrationPorts({ first, last: first });
  const elsewhere = '192.0.2.7'; // RFC 5737: nobody's
  await expect(ports.take(elsewhere, guest)).rejects.toThrow(`cannot listen on ${elsewhere}: EADDRNOTAVAIL`);
  expect(await ports.take(address, {})).toBe(first);
});
