/** virsh's words for block jobs, on a guest that writes: begun, watched, limited, pivoted, given up. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { Bus } from '@virtbus/shared/bus';
import { eventually, Stack } from '@virtbus/testkit';
import { faultsOf } from '../block-stand/sound';
import { WritingGuest } from '../block-stand/writing-guest';

jest.setTimeout(240_000);

const program = join(__dirname, '../../../cli/dist/main.js');
let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

interface Said {
  code: number;
  out: string;
  err: string;
}

/** A command on its way: what it says on standard error as it comes, and all that it said at its end. */
function begin(...words: string[]): { err: string; said: Promise<Said> } {
  const options = { env: { ...process.env, VIRTBUS_CONTEXT: stack.context('admin') } };
  const running = { err: '', said: Promise.resolve<Said>({ code: 0, out: '', err: '' }) };
  running.said = new Promise((resolve) => {
    const child = execFile(process.execPath, [program, ...words], options, (_error, out, err) =>
      resolve({ code: child.exitCode ?? -1, out: out.trim(), err: err.trim() }),
    );
    child.stderr?.on('data', (text: string) => (running.err += text));
  });
  return running;
}

const virtbus = (...words: string[]): Promise<Said> => begin(...words).said;

test('blockpull, blockcommit, blockcopy and blockjob begin, watch, limit and end jobs', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'typed' });
  expect((await virtbus('blockjob', 'typed', 'vda')).out).toBe('No current block job for vda');
  const slow = ['--bandwidth', '65536', '--bytes'];
  expect((await virtbus('blockpull', 'typed', 'vda', ...slow)).out).toBe('Block Pull started');
  expect((await virtbus('blockjob', 'typed', 'vda')).out).toMatch(
    /^Block Pull: \[ +\d+\.\d\d %\] {4}Bandwidth limit: 65536 bytes\/s \(0\.063 MiB\/s\)$/,
  );
  expect((await virtbus('blockjob', 'typed', 'vda', '--raw')).out).toMatch(
    /type=Block Pull\n bandwidth=65536\n cur=\d+\n end=\d+/,
  );
  expect((await virtbus('blockjob', 'typed', 'vda', '--pivot')).err).toMatch(/job type 'pull' does not support pivot/);
  const watching = begin('blockjob', 'typed', 'vda', '--watch');
  await eventually(
    () => watching.err,
    (said) => said.includes('Block Pull vda  ['),
    { timeoutMs: 30_000 },
  );
  expect((await virtbus('blockjob', 'typed', 'vda', '--bandwidth', '0')).out).toBe('Bandwidth limit set');
  expect(await watching.said).toMatchObject({ code: 0, out: 'Block Pull has completed' });

  const pivoted = await virtbus('blockcommit', 'typed', 'vdb', '--active', '--pivot', '--verbose');
  expect(pivoted).toMatchObject({ code: 0, out: 'Successfully pivoted' });
  const copy = ['--dest', guest.file('copy.qcow2'), '--format', 'qcow2', '--transient-job'];
  expect((await virtbus('blockcopy', 'typed', 'vda', ...copy, '--wait')).out).toBe('Now in mirroring phase');
  expect((await virtbus('blockjob', 'typed', 'vda', '--abort')).out).toBe('Job aborted');
  const moved = ['--dest', guest.file('moved.img'), '--format', 'raw', '--transient-job', '--pivot'];
  expect((await virtbus('blockcopy', 'typed', 'vda', ...moved)).out).toBe('Successfully pivoted');
  await guest.flushesMore(10);
  const old = ['vda', 'vdb'].flatMap((disk) => [1, 2, 3].map((n) => `${disk}-${n}.qcow2`));
  const chains = { vda: ['moved.img'], vdb: ['vdb-0.img'] };
  expect(await faultsOf(guest, { chains, besides: [...old, 'vda-0.img', 'copy.qcow2'] })).toEqual([]);
});
