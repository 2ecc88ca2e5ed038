/**
 * `npm start`: the whole platform on this machine. An embedded nats-server (unless VIRTBUS_NATS_URL names another), the
 * domain service, a QEMU host and its storage service, and an LXC host where the machine can run containers; each a process
 * of its own; ends them on Ctrl-C and leaves the guests running.
 */
import { startPlatform } from './platform';
import { isVirtError } from '@virtbus/shared';

async function main(): Promise<void> {
  const platform = await startPlatform({ env: process.env, report: (line) => console.log(line) });
  const interruption = interrupted();
  console.log(platform.welcome());
  const reason = await Promise.race([platform.failed, interruption]);
  console.log(`\n${reason}: stopping our processes; guests go on running`);
  await platform.stop();
  process.exit(reason === 'interrupted' ? 0 : 1);
}

function interrupted(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve('interrupted'));
  });
}

main().catch((error: unknown) => {
  console.error(`error: ${isVirtError(error) ? error.message : String((error as Error).stack)}`);
  process.exit(1);
});
