/** A guest that arrives lets go of the ports that it was listened for on, over a QEMU whose words are given here. */
import type { MigrationAsk } from '@virtbus/driver-runtime';
import { MigrationOptions } from '@virtbus/shared';
import { freePort } from '@virtbus/testkit';
import type { QemuGuest } from '../guest';
import type { MigrationStatus } from '../qmp';
import { MigrationPorts } from './ports';
import { finish } from './receive';

const address = '127.0.0.1';

function waiting(status: MigrationStatus): QemuGuest {
  return {
    ...{ live: { devices: { disks: [] } }, saved: {}, ended: new Promise(() => undefined) },
    watch: () => ({ [Symbol.dispose]: () => undefined }),
    ask: async () => ({ status, 'error-desc': 'no such thing' }),
    resume: async () => undefined,
  } as unknown as QemuGuest;
}

async function arrive(status: MigrationStatus): Promise<{ ports: MigrationPorts; end: Promise<void> }> {
  const first = await freePort();
  const ports = new MigrationPorts({ first, last: first });
  const guest = waiting(status);
  await ports.occupy(address, guest, async () => undefined);
  const ask: MigrationAsk = {
    ...{ id: 'm1', own: { host: 'h2', uuid: 'u2' }, peer: { host: 'h1', driver: 'qemu' }, sourceName: 'web1' },
    ...{ options: MigrationOptions.parse({ live: true }), signal: new AbortController().signal },
  };
  return { ports, end: finish(guest, { ...ask, letRun: () => undefined }, { ports, silenceMs: 5_000 }) };
}

test.each(['completed', 'postcopy-active'] as const)('a guest has its port no longer once it is %s', async (status) => {
  const { ports, end } = await arrive(status);
  await end;
  expect(await ports.take(address, {})).toEqual(expect.any(Number));
});

test('one that fails has it until it is gone', async () => {
  const { ports, end } = await arrive('failed');
  await expect(end).rejects.toThrow('no such thing');
  await expect(ports.take(address, {})).rejects.toThrow('no free port for a migration');
});
