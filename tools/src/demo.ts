/**
 * `npm run demo`: the whole life of one real guest, from nothing to a clean exit. `npm run demo -- lxc`: of a container.
 *
 * Brings a platform of its own up in a temporary folder, boots the tiny Linux guest or the tiny container, and does to it
 * what a user would.
 * Each step waits for the state it wants: the exit code is 0 only when every one of them was really observed.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { destroyDomain, isVirtError, VirtError } from '@virtbus/shared';
import { call, connectBus, type Bus } from '@virtbus/shared/bus';
import { containerLife } from './demo/container-life';
import { demoDomain } from './demo/domain';
import { qemuGuestLife } from './demo/life';
import { tinyGuest } from './demo/tiny-guest';
import { demoContainer } from './demo/tiny-rootfs';
import { startPlatform } from './platform';

type Kind = 'qemu' | 'lxc';

async function main(kind: Kind): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'vb-demo-'));
  // The user that guests run as must be let through.
  chmodSync(folder, 0o711);
  const began = Date.now();
  const say = (line: string): void => console.log(`${((Date.now() - began) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  const env = {
    ...process.env,
    VIRTBUS_STATE_DIR: join(folder, 'state'),
    VIRTBUS_RUN_DIR: join(folder, 'run'),
    VIRTBUS_NATS_PORT: String(await freePort()),
    VIRTBUS_HOST: 'demo',
  };
  say('bringing the platform up');
  const platform = await startPlatform({ env, report: say });
  if (kind === 'lxc' && platform.withoutContainers !== undefined) {
    await platform.stop();
    rmSync(folder, { recursive: true, force: true });
    throw new VirtError('OPERATION_UNSUPPORTED', {
      detail: `this machine cannot run containers: ${platform.withoutContainers}`,
    });
  }
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => reject(new Error(`ended by ${signal}`)));
  });
  try {
    const bus = await connectBus({ name: 'demo', context: platform.env.VIRTBUS_CONTEXT });
    try {
      await Promise.race([kind === 'lxc' ? aContainer(bus, folder, say) : aMachine(bus, folder, say), interrupted]);
      say('done: every state was observed');
    } finally {
      // After a failure the guest may still run: it goes with the demo.
      await call(bus, destroyDomain, {}, { target: 'demo', timeoutMs: 10_000 }).catch(() => undefined);
      await bus.close();
    }
  } finally {
    await platform.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function aMachine(bus: Bus, folder: string, say: (line: string) => void): Promise<void> {
  const guest = tinyGuest(folder);
  const disk = join(folder, 'data.img');
  writeFileSync(disk, Buffer.alloc(16 * 1024 * 1024));
  await qemuGuestLife({ bus, say, xml: demoDomain(guest), disk, saveFile: join(folder, 'demo.save') });
}

const aContainer = async (bus: Bus, folder: string, say: (line: string) => void): Promise<void> =>
  containerLife({ bus, say, xml: demoContainer(folder) });

function kindOf(words: readonly string[]): Kind {
  const [kind = 'qemu'] = words;
  if (kind === 'qemu' || kind === 'lxc') return kind;
  throw new VirtError('INVALID_ARG', { detail: `'${kind}' is no kind of demo; there are qemu and lxc` });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}

Promise.resolve()
  .then(() => main(kindOf(process.argv.slice(2))))
  .catch((error: unknown) => {
    console.error(`demo failed: ${isVirtError(error) ? error.message : String((error as Error).stack)}`);
    process.exit(1);
  });
