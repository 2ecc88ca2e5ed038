/** What is kept for a client of a console that takes less than its guest shows. */
import { clientStream, newId, type Bus } from '@virtbus/shared/bus';
import { Consoles } from './consoles';
import type { ConsoleChannel } from './driver';

const MiB = 1024 ** 2;

/** A bus within this process: each message comes a turn of the event loop later. */
function loopBus(): Bus {
  const listeners = new Map<(error: null, message: object) => void, RegExp>();
  const nc = {
    isClosed: () => false,
    isDraining: () => false,
    publish: (subject: string, data: Uint8Array = Buffer.alloc(0), { headers }: { headers: object }) =>
      setImmediate(() => {
        for (const [tell, pattern] of listeners) if (pattern.test(subject)) tell(null, { subject, data, headers });
      }),
    subscribe: (subject: string, { callback }: { callback: (error: null, message: object) => void }) => {
      listeners.set(callback, new RegExp(`^${subject.replaceAll('.', '\\.').replace('*', '[^.]+')}$`));
      return { unsubscribe: () => listeners.delete(callback) };
    },
  };
  return { nc } as unknown as Bus;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise(setImmediate);
}

/** A console, and how many bytes it has shown that are still kept for whoever listens. */
class Shown implements ConsoleChannel {
  readonly device = 'serial0';
  kept = 0;
  most = 0;
  listener: Parameters<ConsoleChannel['onOutput']>[0] | undefined;

  backlog(): Uint8Array {
    return Buffer.alloc(0);
  }
  onOutput(listener: NonNullable<Shown['listener']>): () => void {
    this.listener = listener;
    return () => (this.listener = undefined);
  }
  async write(): Promise<void> {}
  show(bytes: Buffer): Promise<void> {
    this.kept += bytes.length;
    this.most = Math.max(this.most, this.kept);
    return Promise.resolve(this.listener?.(bytes)).then(() => void (this.kept -= bytes.length));
  }
}

const open = (channel: Shown, take: (bytes: Uint8Array) => void | Promise<void>) => {
  const bus = loopBus();
  const consoles = new Consoles('h1');
  consoles.connect(bus);
  const session = newId();
  const client = clientStream(bus, session, take);
  client.connect(consoles.open({ uuid: 'u', channel, session, force: false, backlog: 0 }).input);
  return client;
};

test('who does not read is let go with a word, and the guest goes on: no more than a few MiB wait for it', async () => {
  const console = new Shown();
  let read!: () => void;
  const reads = new Promise<void>((resolve) => (read = resolve));
  const client = open(console, () => reads);
  // A turn of the event loop for each: what is not kept is settled by the next.
  for (let n = 0; n < 256; n++) {
    void console.show(Buffer.alloc(65_536, n));
    await new Promise(setImmediate);
  }
  expect(console.most).toBeLessThanOrEqual(5 * MiB);
  expect(console.listener).toBeUndefined();
  await until(() => console.kept === 0);
  read();
  expect(await client.ended).toMatch(/shows more than is read/);
});

test('who reads gets all of it, however much there is', async () => {
  const console = new Shown();
  let taken = 0;
  const client = open(console, (bytes) => void (taken += bytes.length));
  for (let n = 0; n < 32; n++) await console.show(Buffer.alloc(MiB, n));
  await until(() => taken === 32 * MiB);
  client.end();
  await until(() => console.listener === undefined);
});
