/** Containers of liblxc's own users become domains, and domains become what liblxc's own tools start. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createDomain, destroyDomain, explainDomain, nativeToXml, xmlToNative } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { needsContainers, Stack, temporaryFolder, tinyRootfs, tinyRootfsBooted } from '@virtbus/testkit';
import { removeCgroups } from './lxc-cgroups';

const containers = needsContainers();
const format = 'lxc-tools';
let stack: Stack;
let bus: Bus;

beforeAll(async () => {
  if (!containers.met) return;
  stack = await Stack.start({ hosts: [], lxcHosts: ['c1'] });
  bus = await stack.connect();
}, 60_000);
afterAll(async () => stack?.[Symbol.asyncDispose]());

containers.test(
  'a configuration in old words runs as a domain, and what has no word in a document is warned of',
  async () => {
    using folder = temporaryFolder();
    const root = await tinyRootfs(folder.file('root'));
    const config = `lxc.utsname = old
lxc.rootfs = ${root}
lxc.network.type = empty
lxc.tty = 1
lxc.start.auto = 1
lxc.cgroup.memory.limit_in_bytes = 32M
lxc.mount.entry = tmpfs tmp tmpfs size=64k 0 0
`;
    const { xml, warnings } = await call(bus, nativeToXml, { format, config }, { target: 'c1' });
    expect(warnings).toEqual(["line 5: 'lxc.start.auto' has no counterpart in a domain document, so it has no effect"]);
    expect(xml).toContain("<hard_limit unit='KiB'>32768</hard_limit>");
    const { domain } = await call(bus, createDomain, { xml });
    try {
      await stack.consoleShows(bus, domain.uuid, `${tinyRootfsBooted} old`);
    } finally {
      await call(bus, destroyDomain, {}, { target: domain.uuid });
    }
  },
  120_000,
);

containers.test(
  "a document becomes a configuration that liblxc's tools start",
  async () => {
    using folder = temporaryFolder();
    const root = await tinyRootfs(folder.file('root'));
    const xml = (init: string): string => `<domain type='lxc'><name>tools</name><memory unit='MiB'>32</memory>
      <os><type>exe</type><init>/sbin/init</init>${init}</os><features><privnet/></features>
      <devices><filesystem><source dir='${root}'/><target dir='/'/></filesystem><console type='pty'/></devices></domain>`;
    const { config } = await call(bus, xmlToNative, { format, xml: xml('') }, { target: 'c1' });
    const name = `vb-native-${process.pid}`;
    mkdirSync(join(folder.path, name));
    writeFileSync(folder.file(name, 'config'), config);
    const lxc = (verb: string, ...args: string[]) =>
      spawnSync(`lxc-${verb}`, ['-P', folder.path, '-n', name, ...args], { encoding: 'utf8', timeout: 20_000 });
    try {
      expect(lxc('start', '-d').stderr).toBe('');
      expect(lxc('attach', '--', 'hostname').stdout).toBe('tools\n');
    } finally {
      lxc('stop', '-k');
      await removeCgroups(`lxc.payload.${name}`, `lxc.monitor.${name}`);
    }
    const blank = call(bus, xmlToNative, { format, xml: xml('<initarg>a b</initarg>') }, { target: 'c1' });
    await expect(blank).rejects.toThrow(/line 2: 'a b' cannot be written to a configuration of liblxc/);
  },
  120_000,
);

containers.test('what becomes of a document is told with its reasons, down to each key that liblxc gets', async () => {
  const xml = await stack.containerXml({
    name: 'told',
    more: "<idmap><uid start='0' target='200000' count='9'/><gid start='0' target='200000' count='9'/></idmap>",
  });
  const { lines, warnings } = await call(bus, explainDomain, { xml }, { target: 'c1' });
  expect(warnings).toEqual([]);
  expect(lines).toContainEqual(
    expect.objectContaining({ path: '/domain/devices/emulator', reason: "liblxc's program on this host" }),
  );
  expect(lines).toContainEqual({ path: 'lxc.idmap', value: 'u 0 200000 9', reason: 'what liblxc is started with' });
  expect(lines).toContainEqual(expect.objectContaining({ path: 'lxc.uts.name', value: 'told' }));
  const wrong = call(bus, explainDomain, { xml: xml.replace('/sbin/init', 'init') }, { target: 'c1' });
  await expect(wrong).rejects.toThrow("init 'init' must be an absolute path");
});
