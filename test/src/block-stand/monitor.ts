/** The monitor of a guest whose driver is dead: it is anybody's then. */
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Stack } from '@virtbus/testkit';

export type AskQemu = (execute: string, args?: object) => Promise<{ return?: unknown; error?: { desc: string } }>;

/** Speak with the only guest of a host. */
export async function withMonitor(stack: Stack, host: string, work: (ask: AskQemu) => Promise<void>): Promise<void> {
  const folder = join(stack.folder.file('r'), host, 'qemu');
  const sockets = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('monitor.sock'),
  );
  const [path, ...more] = sockets;
  if (path === undefined || more.length > 0) throw new Error(`${folder} has the monitors [${sockets.join()}]`);
  const socket = connect(join(folder, path));
  const answers = createInterface({ input: socket })[Symbol.asyncIterator]();
  const ask: AskQemu = async (execute, args = {}) => {
    socket.write(JSON.stringify({ execute, arguments: args }));
    for (;;) {
      const line = await answers.next();
      if (line.done) throw new Error(`QEMU went away over ${execute}`);
      const said = JSON.parse(line.value) as { return?: unknown; error?: { desc: string } };
      if ('return' in said || said.error) return said;
    }
  };
  try {
    await ask('qmp_capabilities');
    await work(ask);
  } finally {
    socket.destroy();
  }
}
