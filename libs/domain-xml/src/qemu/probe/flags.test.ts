import type { SchemaEntry } from './answers';
import type { QemuFacts } from './facts';
import { deriveFlags } from './flags';
import { QmpSchema } from './schema';

const command = (name: string, ...members: string[]): SchemaEntry[] =>
  [
    { name, 'meta-type': 'command', 'arg-type': `${name}-arg` },
    { name: `${name}-arg`, 'meta-type': 'object', members: members.map((member) => ({ name: member, type: 'bool' })) },
    { name: 'bool', 'meta-type': 'builtin' },
  ] as SchemaEntry[];

const facts = (schema: SchemaEntry[]): QemuFacts => ({
  version: 7_002_000,
  package: '',
  arch: 'x86_64',
  kvm: false,
  sev: false,
  sgx: false,
  types: new Set(),
  properties: new Map(),
  schema: new QmpSchema(schema),
  options: new Map(),
  migration: new Set(),
  tpm: new Set(),
});

describe('blockjob.backing-mask-protocol', () => {
  const mask = 'backing-mask-protocol';
  test.each([
    ['neither command has', [], [], false],
    ['block-commit alone has', [mask], [], false],
    ['block-stream alone has', [], [mask], false],
    ['both commands have', [mask], [mask], true],
  ])('is what a QEMU can do when %s the argument: %p %p → %p', (_, commit, stream, expected) => {
    const flags = deriveFlags(facts([...command('block-commit', ...commit), ...command('block-stream', ...stream)]));
    expect(flags.has('blockjob.backing-mask-protocol')).toBe(expected);
  });
});
