/** What a host says about documents without keeping them: native configurations, explanations, CPUs; on real QEMU. */
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  baselineCpu,
  compareCpu,
  destroyDomain,
  domainCapabilities,
  explainDomain,
  getDomainXml,
  isVirtError,
  listHosts,
  nativeToXml,
  xmlToNative,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, Stack } from '@virtbus/testkit';

jest.setTimeout(120_000);

const format = 'qemu-argv';
const at = { target: 'h1' };
let stack: Stack;
let bus: Bus;

beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect('reader');
}, 120_000);
afterAll(() => stack?.[Symbol.asyncDispose]());

const code = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error: unknown) => (isVirtError(error) ? error.code : String(error)),
  );

/** Runs the words in a shell, with a monitor on standard input and output, and asks QEMU how the guest is. */
async function statusOf(line: string): Promise<string> {
  const words = line.trim().replace(/^(?=\/)/m, 'exec ');
  const shell = spawn('sh', ['-c', `${words} \\\n-qmp stdio`], { stdio: ['pipe', 'pipe', 'pipe'] });
  try {
    let complaint = '';
    let said = '';
    shell.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
    shell.stdin.on('error', () => undefined);
    shell.stdin.write('{"execute":"qmp_capabilities"}\n{"execute":"query-status"}\n');
    for await (const chunk of shell.stdout) {
      said += String(chunk);
      const status = /"status": ?"([\w-]+)"/.exec(said)?.[1];
      if (status !== undefined) return status;
    }
    return complaint;
  } finally {
    shell.kill('SIGKILL');
  }
}

describe('a command line', () => {
  test('that a host tells is one that QEMU accepts from a shell, and it is read back as the same guest', async () => {
    const disk = stack.folder.file("it's a disk, really.raw");
    writeFileSync(disk, Buffer.alloc(1 << 20));
    const devices = `<disk type='file'><driver name='qemu' type='raw'/><source file="${disk}"/><target dev='vda'/></disk>
      <disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>
      <interface type='user'><model type='virtio'/></interface><input type='tablet' bus='usb'/>
      <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
      <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng><video><model type='vga'/></video>`;
    const xml = await stack.domainXml({ name: 'told', devices, more: "<cpu mode='host-model'/>" });
    const { config, warnings } = await call(bus, xmlToNative, { format, xml }, at);
    expect(warnings).toEqual([]);
    const folder = dirname(/path=([^,\s]+)\/monitor\.sock/.exec(config)![0].slice('path='.length));
    mkdirSync(folder, { recursive: true });
    try {
      expect(await statusOf(config)).toBe('prelaunch');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }

    const read = await call(bus, nativeToXml, { format, config }, at);
    expect(read.warnings).toEqual([]);
    expect(read.xml).not.toContain('qemu:commandline');
    expect((await call(bus, xmlToNative, { format, xml: read.xml }, at)).config).toBe(config);
  });

  test('as one types it becomes a definition, with a word about each thing that the document cannot say', async () => {
    const config =
      'qemu-system-x86_64 -m 64 -nographic -net none -drive file=/i/a.qcow2,if=virtio,format=qcow2 -global made.up=1';
    const { xml, warnings } = await call(bus, nativeToXml, { format, config }, at);
    expect(xml).toContain("<source file='/i/a.qcow2'/>");
    expect(warnings.join('\n')).toContain('-global made.up=1 goes to QEMU beside the document');
  });

  test('of a format that nobody knows, of nothing, or of what is no document is refused', async () => {
    const config = 'x';
    expect(await code(call(bus, nativeToXml, { format: 'xen-xl', config }, at))).toBe('UNSUPPORTED_BY_DRIVER');
    expect(await code(call(bus, nativeToXml, { format, config: '' }, at))).toBe('CONFIG_UNSUPPORTED');
    expect(await code(call(bus, nativeToXml, { format, config }, { target: 'nowhere' }))).toBe('HOST_NOT_FOUND');
    expect(await code(call(bus, xmlToNative, { format, xml: '' }, at))).toBe('XML_DETAIL');
    expect(await code(call(bus, xmlToNative, { format, xml: '<domain/>' }, at))).toBe('XML_ERROR');
    const { hosts } = await call(bus, listHosts, {});
    expect(hosts[0]!.nativeFormats).toEqual([format]);
  });
});

test('a definition is explained by what this host would do', async () => {
  const xml = await stack.domainXml({ name: 'why' });
  const { lines, warnings } = await call(bus, explainDomain, { xml }, at);
  expect(warnings).toEqual([]);
  expect(lines).toContainEqual({
    path: '/domain/os/type/@machine',
    value: expect.stringMatching(/^pc-q35-/),
    was: 'q35',
    reason: expect.stringContaining("what 'q35' stands for with this emulator"),
  });
  for (const { reason } of lines) expect(reason).not.toBe('');
  expect(await code(call(bus, explainDomain, { xml: 'no document' }, at))).toBe('XML_DETAIL');
  const other = xml.replace("machine='q35'", "machine='nonesuch'");
  expect(await code(call(bus, explainDomain, { xml: other }, at))).toBe('CONFIG_UNSUPPORTED');
});

describe('CPUs', () => {
  test("are compared with what the host's QEMU can give, by its own data", async () => {
    const compare = (xml: string) => call(bus, compareCpu, { xml, virtType: 'qemu' }, at);
    expect(await compare('<cpu><model>qemu64</model></cpu>')).toMatchObject({ result: 'superset', missing: [] });
    const lacking = await compare("<cpu><model>qemu64</model><feature policy='require' name='amx-tile'/></cpu>");
    expect(lacking).toMatchObject({ result: 'incompatible', missing: ['amx-tile'] });
    const { xml = '' } = await call(bus, domainCapabilities, { virtType: 'qemu' }, at);
    expect((await compare(xml)).result).not.toBe('incompatible');
    expect(await code(compare('<cpu><model>Nonesuch</model></cpu>'))).toBe('CONFIG_UNSUPPORTED');
    expect(await code(compare('<domain/>'))).toBe('XML_ERROR');
    expect(await code(compare(''))).toBe('XML_DETAIL');
  });

  test('have a common ground', async () => {
    const documents = ['<cpu><model>Nehalem</model></cpu>', '<cpu><model>Westmere</model></cpu>'];
    const { xml } = await call(bus, baselineCpu, { documents, virtType: 'qemu' }, at);
    expect(xml).toContain("<model fallback='forbid'>Nehalem</model>");
  });

  test("like the host's have its name in the document of the running guest, and QEMU gives it", async () => {
    const admin = await stack.connect();
    const { uuid } = await stack.run(admin, { name: 'like', more: "<cpu mode='host-model'/>" });
    const { xml = '' } = await call(admin, getDomainXml, {}, { target: uuid });
    expect(xml).toMatch(/<cpu mode='custom' match='exact' check='full'>\s*<model fallback='forbid'>[\w-]+<\/model>/);
    const { xml: kept = '' } = await call(admin, getDomainXml, { inactive: true }, { target: uuid });
    expect(kept).toContain("<cpu mode='host-model'");
    await call(admin, destroyDomain, {}, { target: uuid });
  });
});

test('a host whose driver is away says so', async () => {
  await stack.drivers.get('h1')!.stop('SIGKILL');
  const xml = await stack.domainXml({ name: 'away' });
  // The server notices a moment later that its connection is gone.
  await eventually(() => code(call(bus, explainDomain, { xml }, at)), 'HOST_OFFLINE');
  expect(await code(call(bus, xmlToNative, { format, xml }, at))).toBe('HOST_OFFLINE');
});
