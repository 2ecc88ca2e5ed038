import { VirtError } from '@virtbus/shared';
import fc from 'fast-check';
import { parseDomain } from '../parse-domain';
import { copyModel } from '../schema';
import type { LxcFacts } from './facts';
import { fromLxcConfig } from './from-config';
import { prepareLxcDomain } from './prepare';
import { toLxcConfig } from './to-config';

const host = { emulator: '/usr/bin/lxc-start', arches: ['x86_64'] };
const facts: LxcFacts = {
  cgroups: { versions: { memory: 1, cpu: 1, cpuset: 1, blkio: 1, devices: 1, pids: 1 }, blkioWeight: 'w', swap: true },
  device: () => ({ kind: 'char', major: 10, minor: 200 }),
  mounted: () => '/run/mounted',
  seccompProfile: '/etc/seccomp',
  cgroupDir: 'virtbus/web',
  consoleLog: '/log',
};

/** Every kind of text that a document can bring into the configuration, each once. */
const model = prepareLxcDomain(
  parseDomain(
    `<domain type='lxc' xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'><name>web</name><memory>65536</memory>
  <os><type arch='x86_64'>exe</type><init>/init</init><initarg>one</initarg><initenv name='A'>b</initenv><initdir>/d</initdir>
    <inituser>1</inituser><initgroup>2</initgroup></os>
  <devices>
    <filesystem><source dir='/srv/web'/><target dir='/'/></filesystem>
    <filesystem><source dir='/srv/data'/><target dir='/data'/></filesystem>
    <filesystem type='file'><source file='/srv/image'/><target dir='/image'/></filesystem>
    <filesystem type='ram'><source usage='1'/><target dir='/tmp'/></filesystem>
    <interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><target dev='web0'/><guest dev='lan'/>
      <ip address='10.0.0.5' prefix='24'/><route gateway='10.0.0.1'/></interface>
    <interface type='direct'><mac address='52:54:00:00:00:02'/><source dev='eth1' mode='bridge'/></interface>
    <hostdev mode='capabilities' type='misc'><source><char>/dev/tun</char></source></hostdev>
    <hostdev mode='capabilities' type='net'><source><interface>eth2</interface></source></hostdev>
    <console type='pty'><log file='/log'/></console>
  </devices>
  <seclabel type='static' model='selinux' relabel='no'><label>l</label></seclabel>
  <lxc:namespace><lxc:shareipc type='name' value='db'/></lxc:namespace>
</domain>`,
    { mode: 'inactive' },
  ).domain,
  host,
);

type Path = (string | number)[];

function textsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value === 'string') return [path];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) => textsOf(member, [...path, key]));
}

function put(root: object, path: Path, text: string): void {
  const parent = path.slice(0, -1).reduce((at, key) => (at as Record<string, object>)[key]!, root) as Record<
    string,
    string
  >;
  parent[path[path.length - 1]!] = text;
}

/** What liblxc sees: it reads line by line and never anything but `key = value`. */
const keysOf = (config: string): string[] => config.split(/[\n\r\0]/).map((line) => line.split('=')[0]!.trim());

const wicked = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(
      fc.constantFrom(
        '\n',
        '\r',
        '\0',
        '\u2028',
        '\t',
        ' ',
        '=',
        '#',
        '"',
        "'",
        '\\',
        '/',
        '..',
        ',',
        'lxc.hook.start = /bin/sh',
        'lxc.include = /etc',
        'x',
        '\\040',
        '0 0',
        '100%',
        '',
      ),
      { maxLength: 6 },
    )
    .map((parts) => parts.join('')),
);

test('no text of a document becomes a setting of its own, nor is it read as another text', () => {
  const places = textsOf(model);
  const ordinary = new Set(keysOf(toLxcConfig(model, facts)));
  const seen = { refused: 0, written: 0 };
  fc.assert(
    fc.property(fc.constantFrom(...places), wicked, (place, text) => {
      const domain = copyModel(model);
      put(domain, place, text);
      let config: string;
      try {
        config = toLxcConfig(domain, facts);
      } catch (error) {
        expect(error).toBeInstanceOf(VirtError);
        seen.refused += 1;
        return;
      }
      seen.written += 1;
      // What is chosen among ours may change with a type that has become another one; nothing else may appear.
      const strange = keysOf(config).filter(
        (key) => !ordinary.has(key) && !/^lxc\.(net|rootfs|mount|idmap)\./.test(key),
      );
      const broken = config.split('\n').filter((line) => !/^$|^lxc\.[a-z0-9_.]+ = .*\S/.test(line));
      expect([strange, broken]).toEqual([[], []]);
    }),
    { numRuns: 1500 },
  );
  expect(seen.refused).toBeGreaterThan(0);
  expect(seen.written).toBeGreaterThan(0);
});

test('a variable and a path arrive as they were, whatever is in them', () => {
  const plain = fc.string({ unit: 'grapheme' }).filter((text) => !/[\p{Cc}\u2028\u2029]/u.test(text));
  const folder = plain.filter((text) => !/^\.{0,2}$/.test(text) && !text.includes('/'));
  fc.assert(
    fc.property(plain, folder, (value, name) => {
      const domain = copyModel(model);
      domain.os.initenvs = [{ name: 'A', value }];
      domain.devices.filesystems[1]!.source = { dir: `/srv/${name}` };
      domain.devices.filesystems[1]!.target = { dir: `/mnt/${name}` };
      const back = fromLxcConfig(toLxcConfig(domain, facts), { emulator: host.emulator }).domain;
      expect(back.os.initenvs).toEqual([{ name: 'A', value }]);
      expect(back.devices.filesystems[1]).toMatchObject({
        source: { dir: `/srv/${name}` },
        target: { dir: `/mnt/${name}` },
      });
    }),
    { numRuns: 500 },
  );
});

test('no configuration, however it is damaged, is more than refused', () => {
  const config = toLxcConfig(model, facts);
  fc.assert(
    fc.property(fc.nat(config.length), fc.nat(40), wicked, (at, length, text) => {
      const damaged = config.slice(0, at) + text + config.slice(at + length);
      try {
        fromLxcConfig(damaged, { emulator: host.emulator });
      } catch (error) {
        expect(error).toBeInstanceOf(VirtError);
      }
    }),
    { numRuns: 500 },
  );
});
