/**
 * Asks one QEMU everything that its capabilities are derived from, and keeps the answers in searchable form.
 *
 * The peer may be a live monitor or a recorded conversation. A command or type that QEMU lacks is an answer ("no").
 */
import { QmpError, type CommandArgs, type CommandName, type CommandResult, type ObjectProperty } from '../qmp';
import { devicePropertyFlags, objectPropertyFlags } from './flag-rules';
import { QmpSchema } from './schema';

/** Answers QMP commands; a refusal is a QmpError. */
export interface QmpPeer {
  execute<Name extends CommandName>(command: Name, args: CommandArgs<Name>): Promise<CommandResult<Name>>;
  /** Commands that are missing from some builds. */
  executeRaw(command: string): Promise<unknown>;
}

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

/** Undefined instead of QEMU's refusal. */
export async function orNone<Result>(answer: Promise<Result>): Promise<Result | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof QmpError) return undefined;
    throw error;
  }
}

export async function gatherFacts(peer: QmpPeer): Promise<QemuFacts> {
  const version = await peer.execute('query-version', undefined);
  const { major, minor, micro } = version.qemu;
  const properties = new Map<string, ReadonlyMap<string, ObjectProperty>>();
  const learn = async (
    command: 'device-list-properties' | 'qom-list-properties',
    rules: Record<string, readonly [string, string]>,
  ): Promise<void> => {
    for (const typename of new Set(Object.values(rules).map(([type]) => type))) {
      const found = await orNone(peer.execute(command, { typename }));
      if (found) properties.set(typename, new Map(found.map((property) => [property.name, property])));
    }
  };
  await learn('device-list-properties', devicePropertyFlags);
  await learn('qom-list-properties', objectPropertyFlags);
  const options = await peer.execute('query-command-line-options', undefined);
  return {
    version: major * 1_000_000 + minor * 1000 + micro,
    package: version.package,
    arch: (await peer.execute('query-target', undefined)).arch,
    kvm: (await peer.execute('query-kvm', undefined)).enabled,
    schema: new QmpSchema(await peer.execute('query-qmp-schema', undefined)),
    types: new Set((await peer.execute('qom-list-types', undefined)).map((type) => type.name)),
    properties,
    options: new Map(options.map((each) => [each.option, new Set(each.parameters.map((one) => one.name))])),
    migration: new Set((await peer.execute('query-migrate-capabilities', undefined)).map((one) => one.capability)),
    tpm: new Set([
      ...((await orNone(peer.execute('query-tpm-models', undefined))) ?? []),
      ...((await orNone(peer.execute('query-tpm-types', undefined))) ?? []),
    ]),
    sev: (await orNone(peer.executeRaw('query-sev-capabilities'))) !== undefined,
    sgx: (await orNone(peer.executeRaw('query-sgx-capabilities'))) !== undefined,
  };
}
