/** Internal snapshots of a domain that is off, with a qemu-img that is ended where a test has it end. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseDomain } from '@virtbus/domain-xml';
import { parseSnapshot } from '@virtbus/domain-xml/snapshot';
import { VirtError } from '@virtbus/shared';
import { takeOffline } from './offline';
import * as program from './qemu-img';

jest.mock('./qemu-img', () => ({ qemuImg: jest.fn() }));
const { qemuImg } = jest.requireActual<typeof program>('./qemu-img');

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'vb-offline-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string): string => join(folder, name);

test('a snapshot that is stopped at its last image is in none of them', async () => {
  for (const name of ['a', 'b']) await qemuImg(['create', '-q', '-f', 'qcow2', file(name), '1M']);
  const disks = ['a', 'b'].map((name) => {
    const source = `<source file='${file(name)}'/><target dev='vd${name}' bus='virtio'/>`;
    return `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>${source}</disk>`;
  });
  const rest = `<name>g</name><memory>65536</memory><os><type>hvm</type></os>`;
  const xml = `<domain type='qemu'>${rest}<devices>${disks.join('')}</devices></domain>`;
  const { domain } = parseDomain(xml, { mode: 'inactive' });
  const within = ['vda', 'vdb'].map((name) => `<disk name='${name}' snapshot='internal'/>`).join('');
  const asked = `<domainsnapshot><name>s</name><disks>${within}</disks></domainsnapshot>`;
  const snapshot = parseSnapshot(asked, { form: 'request' });
  jest.mocked(program.qemuImg).mockImplementation(async (args, signal) => {
    const said = await qemuImg(args, signal);
    if (!args.includes('-c') || !args.at(-1)?.includes(file('b'))) return said;
    // All of it is done by then.
    throw new VirtError('OPERATION_TIMEOUT', { detail: 'it took too long' });
  });
  const taking = { snapshot, reuse: false, images: new Map(), signal: AbortSignal.timeout(60_000) };
  await expect(takeOffline(domain, taking)).rejects.toMatchObject({ code: 'OPERATION_TIMEOUT' });
  for (const name of ['a', 'b'])
    expect(JSON.parse(await qemuImg(['info', '--output=json', file(name)]))).not.toHaveProperty('snapshots');
});
