/**
 * The kit of recorded QMP conversations: what is derived from each, held against what libvirt derives. Commands are answered by
 * content (same command and arguments, same connection), not by position.
 */
import { isDeepStrictEqual } from 'node:util';
import { capabilitiesFromXml, deriveCapabilities, type QemuCapabilities, type QmpPeer } from '@virtbus/domain-xml';
import { Tally, type Kit, type Runner } from './kit';
import { quotedInSources } from './sources';

interface Case {
  id: string;
  conversation: string;
  expectXml: string;
}

type Command = { execute: string; arguments?: unknown };
type Reply = { return?: unknown; error?: object };

export const qmpCapabilities: Runner = async (kit) => {
  const tally = new Tally(kit.name);
  const used = quotedInSources();
  for (const one of kit.cases<Case>()) {
    const expected = capabilitiesFromXml(kit.read(one.expectXml));
    const derived = await derive(kit, one);
    const missing = [...expected.flags].filter((flag) => !derived.flags.has(flag));
    const extra = [...derived.flags].filter((flag) => !expected.flags.has(flag));
    const wrong = [...missing.map((flag) => `-${flag}`), ...extra.map((flag) => `+${flag}`)];
    const wrongUsed = wrong.filter((flag) => used.has(flag.slice(1)));
    tally.add('flags', one.id, wrong.length === 0 ? undefined : wrong.join(' '));
    tally.add('flags that virtbus uses', one.id, wrongUsed.length === 0 ? undefined : wrongUsed.join(' '));
    for (const [kind, part] of Object.entries(parts))
      tally.add(kind, one.id, isDeepStrictEqual(part(derived), part(expected)) ? undefined : 'differs');
  }
  return tally.scores();
};

const byName = <T extends { name: string }>(list: readonly T[] = []): T[] =>
  [...list].sort((a, b) => (a.name < b.name ? -1 : 1));

/** What is compared beside the flags; order has no meaning. */
const parts: Readonly<Record<string, (caps: QemuCapabilities) => unknown>> = {
  'version, package, architecture': ({ version, package: built, arch }) => [version, built, arch],
  'machine types': ({ accelerators: { kvm, tcg } }) => [byName(kvm?.machines), byName(tcg?.machines)],
  'CPU models': ({ accelerators: { kvm, tcg } }) => [byName(kvm?.cpus), byName(tcg?.cpus)],
  'host CPU': ({ accelerators: { kvm, tcg } }) =>
    [kvm?.hostCpu, tcg?.hostCpu].map((cpu) => ({ ...cpu, properties: byName(cpu?.properties) })),
  'Hyper-V features': ({ hypervFeatures }) => hypervFeatures,
};

function derive(kit: Kit, { conversation }: Case): Promise<QemuCapabilities> {
  const [first, second] = connections(kit.read(conversation)).map(replay);
  const absent = (): Promise<never> => Promise.reject(new Error('the recording has no such connection'));
  if (!first) return absent();
  return deriveCapabilities('/usr/bin/qemu-system-x86_64', first, () => (second ? Promise.resolve(second) : absent()));
}

/** One list of exchanges a connection; a repeated `qmp_capabilities` begins the next. */
function connections(text: string): [Command, Reply][][] {
  const documents = text.split(/\n\s*\n/).filter((part) => part.trim() !== '');
  const found: [Command, Reply][][] = [];
  for (let at = 0; at < documents.length; at += 2) {
    const command = JSON.parse(documents[at] ?? '') as Command;
    if (command.execute === 'qmp_capabilities') found.push([]);
    found.at(-1)?.push([command, JSON.parse(documents[at + 1] ?? '') as Reply]);
  }
  return found;
}

const replay = (exchanges: readonly [Command, Reply][]): QmpPeer => ({
  ask: async (execute, args) =>
    exchanges.find(
      ([command]) => command.execute === execute && isDeepStrictEqual(command.arguments ?? {}, args ?? {}),
    )?.[1].return,
});
