/** What `toLxcConfig` writes is what liblxc does: real containers on the tiny root file system. */
import { execFileSync, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { initWords, parseDomain, prepareLxcDomain, toLxcConfig, type LxcFacts } from '@virtbus/domain-xml';
import {
  cgroupOf,
  eventually,
  needsContainers,
  temporaryFolder,
  tinyRootfs,
  tinyRootfsBooted,
  tinyRootfsImage,
  type TemporaryFolder,
} from '@virtbus/testkit';
import { removeCgroups } from './lxc-cgroups';

jest.setTimeout(60_000);

const host = { emulator: '/usr/bin/lxc-start', arches: ['x86_64', 'aarch64', 'i686'] };
const uuid = '8369f1ac-7e46-e869-4ca5-759d51478066';

/** Version 1 where a controller has a hierarchy of its own. */
function cgroupVersions(): LxcFacts['cgroups']['versions'] {
  const names = ['memory', 'cpu', 'cpuset', 'devices', 'pids'] as const;
  return Object.fromEntries(names.map((name) => [name, cgroupOf('self', name).version]));
}

const facts: LxcFacts = { cgroups: { versions: cgroupVersions(), swap: false }, command: 'arguments', pidsMax: 64 };

const idmap = `<idmap><uid start='0' target='100000' count='65536'/><gid start='0' target='100000' count='65536'/></idmap>`;

interface Parts {
  root: string;
  head?: string;
  os?: string;
  devices?: string;
  facts?: LxcFacts;
}

/** One running container below a folder of its own. */
class Container implements AsyncDisposable {
  static #count = 0;
  readonly #name = `vb-config-${process.pid}-${Container.#count++}`;
  readonly #at: string[];

  constructor(
    readonly folder: TemporaryFolder,
    { root, head = '<features><privnet/></features>', os = '', devices = '', facts: more = {} as LxcFacts }: Parts,
  ) {
    const { domain } = parseDomain(
      `<domain type='lxc'><name>it's a name</name><uuid>${uuid}</uuid><memory unit='MiB'>48</memory>
      <os><type>exe</type><init>/sbin/init</init>${os}</os>${head}
      <devices>${root}<console type='pty'/>${devices}</devices></domain>`,
      { mode: 'inactive' },
    );
    const prepared = prepareLxcDomain(domain, host);
    this.#at = ['-P', folder.file('lxc'), '-n', this.#name];
    mkdirSync(folder.file('lxc', this.#name), { recursive: true });
    const known = { ...facts, consoleLog: this.consoleLog, cgroupDir: this.#name, ...more };
    writeFileSync(folder.file('lxc', this.#name, 'config'), toLxcConfig(prepared, known));
    const started = this.#lxc('start', '-d', '-o', this.#log, '-l', 'WARN', '--', ...initWords(prepared));
    if (started.status !== 0) throw new Error(`${started.stderr}\n${readFileSync(this.#log, 'utf8')}`);
  }

  get consoleLog(): string {
    return this.folder.file(`${this.#name}.console`);
  }

  get #log(): string {
    return this.folder.file(`${this.#name}.log`);
  }

  /** Output of a shell command inside. */
  run(command: string): string {
    const { status, stdout, stderr } = this.#lxc('attach', '--clear-env', '--', '/bin/sh', '-c', command);
    if (status !== 0) throw new Error(`'${command}' ended with ${status}: ${stdout}${stderr}`);
    return stdout.trimEnd();
  }

  /** A limit as the host keeps it, from the file of the version that is there. */
  limit(controller: 'memory' | 'pids', v1: string, v2: string): string {
    const { folder, version } = cgroupOf(this.#pid, controller);
    return readFileSync(join(folder, version === 1 ? v1 : v2), 'utf8').trim();
  }

  get #pid(): string {
    return this.#lxc('info', '-pH').stdout.trim();
  }

  async says(words: string): Promise<void> {
    await eventually(() => readFileSync(this.consoleLog, 'utf8').includes(words), true);
  }

  stop(): number | null {
    return this.#lxc('stop', '-t', '30').status;
  }

  #lxc(verb: string, ...args: string[]): SpawnSyncReturns<string> {
    return spawnSync(`lxc-${verb}`, [...this.#at, ...args], { encoding: 'utf8', timeout: 30_000 });
  }

  /** The monitor leaves its cgroups behind, empty a moment after it has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#lxc('stop', '-k');
    await removeCgroups(this.#name);
  }
}

const containers = needsContainers();

describe('a container runs as its document says', () => {
  let folder: TemporaryFolder;
  beforeEach(() => void (folder = temporaryFolder()));
  afterEach(() => folder[Symbol.dispose]());
  const directory = (path: string): string => `<filesystem><source dir='${path}'/><target dir='/'/></filesystem>`;

  containers.test('with the words, variables, mounts, limits and capabilities it asks for', async () => {
    const root = directory(await tinyRootfs(folder.file('root')));
    mkdirSync(folder.file('my "data"'));
    writeFileSync(folder.file('my "data"', 'file'), 'shared');
    await using container = new Container(folder, {
      root,
      os: `<initarg>exit-status=3</initarg><initarg>two words</initarg><initenv name='A'>"it's" = #1 \\ </initenv>`,
      devices: `<filesystem><source dir='${folder.file('my &quot;data&quot;')}'/><target dir="/mnt/my 'data'"/><readonly/></filesystem>
        <filesystem type='ram'><source usage='64'/><target dir='/tmp'/></filesystem>
        <filesystem type='bind'><source dir='/etc'/><target dir='/srv/etc'/></filesystem><console type='pty'/>`,
    });
    await container.says('tiny-rootfs: unknown argument two words');
    await container.says(`${tinyRootfsBooted} it-s-a-name as uid 0`);
    const environment = container.run('tr "\\0" "\\n" </proc/1/environ').split('\n');
    expect(environment).toEqual(
      expect.arrayContaining([`A="it's" = #1 \\ `, `LIBVIRT_LXC_UUID=${uuid}`, 'container=lxc']),
    );
    expect(container.run(`cat "/mnt/my 'data'/file"`)).toBe('shared');
    expect(() => container.run(`touch "/mnt/my 'data'/other"`)).toThrow('Read-only file system');
    expect(container.run('cat /srv/etc/group')).toContain('tester');
    expect(container.run('df -k /tmp | tail -n 1')).toMatch(/tmpfs\s+64 /);
    expect(container.run('ls -d /sys/class/net/*')).toBe('/sys/class/net/lo');
    expect(container.limit('memory', 'memory.limit_in_bytes', 'memory.max')).toBe(String(48 << 20));
    expect(container.limit('pids', 'pids.max', 'pids.max')).toBe('64');
    expect(container.run('ls /dev/tty2')).toBe('/dev/tty2');
    expect(() => container.run('mknod /dev/mem c 1 1')).toThrow('Operation not permitted');
    expect(() => container.run('echo 1 >/proc/sys/kernel/panic')).toThrow('Read-only file system');
    expect(container.stop()).toBe(0);
    await container.says('tiny-rootfs: poweroff');
  });

  containers.test('without privileges, on files of the host’s ids and on files of its own', async () => {
    const plain = await tinyRootfs(folder.file('plain'));
    const shifted = await tinyRootfs(folder.file('shifted'), { firstId: 100_000 });
    for (const [path, more] of [
      [plain, { ...facts, idmapRoot: true }],
      [shifted, facts],
    ] as const) {
      await using container = new Container(folder, {
        root: directory(path),
        head: idmap,
        facts: { ...more, device: () => ({ kind: 'char', major: 1, minor: 11 }) },
        devices: `<filesystem type='ram'><source usage='64'/><target dir='/tmp'/></filesystem>
          <filesystem><source dir='/usr/share'/><target dir='/srv/share'/><readonly/></filesystem>
          <filesystem type='bind'><source dir='/etc'/><target dir='/srv/etc'/></filesystem>
          <hostdev mode='capabilities' type='misc'><source><char>/dev/kmsg</char></source></hostdev>`,
      });
      expect(container.run('stat -c %t,%T /dev/kmsg')).toBe('1,b');
      expect(container.run('df -k /tmp | tail -n 1')).toMatch(/tmpfs\s+64 /);
      expect(() => container.run('touch /srv/share/mine')).toThrow();
      expect(container.run('cat /srv/etc/group')).toContain('tester');
      expect(container.run('cat /proc/self/uid_map').trim().split(/\s+/)).toEqual(['0', '100000', '65536']);
      container.run('touch /root/mine');
      expect(container.run('stat -c %u /root/mine')).toBe('0');
    }
    expect(statSync(folder.file('plain', 'root', 'mine')).uid).toBe(0);
    expect(statSync(folder.file('shifted', 'root', 'mine')).uid).toBe(100_000);
  });

  containers.test('from an image, with a card on a bridge', async () => {
    const image = await tinyRootfsImage(folder.file('root.img'));
    const bridge = `vbc${process.pid}`;
    const ip = (...args: string[]): void => void execFileSync('ip', args);
    ip('link', 'add', bridge, 'type', 'bridge');
    try {
      await using container = new Container(folder, {
        root: `<filesystem type='file'><source file='${image}'/><target dir='/'/></filesystem>`,
        devices: `<interface type='bridge'><mac address='52:54:00:aa:bb:cc'/><source bridge='${bridge}'/>
          <target dev='${bridge}c'/><guest dev='lan'/><mtu size='1400'/><ip address='10.250.9.5' prefix='24'/>
          <route address='0.0.0.0' gateway='10.250.9.1'/></interface>`,
      });
      const shown = container.run('ip addr show lan');
      for (const words of ['52:54:00:aa:bb:cc', 'mtu 1400', 'inet 10.250.9.5/24']) expect(shown).toContain(words);
      expect(container.run('ip route')).toContain('default via 10.250.9.1 dev lan');
      expect(statSync(`/sys/class/net/${bridge}/brif/${bridge}c`).isDirectory()).toBe(true);
    } finally {
      ip('link', 'del', bridge);
    }
  });
});
