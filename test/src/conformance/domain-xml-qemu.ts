/** The kit of QEMU guests: verdict, normalised document, fixed point, error text; over all cases and over the simple ones. */
import {
  capabilitiesFromXml,
  formatDomain,
  parseDomain,
  prepareDomain,
  readFirmwareDescriptors,
  withFlags,
  withoutMachineAliases,
  type PrepareOptions,
  type QemuCapabilities,
} from '@virtbus/domain-xml';
import { differenceInText, differenceInTrees, saysTheSame } from './compare';
import { fixedUuid } from './generic-domain-xml';
import { Tally, type Kit, type Runner } from './kit';
import type { HostCase } from './kit-host';
import { judgeCommandLine } from './qemu-arguments';

export interface Case extends HostCase {
  id: string;
  expect: 'ok' | 'parse-error' | 'args-failure';
  input: string;
  missingInput?: boolean;
  expectXml?: string;
  expectError?: string;
  expectArgs?: string;
  qemuVersion: string;
  capabilities?: string;
  simple?: boolean;
  parseFlags?: string[];
  options?: HostCase['options'] & { capsAdd?: string[]; capsRemove?: string[]; gic?: number[] };
}

interface ActiveCase {
  id: string;
  input: string;
  capabilities?: string;
  qemuVersion?: string;
  expectActiveXml: string;
  expectInactiveXml: string;
}

/** The reference host: its firmware descriptors, most important folder first, and where it keeps variables. */
export function hostOptions(kit: Kit): PrepareOptions {
  const folders = ['support/firmware/etc/qemu/firmware', 'support/firmware/usr/share/qemu/firmware'];
  const files = folders.flatMap((folder) =>
    kit.list(folder).map((name) => ({ name, content: kit.read(`${folder}/${name}`) })),
  );
  return {
    newUuid: () => fixedUuid,
    firmware: readFirmwareDescriptors(files),
    nvramDirectory: '/var/lib/libvirt/qemu/nvram',
  };
}

export const domainXmlQemu: Runner = (kit) => {
  const host = hostOptions(kit);
  const tally = new Tally(kit.name);
  const capabilitiesOf = capabilityReader(kit);
  for (const [list, manifest] of [
    ['primary', 'manifest.json'],
    ['secondary', 'manifest-secondary.json'],
  ] as const) {
    for (const one of kit.cases<Case>(manifest)) judge(kit, host, list, one, capabilitiesOf(one), tally);
  }
  for (const one of kit.cases<ActiveCase>('manifest-active.json'))
    judgeActive(kit, host, one, capabilitiesOf(one), tally);
  return tally.scores();
};

/** The capabilities that a case was recorded with; undefined where the kit has them not. */
export function capabilityReader(
  kit: Kit,
): (one: Partial<Pick<Case, 'capabilities' | 'qemuVersion' | 'options'>>) => QemuCapabilities | undefined {
  const read = new Map<string, QemuCapabilities>();
  return ({ capabilities, qemuVersion = 'latest', options }) => {
    if (capabilities === undefined) return undefined;
    const caps = read.get(capabilities) ?? capabilitiesFromXml(kit.read(capabilities));
    read.set(capabilities, caps);
    const named = qemuVersion === 'latest' ? withoutMachineAliases(caps) : caps;
    const flagged = withFlags(named, options?.capsAdd ?? [], options?.capsRemove ?? []);
    return options?.gic?.length ? { ...flagged, gicVersions: options.gic.map(String) } : flagged;
  };
}

function judge(
  kit: Kit,
  host: PrepareOptions,
  list: string,
  one: Case,
  caps: QemuCapabilities | undefined,
  tally: Tally,
): void {
  const lists = one.simple === true ? [list, `${list}, simple`] : [list];
  const add = (kind: string, reason: string | undefined): void => {
    for (const name of lists) tally.add(`${name}: ${kind}`, one.id, reason);
  };
  const options: PrepareOptions = {
    ...host,
    ...(one.parseFlags?.includes('abi-update') && { newDefinition: true }),
  };
  const attempt = normalise(() => (one.missingInput ? undefined : kit.read(one.input)), caps, options);
  const shouldRefuse = one.expect === 'parse-error';
  const refused = attempt.output === undefined;
  add(
    'verdict',
    refused === shouldRefuse ? undefined : refused ? `refused: ${attempt.refusal}` : 'accepted, but should be refused',
  );
  if (one.expectXml !== undefined) {
    const expected = kit.read(one.expectXml);
    const because = refused ? `refused: ${attempt.refusal}` : undefined;
    add('output (lenient)', because ?? differenceInTrees(expected, attempt.output ?? ''));
    add('output (strict)', because ?? differenceInText(expected, attempt.output ?? ''));
    const again = normalise(() => expected, caps, options);
    add(
      'fixed point',
      again.output === undefined ? `refused: ${again.refusal}` : differenceInText(expected, again.output),
    );
  }
  if (one.expect !== 'parse-error' && caps !== undefined) judgeCommandLine(kit, one, caps, options, add);
  if (shouldRefuse && one.expectError !== undefined) {
    const expected = kit.read(one.expectError).trim();
    add(
      'error text',
      refused && saysTheSame(expected, attempt.refusal)
        ? undefined
        : `expected «${expected}», got «${attempt.refusal}»`,
    );
  }
}

function normalise(
  input: () => string | undefined,
  caps: QemuCapabilities | undefined,
  options: PrepareOptions,
): { output?: string; refusal: string } {
  try {
    const xml = input();
    if (xml === undefined) return { refusal: 'there is no such file' };
    if (caps === undefined) return { refusal: 'the capabilities of this QEMU are not supplied' };
    const { domain } = parseDomain(xml, { mode: 'inactive', unknown: 'warn' });
    return {
      output: formatDomain(prepareDomain(domain, caps, options), { view: 'inactive', secrets: true }),
      refusal: '',
    };
  } catch (error) {
    return {
      refusal: error instanceof Error ? (error.name === 'VirtError' ? error.message : `${error.stack}`) : String(error),
    };
  }
}

function judgeActive(
  kit: Kit,
  host: PrepareOptions,
  one: ActiveCase,
  caps: QemuCapabilities | undefined,
  tally: Tally,
): void {
  for (const view of ['live', 'inactive'] as const) {
    const expected = kit.read(view === 'live' ? one.expectActiveXml : one.expectInactiveXml);
    let reason: string | undefined;
    try {
      if (caps === undefined) throw new Error('the capabilities of this QEMU are not supplied');
      const { domain } = parseDomain(kit.read(one.input), { mode: 'live', unknown: 'warn' });
      domain.id ??= 1337;
      const prepared = prepareDomain(domain, caps, host);
      reason = differenceInText(expected, formatDomain(prepared, { view, secrets: true }));
    } catch (error) {
      reason = `refused: ${error instanceof Error ? error.message : String(error)}`;
    }
    tally.add(`active: ${view === 'live' ? 'running' : 'inactive'} view (strict)`, one.id, reason);
  }
}
