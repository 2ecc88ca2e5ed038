/** A console on the terminal of a real QEMU, until either side ends it. */
import { readdirSync, readlinkSync } from 'node:fs';
import { eventually } from '@virtbus/testkit';
import { BareGuest } from './process/bare-guest';
import { PtyConsole } from './pty-console';

const start = (): Promise<BareGuest> => BareGuest.start(['-chardev', 'pty,id=console']);

async function consoleOf(guest: BareGuest): Promise<{ console: PtyConsole; path: string }> {
  const chardevs = await guest.qmp.execute('query-chardev');
  const path = chardevs.find(({ label }) => label === 'console')!.filename.replace('pty:', '');
  return { path, console: PtyConsole.open('serial0', path) };
}

/** How many of ours are on a terminal, also on one that is gone: `/dev/pts/3 (deleted)`. */
function descriptorsOf(path: string): number {
  const ours = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).split(' ')[0] === path;
    } catch {
      return false; // That of the listing itself.
    }
  });
  return ours.length;
}

test.each(['is silent', 'is written to'])(
  'a console that %s when its guest ends leaves no descriptor',
  async (when) => {
    await using guest = await start();
    const { console, path } = await consoleOf(guest);
    expect(descriptorsOf(path)).toBe(1);
    process.kill(guest.process.identity.pid, 'SIGKILL');
    if (when === 'is written to') await console.write(Buffer.from('x')).catch(() => undefined);
    await eventually(() => descriptorsOf(path), 0);
    await expect(console.write(Buffer.from('x'))).rejects.toThrow();
  },
);

test('a console that we close leaves no descriptor, however often it is closed', async () => {
  await using guest = await start();
  const { console, path } = await consoleOf(guest);
  console.close();
  expect(descriptorsOf(path)).toBe(0);
  const { console: next } = await consoleOf(guest);
  console.close();
  expect(descriptorsOf(path)).toBe(1);
  next.close();
});
