/** Commands that show a host documents, over a real nats-server, answered by a small service of this test. */
import { writeFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import {
  baselineCpu,
  compareCpu,
  explainDomain,
  listHosts,
  nativeToXml,
  VirtError,
  xmlToNative,
} from '@virtbus/shared';
import { connectBus, endpoint, serve, type Bus } from '@virtbus/shared/bus';
import { silent } from '@virtbus/shared/log';
import { startNatsServer, temporaryFolder, type NatsServer, type TemporaryFolder } from '@virtbus/testkit';
import { run } from './run';

let nats: NatsServer;
let bus: Bus;
let folder: TemporaryFolder;

beforeAll(async () => {
  nats = await startNatsServer();
  folder = temporaryFolder();
  bus = await connectBus({ url: nats.url, name: 'test service' });
  const options = { name: 'stand', version: '0.0.1', description: 'answers for a test', queue: 'stand' };
  const endpoints = [
    endpoint(listHosts, async () => ({ hosts: [] })),
    endpoint(nativeToXml, async ({ config, format }, { target }, fail) => {
      if (target === 'away') throw fail('HOST_OFFLINE', { host: 'away', service: 'driver-qemu' });
      if (format !== 'qemu-argv')
        throw fail('UNSUPPORTED_BY_DRIVER', { driver: 'qemu', operation: `convert ${format}` });
      return { xml: `<domain>${config.trim()}</domain>`, warnings: ['-foo goes beside'] };
    }),
    endpoint(xmlToNative, async ({ xml }) => {
      if (!xml.startsWith('<')) throw new VirtError('XML_DETAIL', { detail: 'it is no XML' });
      return { config: `qemu ${xml.length}`, warnings: [] };
    }),
    endpoint(explainDomain, async () => ({
      lines: [
        { path: '/domain/uuid', value: 'u', reason: 'made up' },
        { path: '/domain/os/type/@machine', value: 'pc-q35-7.2', was: 'q35', reason: 'an alias' },
        { path: '/domain/devices/input[1]', was: '<input/>', reason: 'not needed' },
      ],
      warnings: [],
    })),
    endpoint(compareCpu, async ({ xml }) =>
      xml.includes('Huge')
        ? { result: 'incompatible', missing: ['amx'], unwanted: [] }
        : { result: xml.includes('Same') ? 'identical' : 'superset', missing: [], unwanted: [] },
    ),
    endpoint(baselineCpu, async ({ documents }) => ({ xml: `<cpu>${documents.length}</cpu>` })),
  ];
  await serve(bus, options, endpoints, silent);
});

afterAll(async () => {
  await bus.close();
  await nats[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const file = (name: string, text: string): string => {
  writeFileSync(folder.file(name), text);
  return folder.file(name);
};

async function virtbus(...words: string[]): Promise<{ exit: number; out: string; err: string }> {
  const said = { out: '', err: '' };
  const into = (name: 'out' | 'err'): Writable =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        said[name] += chunk.toString();
        done();
      },
    });
  const exit = await run(['--url', nats.url, ...words], { stdout: into('out'), stderr: into('err'), env: {} }, '1.2.3');
  return { exit, ...said };
}

describe('domxml-from-native and domxml-to-native', () => {
  test('print the document or the line, with warnings beside it', async () => {
    const line = file('start.sh', 'qemu -foo\n');
    expect(await virtbus('domxml-from-native', 'qemu-argv', line, '--host', 'h1')).toEqual({
      exit: 0,
      out: '<domain>qemu -foo</domain>\n',
      err: 'warning: -foo goes beside\n',
    });
    const xml = file('web1.xml', '<domain/>');
    expect((await virtbus('domxml-to-native', 'qemu-argv', xml, '--host', 'h1')).out).toBe('qemu 9\n');
    expect((await virtbus('domxml-to-native', '--format', 'qemu-argv', '--xml', xml, '--host', 'h1')).out).toBe(
      'qemu 9\n',
    );
  });

  test('refuse an unknown format, an empty or missing file, and what is no XML, each in one line', async () => {
    const line = file('start.sh', 'qemu');
    expect(await virtbus('domxml-from-native', 'vmx', line, '--host', 'h1')).toMatchObject({
      exit: 1,
      err: expect.stringMatching(/^error: this function is not supported .*\n$/),
    });
    expect((await virtbus('domxml-from-native', 'qemu-argv', file('empty', ''), '--host', 'h1')).err).toMatch(
      /is empty\n$/,
    );
    expect(await virtbus('domxml-from-native', 'qemu-argv', folder.file('none'), '--host', 'h1')).toMatchObject({
      exit: 2,
      err: expect.stringContaining('no such file'),
    });
    expect((await virtbus('domxml-to-native', 'qemu-argv', folder.file('none.xml'), '--host', 'h1')).exit).toBe(2);
    expect((await virtbus('domxml-to-native', 'qemu-argv', line, '--host', 'h1')).err).toContain('not well formed');
    expect((await virtbus('domxml-to-native', 'qemu-argv')).exit).toBe(2);
    expect((await virtbus('domxml-from-native', 'qemu-argv', line, '--host', 'away')).exit).toBe(3);
  });
});

test('domxml-explain tells what came, changed and went, each with its reason', async () => {
  const xml = file('web1.xml', '<domain/>');
  expect((await virtbus('domxml-explain', xml, '--host', 'h1')).out).toBe(
    [
      '+ /domain/uuid = u',
      '    made up',
      '~ /domain/os/type/@machine = q35 → pc-q35-7.2',
      '    an alias',
      '- /domain/devices/input[1] = <input/>',
      '    not needed',
      '',
    ].join('\n'),
  );
  const { lines } = JSON.parse((await virtbus('domxml-explain', xml, '--host', 'h1', '--json')).out) as {
    lines: unknown[];
  };
  expect(lines).toHaveLength(3);
});

describe('cpu-compare and cpu-baseline', () => {
  test('say what a host can give, and fail for what it cannot', async () => {
    const same = file('same.xml', '<cpu><model>Same</model></cpu>');
    expect(await virtbus('cpu-compare', same, '--host', 'h1')).toEqual({
      exit: 0,
      out: `CPU described in ${same} is identical to the CPU provided by host 'h1'\n`,
      err: '',
    });
    expect((await virtbus('hypervisor-cpu-compare', file('less.xml', '<cpu/>'), '--host', 'h1')).out).toContain(
      'is a superset of',
    );
    const huge = file('huge.xml', '<cpu><model>Huge</model></cpu>');
    expect(await virtbus('cpu-compare', huge, '--host', 'h1')).toEqual({
      exit: 1,
      out: '',
      err: `error: the CPU is incompatible with host CPU: CPU described in ${huge} on host 'h1': missing features: amx\n`,
    });
    expect(JSON.parse((await virtbus('cpu-compare', huge, '--host', 'h1', '--json')).out)).toMatchObject({
      missing: ['amx'],
    });
  });

  test('take several files', async () => {
    const files = ['a', 'b', 'c'].map((name) => file(`${name}.xml`, '<cpu/>'));
    expect((await virtbus('cpu-baseline', ...files, '--host', 'h1')).out).toBe('<cpu>3</cpu>\n');
    expect((await virtbus('cpu-baseline', folder.file('nothing'), '--host', 'h1')).exit).toBe(2);
  });
});
