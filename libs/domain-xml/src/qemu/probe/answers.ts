/** The questions that a binary is probed with, and the answers as QEMU's own schema has them (6.2 and later). */

export interface ObjectProperty {
  name: string;
  type: string;
  description?: string;
  'default-value'?: unknown;
}

export interface QmpMachine {
  name: string;
  alias?: string;
  'is-default'?: boolean;
  'cpu-max': number;
  'hotpluggable-cpus': boolean;
  'numa-mem-supported': boolean;
  deprecated: boolean;
  'default-cpu-type'?: string;
  'default-ram-id'?: string;
  /** Since 8.0. */
  acpi?: boolean;
}

export interface QmpCpuModel {
  name: string;
  props?: Record<string, unknown>;
}

export interface CpuDefinition {
  name: string;
  typename: string;
  static: boolean;
  'migration-safe'?: boolean;
  'unavailable-features'?: string[];
  'alias-of'?: string;
  deprecated?: boolean;
}

export interface CommandLineOption {
  option: string;
  parameters: { name: string; type: string; help?: string; default?: string }[];
}

/** One type, command or event of `query-qmp-schema`. Names of types are opaque numbers. */
export interface SchemaEntry {
  name: string;
  'meta-type': 'builtin' | 'enum' | 'array' | 'object' | 'alternate' | 'command' | 'event';
  features?: string[];
  'arg-type'?: string;
  'ret-type'?: string;
  'element-type'?: string;
  'json-type'?: string;
  tag?: string;
  values?: string[];
  members?: { name?: string; type?: string; default?: unknown; features?: string[] }[];
  variants?: { case: string; type: string }[];
}

/** By command: what it takes and what it gives. */
export interface ProbeCommands {
  'query-version': {
    args: undefined;
    result: { qemu: { major: number; minor: number; micro: number }; package: string };
  };
  'query-target': { args: undefined; result: { arch: string } };
  'query-kvm': { args: undefined; result: { enabled: boolean; present: boolean } };
  'query-qmp-schema': { args: undefined; result: SchemaEntry[] };
  'qom-list-types': { args: { implements?: string; abstract?: boolean } | undefined; result: { name: string }[] };
  'device-list-properties': { args: { typename: string }; result: ObjectProperty[] };
  'qom-list-properties': { args: { typename: string }; result: ObjectProperty[] };
  'query-machines': { args: undefined; result: QmpMachine[] };
  'query-cpu-definitions': { args: undefined; result: CpuDefinition[] };
  'query-cpu-model-expansion': {
    args: { type: 'static' | 'full'; model: QmpCpuModel };
    result: { model: QmpCpuModel };
  };
  'query-migrate-capabilities': { args: undefined; result: { capability: string; state: boolean }[] };
  'query-tpm-models': { args: undefined; result: string[] };
  'query-tpm-types': { args: undefined; result: string[] };
  'query-sev-capabilities': { args: undefined; result: object };
  'query-sgx-capabilities': { args: undefined; result: object };
  'query-command-line-options': { args: { option?: string } | undefined; result: CommandLineOption[] };
}

/** Answers QMP commands: a live monitor, or a recorded conversation. */
export interface QmpPeer {
  /** Undefined when QEMU refuses, because it lacks the command or the thing. Throws when there is no answer. */
  ask(command: string, args?: object): Promise<unknown>;
}

type Name = keyof ProbeCommands;

/** What every QEMU answers. Throws an Error when this one does not. */
export async function ask<N extends Name>(
  peer: QmpPeer,
  command: N,
  args?: ProbeCommands[N]['args'],
): Promise<ProbeCommands[N]['result']> {
  const answer = await askFor(peer, command, args);
  if (answer === undefined) throw new Error(`QEMU does not answer ${command}`);
  return answer;
}

/** What some lack: undefined then. */
export async function askFor<N extends Name>(
  peer: QmpPeer,
  command: N,
  args?: ProbeCommands[N]['args'],
): Promise<ProbeCommands[N]['result'] | undefined> {
  return (await peer.ask(command, args)) as ProbeCommands[N]['result'] | undefined;
}
