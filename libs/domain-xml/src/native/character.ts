/** Serial and parallel ports, channels and consoles, with the chardevs behind them. */
import { peek, type Attempt, type DeviceSketch, type Draft, type Sketch } from './draft';
import type { CharacterSource } from '../elements/chardev';
import type { NativeOption } from './invocation';
import { NotUnderstood } from './not-understood';
import type { Places } from './places';
import { Values } from './values';
import { optional } from './virtio';

type Backend = Pick<DeviceSketch<'serials'>, 'type' | 'sources' | 'protocol' | 'log'>;
type Source = Sketch<CharacterSource>;

const serialDrivers: Readonly<Record<string, NonNullable<NonNullable<DeviceSketch<'serials'>['target']>['type']>>> = {
  'isa-serial': 'isa-serial',
  'pci-serial': 'pci-serial',
  'usb-serial': 'usb-serial',
  'isa-debugcon': 'isa-debug',
  'spapr-vty': 'spapr-vio-serial',
};

export function readCharacters(draft: Draft, places: Places): void {
  readMonitors(draft);
  for (const option of draft.open('-device')) {
    const driver = peek(option, 'driver') ?? '';
    if (serialDrivers[driver]) draft.understand(option, (attempt, values) => serialOf(draft, places, attempt, values));
    else if (driver === 'isa-parallel')
      draft.understand(option, (attempt, values) => {
        for (const known of ['driver', 'id']) values.take(known);
        const port = values.takeNumber('index');
        const backend = chardev(attempt, values, true);
        return () => draft.add('parallels', { ...backend, target: optional('port', port) });
      });
    else if (driver === 'virtserialport' || driver === 'virtconsole')
      draft.understand(option, (attempt, values) => portOf(draft, places, attempt, values));
  }
  ports(draft, '-serial', 'serials');
  ports(draft, '-parallel', 'parallels');
  const isSaid =
    draft.line.options.some(({ flag }) => flag === '-serial') || (draft.domain.devices.serials ?? []).length > 0;
  if (!isSaid && !draft.isBare) draft.add('serials', { type: 'pty' });
}

/** A monitor is the manager's way into QEMU: the one that every guest of a manager has is not told. */
function readMonitors(draft: Draft): void {
  for (const option of draft.open('-mon')) {
    if (peek(option, 'chardev') !== 'charmonitor') continue;
    draft.understand(option, (attempt, values) => {
      for (const known of ['chardev', 'id', 'mode']) values.take(known);
      const socket = attempt.backend('-chardev', 'charmonitor');
      socket.ignore();
      return () => undefined;
    });
  }
  for (const option of draft.open('-monitor', '-qmp', '-qmp-pretty')) {
    if (option.value === 'none') option.state = 'read';
    else if (/^(stdio|vc|mon:stdio)/.test(option.value ?? ''))
      leaveOut(option, 'a guest in the background has no terminal; its driver has a monitor of its own');
  }
}

/** It makes no sense for a guest that a driver looks after. */
export function leaveOut(option: NativeOption, why: string): void {
  option.state = 'left-out';
  option.why = why;
}

/** The chardev that a device names. */
export function chardev(attempt: Attempt, values: Values, isParallel = false): Backend {
  return backendOf(attempt.backend('-chardev', values.take('chardev') ?? ''), isParallel);
}

function serialOf(draft: Draft, places: Places, attempt: Attempt, values: Values): () => void {
  const driver = values.take('driver')!;
  values.take('id');
  const port = values.takeNumber('index');
  const backend = chardev(attempt, values);
  const place =
    driver === 'usb-serial' ? places.usb(values) : driver === 'pci-serial' ? places.address(values) : isaPlace(values);
  return () =>
    draft.add('serials', { ...backend, target: { type: serialDrivers[driver], ...optional('port', port) }, ...place });
}

function isaPlace(values: Values): { address?: { type: 'isa'; iobase?: number; irq?: number } } {
  const [iobase, irq] = [values.takeNumber('iobase'), values.takeNumber('irq')];
  return iobase === undefined && irq === undefined
    ? {}
    : { address: { type: 'isa', ...optional('iobase', iobase), ...optional('irq', irq) } };
}

/** A port of a virtio-serial controller. */
function portOf(draft: Draft, places: Places, attempt: Attempt, values: Values): () => void {
  const isConsole = values.take('driver') === 'virtconsole';
  const id = values.take('chardev') ?? '';
  values.take('id');
  const name = values.take('name');
  const nr = values.takeNumber('nr');
  const bus = places.bus(values, 'virtio-serial');
  const backend = backendOf(attempt.backend('-chardev', id), false);
  const address = (bus || nr !== undefined) && {
    address: { type: 'virtio-serial' as const, controller: bus?.index ?? 0, bus: 0, ...optional('port', nr) },
  };
  if (isConsole) return () => draft.add('consoles', { ...backend, target: { type: 'virtio' }, ...address });
  const [source] = backend.sources ?? [];
  // Such a socket was named by a manager, which names another at each start.
  if (/^charchannel\d+$/.test(id) && name !== undefined && source?.mode === 'bind' && source.path?.endsWith(`/${name}`))
    delete backend.sources;
  return () => draft.add('channels', { ...backend, target: { type: 'virtio', ...optional('name', name) }, ...address });
}

/** A `-chardev`, as words or as the JSON of later QEMUs. */
function backendOf(values: Values, isParallel: boolean): Backend {
  const kind = values.take('backend.type', 'backend') ?? '';
  const append = values.takeFlag('logappend', 'backend.data.logappend');
  const file = values.take('logfile', 'backend.data.logfile');
  const log = file === undefined ? {} : { log: { file, ...optional('append', append) } };
  const path = (): Source => ({ path: values.take('path', 'backend.data.out', 'backend.data.device') });
  switch (kind) {
    case 'null':
    case 'vc':
    case 'pty':
      return { type: kind, ...log };
    case 'stdio':
      throw new NotUnderstood('a guest in the background has no terminal; use pty');
    case 'serial':
    case 'tty':
    case 'parallel':
    case 'parport':
      return { type: 'dev', sources: [path()], ...log };
    case 'file':
      return {
        type: 'file',
        sources: [{ ...path(), ...optional('append', values.takeFlag('append', 'backend.data.append')) }],
        ...log,
      };
    case 'pipe':
      return { type: 'pipe', sources: [path()], ...log };
    case 'socket':
      return { ...socketOf(values), ...log };
    case 'udp':
      return { ...udpOf(values), ...log };
    case 'spicevmc':
      values.take('name');
      return { type: 'spicevmc', ...log };
    case 'spiceport':
      return { type: 'spiceport', sources: [{ channel: values.take('name') }], ...log };
    case 'qemu-vdagent': {
      values.take('name');
      const [copypaste, mouse] = [values.takeFlag('clipboard'), values.takeFlag('mouse')];
      return {
        type: 'qemu-vdagent',
        sources: [
          {
            ...(copypaste !== undefined && { clipboard: { copypaste } }),
            ...(mouse !== undefined && { mouse: { mode: mouse ? 'client' : 'server' } }),
          },
        ],
        ...log,
      };
    }
    default:
      throw new NotUnderstood(`${isParallel ? 'parallel' : 'character'} backend '${kind}' has no place in a document`);
  }
}

function socketOf(values: Values): Backend {
  const inside = 'backend.data.addr.data.';
  values.take('backend.data.addr.type');
  const [path, host, service] = ['path', 'host', 'port'].map((name) => values.take(name, inside + name));
  const isServer = values.takeFlag('server', 'backend.data.server') ?? false;
  values.take('wait', 'backend.data.wait');
  const telnet = values.takeFlag('telnet', 'backend.data.telnet');
  const again = values.takeNumber('reconnect', 'backend.data.reconnect');
  const side: Source = {
    mode: isServer ? 'bind' : 'connect',
    ...(again !== undefined && { reconnect: { enabled: again > 0, ...(again > 0 && { timeout: again }) } }),
  };
  if (path !== undefined) return { type: 'unix', sources: [{ ...side, path }] };
  if (service === undefined) throw new NotUnderstood('the socket is handed over by another process');
  return {
    type: 'tcp',
    sources: [{ ...side, host: host || '0.0.0.0', service }],
    protocol: { type: telnet ? 'telnet' : 'raw' },
  };
}

function udpOf(values: Values): Backend {
  const [host, service, localHost, localPort] = ['host', 'port', 'localaddr', 'localport'].map((name) =>
    values.take(name),
  );
  const remote: Source = { mode: 'connect', ...optional('host', host || undefined), ...optional('service', service) };
  const local: Source = {
    mode: 'bind',
    ...optional('host', localHost || undefined),
    ...optional('service', localPort),
  };
  return { type: 'udp', sources: [...(localPort !== undefined && localPort !== '0' ? [local] : []), remote] };
}

/** `-serial` and `-parallel`: a backend in one word. */
function ports(draft: Draft, flag: '-serial' | '-parallel', list: 'serials' | 'parallels'): void {
  for (const option of draft.open(flag)) {
    const spec = option.value ?? '';
    if (spec === 'none') option.state = 'read';
    else if (/^(mon:)?stdio$/.test(spec)) {
      draft.add(list, { type: 'pty' });
      option.state = 'read';
      draft.warnings.push(
        `${flag} ${spec}: a guest in the background has no terminal; the port is a pty, which 'virtbus console' shows`,
      );
    } else if (spec.startsWith('chardev:'))
      draft.understand(option, (attempt, whole) => {
        whole.ignore();
        const values = attempt.backend('-chardev', spec.slice('chardev:'.length));
        const backend = backendOf(values, flag === '-parallel');
        return () => draft.add(list, backend);
      });
    else
      draft.understand(option, (_, whole) => {
        whole.ignore();
        const values = Values.read(asChardev(spec), 'backend');
        const backend = backendOf(values, flag === '-parallel');
        const left = values.unread();
        if (left.length > 0) throw new NotUnderstood(`${left.join(', ')} has no place in a document`);
        return () => draft.add(list, backend);
      });
  }
}

/** The words of `-chardev` for the short form that QEMU's ports and monitors take. */
function asChardev(spec: string): string {
  const [, kind = '', rest = ''] = /^([a-z]+):?(.*)$/s.exec(spec) ?? [];
  const [first = '', ...options] = rest.split(',');
  const more = options.length > 0 ? `,${options.join(',')}` : '';
  if (spec.startsWith('/dev/')) return `${spec.startsWith('/dev/parport') ? 'parport' : 'serial'},path=${spec}`;
  switch (kind) {
    case 'file':
    case 'pipe':
      return `${kind},path=${first}${more}`;
    case 'unix':
      return `socket,path=${first}${more}`;
    case 'tcp':
    case 'telnet': {
      const colon = first.lastIndexOf(':');
      return `socket,host=${first.slice(0, colon)},port=${first.slice(colon + 1)}${kind === 'telnet' ? ',telnet=on' : ''}${more}`;
    }
    case 'udp': {
      const [remote = '', local = ''] = first.split('@');
      const at = (text: string, host: string, port: string): string => {
        const colon = text.lastIndexOf(':');
        return colon < 0 ? '' : `,${host}=${text.slice(0, colon)},${port}=${text.slice(colon + 1)}`;
      };
      return `udp${at(remote, 'host', 'port')}${at(local, 'localaddr', 'localport')}`;
    }
    default:
      return spec.split(':')[0]!;
  }
}
