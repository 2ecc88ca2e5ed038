/** The command lines of docs/how-to/snapshots.md, one after the other, on a guest with an agent and two disks. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, Stack } from '@virtbus/testkit';
import { disk, qemuImg } from './storage-stand';

jest.setTimeout(240_000);

const checkout = join(__dirname, '../../..');
const program = join(checkout, 'cli/dist/main.js');
const agentChannel = `<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>`;

/** The lines of a page's shell blocks, as words, without the program's name. */
function commandsOf(page: string): string[][] {
  const blocks = readFileSync(join(checkout, 'docs/how-to', page), 'utf8').matchAll(/```sh\n([^`]*)```/g);
  const lines = [...blocks].flatMap(([, block = '']) => block.split('\n'));
  return lines
    .map((line) => line.replace(/\s+#.*$/, '').trim())
    .filter(Boolean)
    .map((line) => line.split(/\s+/).slice(1));
}

test('the commands of the page on snapshots do what it says', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const images = ['web1.qcow2', 'data.qcow2'].map((name) => stack.folder.file(name));
  for (const path of images) qemuImg('create', '-q', '-f', 'qcow2', path, '16M');
  const disks = disk(images[0]!, 'qcow2') + disk(images[1]!, 'qcow2', '', 'vdb');
  const { uuid } = await stack.run(bus, { name: 'web1', linux: true, devices: disks + agentChannel });
  const virtbus = (...words: string[]): Promise<{ code: number | null; out: string; err: string }> =>
    new Promise((resolve) => {
      const env = { ...process.env, VIRTBUS_CONTEXT: stack.context('admin') };
      const placed = words.map((word) => word.replace('/srv/', `${stack.folder.path}/`));
      const child = execFile(process.execPath, [program, ...placed], { env }, (_error, out, err) =>
        resolve({ code: child.exitCode, out, err }),
      );
    });
  await stack.consoleShows(bus, uuid, 'tiny-guest: booted');
  const said = new Map<string, string>();
  for (const words of commandsOf('snapshots.md')) {
    const agent = words.includes('--quiesce');
    const run = async (): Promise<string> => {
      const { code, out, err } = await virtbus(...words);
      said.set(words[0]!, out);
      return code === 0 ? 'done' : err;
    };
    // The agent comes up a moment after the guest.
    if (agent) await eventually(run, 'done', { timeoutMs: 60_000, intervalMs: 500 });
    else expect([words.join(' '), await run()]).toEqual([words.join(' '), 'done']);
  }
  expect(said.get('snapshot-list')?.split('\n').slice(0, 7)).toEqual([
    'before-upgrade',
    '  |',
    '  +- nightly',
    '     |',
    '     +- whole',
    '        |',
    '        +- one',
  ]);
  expect(said.get('snapshot-info')).toMatch(/State: +disk-snapshot\n/);
  expect(said.get('snapshot-revert')?.trim()).toBe('Domain snapshot whole reverted');
  expect((await virtbus('snapshot-list', 'web1', '--name')).out).toBe('');
  expect((await virtbus('domblklist', 'web1')).out).toContain(images[0]);
  expect((await virtbus('snapshot-create-as', 'web1', 'x', '--memspec', '/m', '--print-xml')).out).toBe(
    `<domainsnapshot>\n  <name>x</name>\n  <memory file='/m' snapshot='external'/>\n</domainsnapshot>\n`,
  );
  expect(await virtbus('snapshot-revert', 'web1')).toMatchObject({
    err: expect.stringContaining('--current') as string,
  });
  await virtbus('snapshot-create-as', 'web1', 'kept', '--disk-only');
  await virtbus('destroy', 'web1');
  expect((await virtbus('undefine', 'web1')).err).toContain('cannot delete inactive domain with 1 snapshots');
  expect((await virtbus('undefine', 'web1', '--snapshots-metadata')).code).toBe(0);
});
