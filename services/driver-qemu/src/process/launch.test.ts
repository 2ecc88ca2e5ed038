/** Launching real QEMU processes. */
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, isAlive, startProcess } from '@virtbus/testkit';
import { GuestLog, withInheritedListener, type ProcessIdentity } from '@virtbus/driver-runtime';
import { QmpClient } from '../qmp';
import { BareGuest, bareGuestOptions } from './bare-guest';
import { FIRST_INHERITED_FD, LaunchError, launch, mortalCommand } from './launch';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'launch-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const openFds = (): number => readdirSync('/proc/self/fd').length;
const script = (text: string): string => {
  const path = join(folder, 'qemu');
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
};

test('a launched guest answers on its monitor, also to a second connection after the first', async () => {
  await using guest = await BareGuest.start();
  await expect(guest.qmp.execute('query-status')).resolves.toMatchObject({ status: 'prelaunch', running: false });
  const path = join(guest.directory, 'monitor.sock');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  guest.qmp.close();
  const again = await QmpClient.connect(path, { timeoutMs: 5000 });
  await expect(again.execute('query-kvm')).resolves.toMatchObject({ enabled: false });
  again.close();
});

test('a guest runs in a session of its own with nothing of ours open', async () => {
  await using guest = await BareGuest.start();
  const { pid, exe } = guest.process.identity;
  expect(exe).toContain('qemu-system');
  const session = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[3];
  expect(session).toBe(String(pid));
  const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  expect(environment).toEqual(expect.arrayContaining(['LC_ALL=C', `HOME=${guest.directory}`]));
  expect(environment.filter((entry) => entry.startsWith('JEST'))).toEqual([]);
});

test('a guest gets the descriptors it is to inherit, at known numbers', async () => {
  writeFileSync(join(folder, 'given'), 'x');
  const given = await import('node:fs/promises').then((fs) => fs.open(join(folder, 'given')));
  await using guest = await BareGuest.start([], { inherit: [given.fd] });
  const link = `/proc/${guest.process.identity.pid}/fd/${FIRST_INHERITED_FD}`;
  expect(readFileSync(link, 'utf8')).toBe('x');
  await given.close();
});

test('a guest started through a wrapper script is known by the program that it has become', async () => {
  const emulator = script('exec qemu-system-x86_64 "$@"');
  const spawned: ProcessIdentity[] = [];
  await using guest = await BareGuest.start([], { emulator, onSpawned: (identity) => spawned.push(identity) });
  expect(guest.process.identity.exe).toContain('qemu-system');
  expect(spawned).toMatchObject([{ pid: guest.process.identity.pid, startTime: guest.process.identity.startTime }]);
});

test('a guest that dies at once is explained by its own words', async () => {
  const failed = launch(bareGuestOptions(folder, ['-device', 'no-such-device']));
  await expect(failed).rejects.toBeInstanceOf(LaunchError);
  await expect(failed).rejects.toThrow(
    /^process exited while connecting to monitor: .*'no-such-device' is not a valid device model name$/,
  );
  expect(readdirSync(folder)).toEqual(['guest.log']);
});

test('a program that cannot be run is named', async () => {
  const failed = launch({ ...bareGuestOptions(folder), emulator: '/nonexistent/qemu' });
  await expect(failed).rejects.toThrow('cannot run /nonexistent/qemu: spawn /nonexistent/qemu ENOENT');
});

test('a program that says nothing is killed when its time is up', async () => {
  const failed = launch({
    ...bareGuestOptions(folder),
    emulator: script('echo hello; exec sleep 60'),
    timeoutMs: 2_000,
  });
  await expect(failed).rejects.toThrow("QEMU did not answer 'greeting' within 2000 ms; QEMU was killed: hello");
});

test('an aborted launch leaves no process', async () => {
  const abort = new AbortController();
  const pidFile = join(folder, 'pid');
  const emulator = script(`echo $$ > ${pidFile}; exec sleep 60`);
  const failed = launch({ ...bareGuestOptions(folder), emulator, signal: abort.signal });
  failed.catch(() => undefined);
  await eventually(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8').endsWith('\n'), true);
  abort.abort(new Error('start cancelled'));
  await expect(failed).rejects.toThrow('start cancelled');
  expect(() => process.kill(Number(readFileSync(pidFile, 'utf8')), 0)).toThrow('ESRCH');
});

test('a hundred launches, good and bad, leave no descriptor behind', async () => {
  const options = { ...bareGuestOptions(folder), emulator: '/bin/true' };
  await launch(options).catch(() => undefined);
  const before = openFds();
  for (let i = 0; i < 100; i++) await launch(options).catch(() => undefined);
  expect(openFds()).toBe(before);
});

const asRoot = process.getuid?.() === 0 ? test : test.skip;
asRoot('a guest can run as another user, with no capability and no extra group', async () => {
  await using guest = await BareGuest.start([], { user: { uid: 65534, gid: 65534 } });
  const status = readFileSync(`/proc/${guest.process.identity.pid}/status`, 'utf8');
  expect(status).toMatch(/^Uid:\t65534\t65534\t65534\t65534$/m);
  expect(status).toMatch(/^Groups:\t\s*$/m);
  expect(status).toMatch(/^CapEff:\t0+$/m);
  await expect(guest.qmp.execute('query-status')).resolves.toMatchObject({ running: false });
});

test('a listener never accepts in this process and says why it cannot listen', async () => {
  await expect(withInheritedListener(join(folder, 'none/x'), () => 1)).rejects.toThrow('cannot listen on a socket');
  await expect(withInheritedListener(join(folder, 'x'.repeat(120)), () => 1)).rejects.toThrow('longer than 103 bytes');
});

test("a guest's log is put aside when it is large, and its tail is bounded and of this start only", async () => {
  const path = join(folder, 'a.log');
  {
    using log = GuestLog.open(path, 'first');
    writeFileSync(log.fd, 'old words');
  }
  using log = GuestLog.open(path, 'second', 5);
  expect(readdirSync(folder).sort()).toEqual(['a.log', 'a.log.old']);
  expect(log.tail()).toBe('');
  writeFileSync(log.fd, `${'x'.repeat(10_000)} end`);
  const tail = log.tail();
  expect(tail).toHaveLength(4096);
  expect(tail.endsWith(' end')).toBe(true);
});

test('a mortal program ends with the process that started it, also when that is killed', async () => {
  const [program, ...args] = mortalCommand('sleep', ['60']);
  const code = `console.log(require('child_process').spawn('${program}', ${JSON.stringify(args)}).pid)`;
  const starter = await startProcess([process.execPath, '-e', code], { name: 'starter' });
  const pid = Number(await starter.waitFor(/^\d+$/));
  // Only once it has become the program does the kernel know that it is mortal.
  await eventually(() => readFileSync(`/proc/${pid}/comm`, 'utf8'), 'sleep\n');
  await starter.stop('SIGKILL');
  await eventually(() => isAlive(pid), false);
});
