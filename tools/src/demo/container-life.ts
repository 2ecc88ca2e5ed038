/** One container's whole life over the bus, each step waiting for what it should bring about. */
import {
  execInDomain,
  exitCodeOf,
  resumeDomain,
  setMemory,
  shutdownDomain,
  startDomain,
  statsOfDomain,
  suspendDomain,
  undefineDomain,
} from '@virtbus/shared';
import { call, clientStream, newId, type Bus } from '@virtbus/shared/bus';
import { Console } from './console';
import { Hero, type Stage } from './hero';

export async function containerLife({ bus, say, xml }: Stage): Promise<void> {
  await using hero = await Hero.define({ bus, say, xml });
  const { uuid, events, command, stateIs } = hero;
  const inside = async (...words: string[]): Promise<string> => {
    const { text, code } = await runInside(bus, uuid, words);
    if (code !== 0) throw new Error(`'${words.join(' ')}' ended with exit code ${code}`);
    return text.trim();
  };

  await command(startDomain, {});
  await events.seen('started', 'booted');
  await stateIs('running');
  say('started; its console:');
  const console = await Console.open(bus, uuid);
  await console.shows('tiny-rootfs: booted', (line) => say(`  | ${line}`));
  await console.answers('echo shell-$((20+3))', 'shell-23');
  say('its shell answers');

  say(
    `a command inside says: ${await inside('sh', '-c', 'echo $(hostname), process $$ of $(ls -d /proc/[0-9]* | wc -l)')}`,
  );
  const failed = await runInside(bus, uuid, ['sh', '-c', 'exit 7']);
  if (failed.code !== 7) throw new Error(`an exit code of 7 came back as ${failed.code}`);
  say('its exit code comes back: 7');

  await command(suspendDomain, {});
  await events.seen('suspended', 'paused');
  await stateIs('paused');
  const cpu = async (): Promise<number> =>
    (await call(bus, statsOfDomain, {}, { target: uuid })).stats.cpu?.timeNs ?? Number.NaN;
  const before = await cpu();
  if ((await cpu()) !== before) throw new Error('a frozen container uses the processor');
  say('frozen: it uses no processor time');
  await command(resumeDomain, {});
  await events.seen('resumed', 'unpaused');
  await stateIs('running');
  say('resumed');

  await command(setMemory, { kib: 32_768 });
  await events.seenClass('balloon', 'change');
  say('memory limited to 32 MiB while it runs');

  void runInside(bus, uuid, ['reboot', '-f']).catch(() => undefined);
  await events.seenClass('reboot', 'reboot');
  await stateIs('running');
  await console.shows('tiny-rootfs: booted', () => undefined);
  say('rebooted from inside');

  await command(shutdownDomain, {});
  await events.seen('stopped', 'shutdown');
  await stateIs('shutoff');
  say('shut down');
  await command(undefineDomain, {});
  await events.seen('undefined', 'removed');
  say('undefined. The log, as replayed from the stream:');
  await hero.replay();
}

async function runInside(
  bus: Bus,
  uuid: string,
  command: string[],
): Promise<{ text: string; code: number | undefined }> {
  const ids = { session: newId(), errors: newId() };
  let text = '';
  const output = clientStream(bus, ids.session, (bytes) => void (text += Buffer.from(bytes).toString()));
  const { input } = await call(bus, execInDomain, { ...ids, command }, { target: uuid });
  output.connect(input);
  await output.finish();
  return { code: exitCodeOf(await output.ended), text };
}
