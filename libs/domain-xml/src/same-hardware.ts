/**
 * Whether a guest finds the same machine in two documents: what it can see must be equal, what its host keeps behind that
 * may differ. Asked of a document that is given for the target of a migration (libvirt's ABI check).
 */
import { VirtError } from '@virtbus/shared';
import type { Domain } from './elements/domain';

/** Of the host's, in the domain itself. */
const behindTheDomain = new Set([
  ...['name', 'id', 'title', 'description', 'metadata', 'seclabels', 'resource', 'cputune', 'blkiotune', 'memtune'],
  ...['numatune', 'memoryBacking', 'perf', 'iothreads', 'iothreadids', 'currentMemory', 'throttlegroups'],
  ...[
    'on_poweroff',
    'on_reboot',
    'on_crash',
    'on_lockfailure',
    'emulator',
    'kernel',
    'initrd',
    'dtb',
    'loader',
    'nvram',
  ],
]);
/** Of the host's, in a device. */
const behindADevice = new Set([
  ...[
    'source',
    'sources',
    'backingStore',
    'mirror',
    'seclabels',
    'alias',
    'log',
    'link',
    'listens',
    'port',
    'autoport',
  ],
  ...['tlsPort', 'websocket', 'passwd', 'script', 'downscript', 'bandwidth', 'iotune', 'filterref', 'backenddomain'],
  ...[
    'protocol',
    'auth',
    'encryption',
    'backend',
    'driver',
    'throttlefilters',
    'tune',
    'portForwards',
    'ips',
    'routes',
  ],
]);

/** Throws CONFIG_UNSUPPORTED with the first difference. */
export function checkSameHardware(source: Domain, target: Domain): void {
  const { devices, ...machine } = source;
  const { devices: otherDevices, ...otherMachine } = target;
  const found =
    difference(machine, otherMachine, behindTheDomain, '') ??
    difference(withoutTaps(devices), withoutTaps(otherDevices), new Set([...behindADevice, 'emulator']), 'devices');
  if (found === undefined) return;
  throw new VirtError('CONFIG_UNSUPPORTED', { detail: `the guest would find other hardware on the target: ${found}` });
}

/** The target of an interface is its tap: the host's. Of a disk it is what the guest sees. */
function withoutTaps(devices: Domain['devices']): object {
  return { ...devices, interfaces: devices.interfaces.map(({ target: _tap, ...seen }) => seen) };
}

function difference(one: unknown, other: unknown, hidden: ReadonlySet<string>, path: string): string | undefined {
  if (!isObject(one) || !isObject(other)) {
    return one === other ? undefined : `${path} is ${shown(one)} and would be ${shown(other)}`;
  }
  for (const name of new Set([...Object.keys(one), ...Object.keys(other)])) {
    if (hidden.has(name)) continue;
    const below = path === '' ? name : `${path}.${name}`;
    const found = difference(one[name], other[name], hidden, below);
    if (found !== undefined) return found;
  }
  return undefined;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

const shown = (value: unknown): string => (value === undefined ? 'not there' : JSON.stringify(value));
