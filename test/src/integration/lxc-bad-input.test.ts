/** Containers that cannot be: each error says what, where and what to do, and nothing of the attempt is left. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createDomain, defineDomain, getDomain, setMemory, startDomain } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { cgroupMounts, eventually, findProgram, needsContainers, requirement, Stack } from '@virtbus/testkit';

const containers = needsContainers();
const withoutUidmap = requirement('containers, and no newuidmap', () => containers.met && !findProgram('newuidmap'));
let stack: Stack;
let bus: Bus;

beforeAll(async () => {
  if (!containers.met) return;
  stack = await Stack.start({ hosts: [], lxcHosts: ['c1'] });
  bus = await stack.connect();
}, 60_000);
afterAll(async () => stack?.[Symbol.asyncDispose]());

/** What a container could leave on the host, as far as it is of this stack: other tests run beside. */
function traces(uuid: string): string[] {
  const own = stack.folder.path;
  const key = `${uuid.slice(0, 8)}${uuid.slice(-12)}`;
  const list = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);
  const loops = list('/sys/block').filter((name) => {
    try {
      return readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').startsWith(own);
    } catch {
      return false; // It stands on no file, or not any more.
    }
  });
  const cgroups = cgroupMounts().flatMap((mount) => list(join(mount, 'virtbus-lxc')));
  return [
    ...list('/sys/class/net').filter((name) => name.startsWith(`veth${uuid.slice(-8)}`)),
    ...loops,
    ...readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(own)),
    ...cgroups.filter((name) => name.endsWith(key)),
    ...stack.containerPids().map((pid) => `supervisor ${pid}`),
  ];
}

async function startError(name: string, spec: Partial<Parameters<Stack['containerXml']>[0]>): Promise<string> {
  const { domain } = await call(bus, defineDomain, { xml: await stack.containerXml({ name, ...spec }) });
  const error = await call(bus, startDomain, {}, { target: domain.uuid }).then(
    () => 'started',
    (thrown: Error) => thrown.message,
  );
  expect(traces(domain.uuid)).toEqual([]);
  await eventually(() => stack.state(bus, domain.uuid), 'shutoff(failed)');
  return error;
}

containers.test(
  'a root file system that is not there is named',
  async () => {
    expect(await startError('rootless', { root: '/srv/nothere' })).toMatch(
      "cannot start 'rootless': the root file system '/srv/nothere' does not exist",
    );
  },
  120_000,
);

containers.test(
  'an init that is not there is named, with the last lines of the log',
  async () => {
    expect(await startError('initless', { init: '/bin/nothere' })).toMatch(
      /cannot start container 'initless': its init '\/bin\/nothere' cannot be run: No such file or directory; log: .*Failed to exec/,
    );
  },
  120_000,
);

containers.test(
  'an init that is no program is named',
  async () => {
    expect(await startError('textinit', { init: '/etc/passwd' })).toMatch(
      /'\/etc\/passwd' cannot be run: (Permission denied|Exec format error)/,
    );
  },
  120_000,
);

containers.test(
  'the name of an interface that is taken, and a bridge that is none, are named',
  async () => {
    const card = (inner: string): string => `<interface type='bridge'>${inner}</interface>`;
    expect(await startError('nobridge', { devices: card("<source bridge='nobr7'/>") })).toMatch(
      "Cannot get interface MTU on 'nobr7'",
    );
    execFileSync('ip', ['link', 'add', 'vbtest0', 'type', 'bridge']);
    try {
      const taken = card("<source bridge='vbtest0'/><target dev='lo'/>");
      expect(await startError('taken', { devices: taken })).toMatch(
        "the name 'lo' of an interface is taken on this host",
      );
    } finally {
      execFileSync('ip', ['link', 'delete', 'vbtest0']);
    }
  },
  120_000,
);

containers.test(
  'an image that holds no file system leaves no loop device',
  async () => {
    const image = stack.folder.file('empty.img');
    execFileSync('truncate', ['-s', '1M', image]);
    const devices = `<filesystem type='file'><driver type='loop' format='raw'/><source file='${image}'/><target dir='/mnt'/></filesystem>`;
    expect(await startError('imageless', { devices })).toMatch(/holds no file system/);
  },
  120_000,
);

withoutUidmap.test(
  'an idmap that leaves out user 0 is refused when it is defined',
  async () => {
    const idmap =
      "<idmap><uid start='1' target='100000' count='10'/><gid start='0' target='100000' count='10'/></idmap>";
    const xml = await stack.containerXml({ name: 'unmapped', more: idmap });
    await expect(call(bus, defineDomain, { xml })).rejects.toThrow(/<idmap>/);
  },
  120_000,
);

containers.test(
  'ids that nobody has given to root are named, with the command that gives them',
  async () => {
    // With this program there, liblxc maps what /etc/subuid gives and nothing else: it would fail with words that say little.
    const folder = stack.folder.file('uidmap');
    mkdirSync(folder);
    writeFileSync(join(folder, 'newuidmap'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    await using strict = await Stack.start({
      hosts: [],
      lxcHosts: ['c2'],
      env: { PATH: `${folder}:${process.env.PATH}` },
    });
    const range = "start='0' target='4000000000' count='1000'";
    const xml = await strict.containerXml({ name: 'nosubids', more: `<idmap><uid ${range}/><gid ${range}/></idmap>` });
    const other = await strict.connect();
    const { domain } = await call(other, defineDomain, { xml });
    await expect(call(other, startDomain, {}, { target: domain.uuid })).rejects.toThrow(
      '<idmap> needs the ids 4000000000 to 4000000999, and /etc/subuid does not give them to root; run: usermod --add-subuids 4000000000-4000000999 root',
    );
    await eventually(() => strict.state(other, domain.uuid), 'shutoff(failed)');
    expect(strict.containerPids()).toEqual([]);
  },
  60_000,
);

containers.test(
  'a container that is to be started again when it powers off is refused, one that is when it crashes is warned of',
  async () => {
    const again = await stack.containerXml({ name: 'again', more: '<on_poweroff>restart</on_poweroff>' });
    await expect(call(bus, defineDomain, { xml: again })).rejects.toThrow("<on_poweroff> 'restart' is not supported");
    const crash = await stack.containerXml({ name: 'crash', more: '<on_crash>restart</on_crash>' });
    expect((await call(bus, defineDomain, { xml: crash })).warnings.join()).toContain(
      "<on_crash> 'restart' is not followed",
    );
  },
  120_000,
);

containers.test(
  'a transient container whose start fails is not kept',
  async () => {
    const xml = await stack.containerXml({ name: 'fleeting', init: '/bin/nothere' });
    await expect(call(bus, createDomain, { xml })).rejects.toThrow('/bin/nothere');
    expect((await stack.inventory('c1')).map(({ name }) => name)).not.toContain('fleeting');
  },
  120_000,
);

containers.test(
  'a memory limit below what is in use is refused, and the old one stays',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'running' });
    await expect(call(bus, setMemory, { kib: 8 }, { target: uuid })).rejects.toThrow(/uses \d+ KiB of memory/);
    const { domain } = await call(bus, getDomain, {}, { target: uuid });
    expect(domain.memoryKiB).toBe(65_536);
  },
  120_000,
);
