/**
 * What QEMU is told before it sends or receives a guest: migration capabilities and parameters by the user's options, and
 * what is put back after. (facts: migration §5)
 */
import { VirtError, type MigrationOptions, type MigrationRole } from '@virtbus/shared';
import { addCredentials } from '../certificates';
import type { QemuGuest } from '../guest';

/** What to send when no limit was asked for, bytes a second: libvirt's word for unlimited. */
const unlimited = 9_223_372_036_853_727_232;

interface Wanted {
  /** QEMU's name, and the option that it stands for; without one it is nice to have. */
  capability: string;
  option?: string;
  sides: readonly MigrationRole[];
}

const both = ['source', 'target'] as const;

/** What must be done between the guest's stop and its going: copies end, or the rest of the memory is not sent. */
export const pausesBeforeSwitchover = ({ postcopy, storage }: MigrationOptions): boolean =>
  postcopy || storage !== 'shared';

/**
 * Without post-copy there is no way back for what the target says: a source that waited for it would let the guest run by
 * itself when the last word was lost, though the target has all it needs.
 */
function wanted(options: MigrationOptions): Wanted[] {
  const { postcopy, parallel, autoConverge, compression } = options;
  return [
    { capability: 'events', sides: both },
    ...(pausesBeforeSwitchover(options) ? [{ capability: 'pause-before-switchover', sides: ['source'] as const }] : []),
    { capability: 'late-block-activate', sides: ['target'] },
    ...(postcopy ? [{ capability: 'return-path', sides: both }] : []),
    ...(postcopy ? [{ capability: 'postcopy-ram', option: 'postcopy', sides: both }] : []),
    ...(parallel ? [{ capability: 'multifd', option: 'parallel', sides: both }] : []),
    ...(autoConverge ? [{ capability: 'auto-converge', option: 'auto-converge', sides: ['source'] as const }] : []),
    ...(compression?.method === 'xbzrle' ? [{ capability: 'xbzrle', option: 'xbzrle', sides: both }] : []),
  ];
}

/**
 * The capabilities to switch on for one side.
 * @param known those that this QEMU has
 * @throws ARGUMENT_UNSUPPORTED for an option that it cannot honour
 */
export function capabilitiesFor(
  options: MigrationOptions,
  side: MigrationRole,
  known: ReadonlySet<string>,
): readonly string[] {
  const here = wanted(options).filter(({ sides }) => sides.includes(side));
  for (const { capability, option } of here) {
    if (option === undefined || known.has(capability)) continue;
    const detail = `Migration option '${option}' is not supported by QEMU binary`;
    throw new VirtError('ARGUMENT_UNSUPPORTED', { detail });
  }
  return here.map(({ capability }) => capability).filter((name) => known.has(name));
}

/** Parameters for one side; empty strings switch TLS off whatever an earlier migration had set. */
export function parametersFor(options: MigrationOptions, side: MigrationRole, tls?: string): Record<string, unknown> {
  const { bandwidth, postcopyBandwidth, downtimeMs, autoConverge, parallel, compression } = options;
  const source = {
    'max-bandwidth': bandwidth ?? unlimited,
    'max-postcopy-bandwidth': postcopyBandwidth,
    'downtime-limit': downtimeMs,
    'cpu-throttle-initial': autoConverge?.initial,
    'cpu-throttle-increment': autoConverge?.increment,
    'xbzrle-cache-size': compression?.method === 'xbzrle' ? compression.cacheBytes : undefined,
  };
  const level = compression && compression.method !== 'xbzrle' ? compression : undefined;
  return defined({
    ...(side === 'source' ? source : {}),
    'multifd-channels': parallel,
    'multifd-compression': parallel ? (level?.method ?? 'none') : undefined,
    ...(level?.level === undefined ? {} : { [`multifd-${level.method}-level`]: level.level }),
    'tls-creds': tls ?? '',
    'tls-hostname': side === 'source' ? (options.tls?.peer ?? '') : '',
  });
}

const defined = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

/** Parameters that a migration changes and that are put back as they were found. */
const restored = [
  ...['max-bandwidth', 'max-postcopy-bandwidth', 'downtime-limit', 'cpu-throttle-initial', 'cpu-throttle-increment'],
  ...['xbzrle-cache-size', 'multifd-channels', 'multifd-compression', 'tls-creds', 'tls-hostname'],
];

/**
 * Set QEMU up for one side. What it had is kept in `guest.saved` until `resetMigration`.
 *
 * A source that fails lets its guest run by itself (`migration_iteration_finish` of QEMU). So that it cannot fail after the
 * target has all it needs, nothing follows the end of the stream: no answer of the target, no description of the machine.
 */
export async function setUpMigration(
  guest: QemuGuest,
  options: MigrationOptions,
  side: MigrationRole,
  signal: AbortSignal,
): Promise<void> {
  const states = await guest.ask('query-migrate-capabilities', undefined, signal);
  const capabilities = capabilitiesFor(options, side, new Set(states.map(({ capability }) => capability)));
  if (!guest.saved.migration) {
    const before = await guest.ask('query-migrate-parameters', undefined, signal);
    const kept = Object.fromEntries(restored.flatMap((name) => (name in before ? [[name, before[name]]] : [])));
    guest.saved.migration = { parameters: kept };
    guest.tell({ kind: 'saved' });
  }
  if (options.tls) {
    const end = side === 'source' ? 'client' : 'server';
    await addCredentials(guest, { id: tlsId, folder: options.tls.directory, end }, signal);
  }
  await switchCapabilities(guest, states, capabilities, signal);
  await guest.ask('migrate-set-parameters', parametersFor(options, side, options.tls && tlsId), signal);
  const noDescription = { path: '/machine', property: 'suppress-vmdesc', value: true };
  await guest.askRaw('qom-set', noDescription, signal);
}

/** Everything as if there had never been a migration. */
export async function resetMigration(guest: QemuGuest, signal?: AbortSignal): Promise<void> {
  const { migration } = guest.saved;
  if (!migration) return;
  const states = await guest.ask('query-migrate-capabilities', undefined, signal);
  await switchCapabilities(guest, states, [], signal);
  await guest.ask('migrate-set-parameters', migration.parameters, signal);
  await guest.ask('object-del', { id: tlsId }, signal).catch(() => undefined);
  delete guest.saved.migration;
  guest.tell({ kind: 'saved' });
}

type States = { capability: string; state: boolean }[];

async function switchCapabilities(
  guest: QemuGuest,
  states: States,
  on: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  const changed = states.filter(({ capability, state }) => on.includes(capability) !== state && mayChange(capability));
  if (changed.length === 0) return;
  const capabilities = changed.map(({ capability, state }) => ({ capability, state: !state }));
  await guest.ask('migrate-set-capabilities', { capabilities }, signal);
}

/** Those that we never set stay as QEMU has them by default. */
const ours = new Set([
  ...['events', 'pause-before-switchover', 'late-block-activate', 'return-path', 'postcopy-ram', 'multifd'],
  ...['auto-converge', 'xbzrle'],
]);
const mayChange = (capability: string): boolean => ours.has(capability);

/** The certificates of a migration that asks for them: of its memory, and of its disks. */
export const tlsId = 'objlibvirt_migrate_tls0';
