/**
 * Asks one QEMU everything that its capabilities are derived from, and keeps the answers in searchable form.
 *
 * The peer may be a live monitor or a recorded conversation. A command or type that QEMU lacks is an answer ("no").
 */
import { ask, askFor, type ObjectProperty, type QmpPeer } from './answers';
import { devicePropertyFlags, objectPropertyFlags } from './flag-rules';
import { QmpSchema } from './schema';

export interface QemuFacts {
  /** major * 1 000 000 + minor * 1000 + micro. */
  readonly version: number;
  readonly package: string;
  readonly arch: string;
  /** KVM was asked for and QEMU could open it. */
  readonly kvm: boolean;
  readonly schema: QmpSchema;
  readonly types: ReadonlySet<string>;
  /** By device or object type; missing types are absent. */
  readonly properties: ReadonlyMap<string, ReadonlyMap<string, ObjectProperty>>;
  readonly options: ReadonlyMap<string, ReadonlySet<string>>;
  readonly migration: ReadonlySet<string>;
  readonly tpm: ReadonlySet<string>;
  readonly sev: boolean;
  readonly sgx: boolean;
}

export async function gatherFacts(peer: QmpPeer): Promise<QemuFacts> {
  const version = await ask(peer, 'query-version');
  const { major, minor, micro } = version.qemu;
  const properties = new Map<string, ReadonlyMap<string, ObjectProperty>>();
  const learn = async (
    command: 'device-list-properties' | 'qom-list-properties',
    rules: Record<string, readonly [string, string]>,
  ): Promise<void> => {
    for (const typename of new Set(Object.values(rules).map(([type]) => type))) {
      const found = await askFor(peer, command, { typename });
      if (found) properties.set(typename, new Map(found.map((property) => [property.name, property])));
    }
  };
  await learn('device-list-properties', devicePropertyFlags);
  await learn('qom-list-properties', objectPropertyFlags);
  const options = await ask(peer, 'query-command-line-options');
  return {
    version: major * 1_000_000 + minor * 1000 + micro,
    package: version.package,
    arch: (await ask(peer, 'query-target')).arch,
    kvm: (await ask(peer, 'query-kvm')).enabled,
    schema: new QmpSchema(await ask(peer, 'query-qmp-schema')),
    types: new Set((await ask(peer, 'qom-list-types')).map((type) => type.name)),
    properties,
    options: new Map(options.map((each) => [each.option, new Set(each.parameters.map((one) => one.name))])),
    migration: new Set((await ask(peer, 'query-migrate-capabilities')).map((one) => one.capability)),
    tpm: new Set([
      ...((await askFor(peer, 'query-tpm-models')) ?? []),
      ...((await askFor(peer, 'query-tpm-types')) ?? []),
    ]),
    sev: (await askFor(peer, 'query-sev-capabilities')) !== undefined,
    sgx: (await askFor(peer, 'query-sgx-capabilities')) !== undefined,
  };
}
