/** Any device, as an XML element from a file. */
import { affectOf, persistently } from '../affect';
import { readText } from '../definition';
import type { Session } from '../session';
import { argument, command, domain, example, type ArgumentValues } from '../spec';
import { isActive } from '../target-document';

const args = { domain, file: argument('file with one device element; - is standard input', 'file') };
const queue = true;

type Options = { live: boolean; config: boolean; current: boolean; persistent: boolean };

async function change(
  session: Session,
  name: 'attachDevice' | 'detachDevice' | 'updateDevice',
  given: ArgumentValues<typeof args>,
  options: Options,
  done: string,
): Promise<void> {
  const xml = await readText(given.file);
  const affect = await affectOf(options, () => isActive(session, given.domain));
  await session.give(name, { xml, affect }, given.domain, () => `Device ${done} successfully`);
}

export const attach = command({
  name: 'attach-device',
  group: 'device',
  summary: 'Add a device',
  args,
  options: persistently,
  gives: 'attachDevice',
  queue,
  examples: [example('attach-device web1 rng.xml --live --config', 'now and later')],
  run: ({ args: given, options, session }) => change(session, 'attachDevice', given, options, 'attached'),
});

export const detach = command({
  name: 'detach-device',
  group: 'device',
  summary: 'Remove a device',
  about: 'A running guest is asked to let go of it; the device event tells when it has.',
  args,
  options: persistently,
  gives: 'detachDevice',
  queue,
  examples: [example('detach-device web1 rng.xml --live', 'from the running domain')],
  run: ({ args: given, options, session }) => change(session, 'detachDevice', given, options, 'detached'),
});

export const update = command({
  name: 'update-device',
  group: 'device',
  summary: 'Change what can be changed of a device: media, link state, …',
  args,
  options: persistently,
  gives: 'updateDevice',
  queue,
  examples: [example('update-device web1 nic.xml', 'as the element says')],
  run: ({ args: given, options, session }) => change(session, 'updateDevice', given, options, 'updated'),
});
