/**
 * Recorded conversations with QEMU 6.2 … 10.0 must give the capabilities that libvirt derives from them.
 *
 * The recordings are not part of this repository; without them the tests are skipped. Commands are answered by content
 * (same command and arguments, same connection), not by position.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { capabilitiesFromXml, type QemuCapabilities } from '@virtbus/domain-xml';
import { QmpError } from '../qmp';
import { deriveCapabilities } from './derive';
import { type QmpPeer } from './facts';

const kits = process.env['VIRTBUS_KITS'] ?? resolve(__dirname, '../../../../../shared/conformance');
const kit = join(kits, 'qmp-capabilities');

interface Recording {
  id: string;
  conversation: string;
  expectXml: string;
}

type Command = { execute: string; arguments?: unknown };
type Reply = { return?: unknown; error?: { class: string; desc: string } };

/** One list of exchanges a connection; a repeated `qmp_capabilities` begins the next. */
function connections(text: string): [Command, Reply][][] {
  const documents = text.split(/\n\s*\n/).filter((part) => part.trim() !== '');
  const found: [Command, Reply][][] = [];
  for (let i = 0; i < documents.length; i += 2) {
    const command = JSON.parse(documents[i]!) as Command;
    if (command.execute === 'qmp_capabilities') found.push([]);
    found.at(-1)!.push([command, JSON.parse(documents[i + 1]!) as Reply]);
  }
  return found;
}

function replay(exchanges: [Command, Reply][]): QmpPeer {
  const executeRaw = async (execute: string, args?: object): Promise<unknown> => {
    const found = exchanges.find(
      ([command]) => command.execute === execute && isDeepStrictEqual(command.arguments ?? {}, args ?? {}),
    );
    const error = found ? found[1].error : { class: 'DeviceNotFound', desc: 'not in the recording' };
    if (error) throw new QmpError(execute, error.class, error.desc);
    return found![1].return;
  };
  return { executeRaw };
}

const available = existsSync(kit);
const recordings = available
  ? (JSON.parse(readFileSync(join(kit, 'manifest.json'), 'utf8')) as { cases: Recording[] }).cases
  : [];

const byName = <T extends { name: string }>(list: readonly T[]): T[] =>
  [...list].sort((a, b) => (a.name < b.name ? -1 : 1));
const sortedParts = (accelerator: QemuCapabilities['accelerators']['kvm']) => ({
  machines: byName(accelerator!.machines),
  cpus: byName(accelerator!.cpus),
  hostCpu: { ...accelerator!.hostCpu, properties: byName(accelerator!.hostCpu!.properties) },
});

if (available) {
  describe.each(recordings)('$id', ({ conversation, expectXml }) => {
    let expected: QemuCapabilities;
    let derived: QemuCapabilities;
    beforeAll(async () => {
      expected = capabilitiesFromXml(readFileSync(join(kit, expectXml), 'utf8'));
      const [first, second] = connections(readFileSync(join(kit, conversation), 'utf8')).map(replay);
      derived = await deriveCapabilities(expected.emulator, first!, () => Promise.resolve(second!));
    });

    test('has the flags that libvirt derives', () => {
      const missing = [...expected.flags].filter((flag) => !derived.flags.has(flag));
      const extra = [...derived.flags].filter((flag) => !expected.flags.has(flag));
      expect({ missing, extra }).toEqual({ missing: [], extra: [] });
    });

    test.each(['kvm', 'tcg'] as const)('has the machine types, CPU models and host CPU of %s', (accelerator) => {
      expect(sortedParts(derived.accelerators[accelerator])).toEqual(sortedParts(expected.accelerators[accelerator]));
    });

    test('has the version, the package and the Hyper-V features', () => {
      const { version, package: built, arch, hypervFeatures } = derived;
      expect({ version, package: built, arch, hypervFeatures }).toEqual({
        version: expected.version,
        package: expected.package,
        arch: expected.arch,
        hypervFeatures: expected.hypervFeatures,
      });
    });
  });
} else {
  test.skip(`recorded QMP conversations: ${kit} is not there (set VIRTBUS_KITS)`, () => undefined);
}
