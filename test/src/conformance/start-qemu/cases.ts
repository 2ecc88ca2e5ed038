/** The command lines that we make of a kit's documents for the QEMU that is installed. */
import { execFileSync } from 'node:child_process';
import {
  buildCommandLine,
  capabilitiesFromXml,
  parseDomain,
  prepareDomain,
  prepareForStart,
  type DescriptorUse,
  type PrepareOptions,
  type QemuCapabilities,
} from '@virtbus/domain-xml';
import { isVirtError } from '@virtbus/shared';
import type { Kit } from '../kit';
import type { Case } from '../domain-xml-qemu';
import { channelFolder, hostContext, lookUp } from '../kit-host';

export type Startable = Case & { readonly arch: string };

export interface BuiltLine {
  readonly id: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly descriptors: readonly DescriptorUse['kind'][];
  /** Path of the monitor's socket. */
  readonly monitor: string;
  /** The document brings arguments of its own, which nobody has checked. */
  readonly ownArguments: boolean;
}

/** A case whose document this QEMU cannot serve, by our own check. */
export interface Declined {
  readonly id: string;
  readonly reason: string;
}

/** major.minor of a binary. */
function versionOf(emulator: string): [number, number] {
  const [, major, minor] =
    /version (\d+)\.(\d+)/.exec(execFileSync(emulator, ['--version'], { encoding: 'utf8' })) ?? [];
  return [Number(major), Number(minor)];
}

/** The recorded capabilities of the newest version that is not newer than the binary. */
export function nearestCapabilities(kit: Kit, emulator: string): QemuCapabilities {
  const [major, minor] = versionOf(emulator);
  const folder = 'support/capabilities';
  const recorded = kit.list(folder).flatMap((name) => {
    const [, at, below] = /^caps_(\d+)\.(\d+)\.\d+_x86_64\.xml$/.exec(name) ?? [];
    return at === undefined ? [] : [{ name, rank: Number(at) * 1000 + Number(below) }];
  });
  const fitting = recorded.filter(({ rank }) => rank <= major * 1000 + minor).sort((a, b) => b.rank - a.rank)[0];
  if (!fitting) throw new Error(`the kit has no capabilities of a QEMU as old as ${major}.${minor}`);
  return capabilitiesFromXml(kit.read(`${folder}/${fitting.name}`));
}

/** The cases for x86 that a command line is made of. */
export const startableCases = (kit: Kit): Startable[] =>
  ['manifest.json', 'manifest-secondary.json']
    .flatMap((manifest) => kit.cases<Startable>(manifest))
    .filter(({ expect, arch }) => expect === 'ok' && (arch === 'x86_64' || arch === 'i686'));

export const caseOptions = ({ parseFlags }: Startable, host: PrepareOptions): PrepareOptions =>
  parseFlags?.includes('abi-update') ? { ...host, newDefinition: true } : host;

export function buildLine(
  kit: Kit,
  one: Startable,
  capabilities: QemuCapabilities,
  host: PrepareOptions,
): BuiltLine | Declined {
  try {
    const { domain } = parseDomain(kit.read(one.input), { mode: 'inactive', unknown: 'warn' });
    const prepared = prepareDomain(domain, capabilities, caseOptions(one, host));
    lookUp(kit, prepared);
    const ready = prepareForStart(prepared, { channelDir: channelFolder(prepared) });
    const recorded = hostContext(one, capabilities, ready);
    const monitor = `${recorded.domainDir}/monitor.sock`;
    const context = { ...recorded, monitor: { path: monitor }, passSockets: false, passFiles: false };
    const { args, env, descriptors } = buildCommandLine(ready, context);
    return {
      id: one.id,
      args,
      env,
      descriptors: descriptors.map(({ use }) => use.kind),
      monitor,
      ownArguments: (domain.qemuCommandline?.args ?? []).length > 0,
    };
  } catch (error) {
    if (isVirtError(error)) return { id: one.id, reason: error.message };
    throw error;
  }
}
