/**
 * What a command line needs of the host that a test cannot make up: hardware, other programs, other machines.
 *
 * The rules look at the options alone. Files and folders are no such need: stand-ins are made for them (`stand-ins.ts`).
 */
import type { DescriptorUse } from '@virtbus/domain-xml';
import { kindOf, type Option } from './options';

type Rule = (option: Option) => string | undefined;

const byKind = (names: string, kinds: RegExp, need: string): Rule => {
  const options = names.split(' ');
  return (option) => (options.includes(option.name) && kinds.test(kindOf(option)) ? need : undefined);
};

const rules: readonly Rule[] = [
  byKind('-accel', /^(kvm|hvf|xen)$/, 'KVM'),
  byKind('-cpu', /^host$/, 'KVM'),
  byKind('-device', /^vfio-/, 'a device to pass through'),
  byKind('-device', /^(usb-host|u2f-passthru|scsi-block|scsi-generic|virtio-input-host)/, 'a device to pass through'),
  byKind('-device', /^vhost-/, 'a vhost device of the kernel or a vhost-user program'),
  byKind('-device', /^ccid-card-emulated$/, 'a smart card of the host'),
  byKind('-object', /^input-linux$/, 'an input device of the host'),
  byKind('-object', /^(sev|tdx)-guest$/, 'memory encryption'),
  byKind('-object', /^memory-backend-epc$/, 'SGX'),
  byKind('-object', /^tls-creds-/, 'TLS files'),
  byKind('-object', /^(pr-manager-helper|cryptodev-vhost-user|cryptodev-lkcf)$/, 'a helper program'),
  byKind('-blockdev', /^(nbd|rbd|iscsi|nfs|ssh|https?|ftps?|gluster|vxhs|sheepdog)$/, 'a storage server'),
  byKind('-blockdev', /^(nvme|virtio-blk-)/, 'a device to pass through'),
  byKind('-chardev', /^(serial|tty|parallel|parport)$/, 'a port of the host'),
  byKind('-tpmdev', /^(passthrough|emulator)$/, 'a TPM or a TPM program'),
  byKind('-netdev', /^(vhost-user|vhost-vdpa|stream|bridge|tap|l2tpv3)$/, 'a network of the host'),
  byKind('-audiodev', /^(alsa|oss|pa|jack|pipewire|sdl|coreaudio)$/, 'a sound system'),
  byKind('-display', /^(sdl|gtk|egl-headless|dbus)$/, 'a display of the host'),
  byKind('-fsdev', /^proxy$/, 'a helper program'),
  ({ name, props }) => (name === '-spice' && props.has('rendernode') ? 'a display of the host' : undefined),
  ({ name, props }) => (/^-(spice|vnc)$/.test(name) && hasAny(props, 'x509-dir', 'tls-port') ? 'TLS files' : undefined),
  ({ name, props }) => (/^-(spice|vnc)$/.test(name) && props.get('sasl') === 'on' ? 'SASL' : undefined),
  ({ name }) => (name === '-add-fd' ? 'files that a client hands in' : undefined),
  ({ name, value }) => (name === '-cpu' && /,hv-/.test(value) ? 'KVM' : undefined),
  (option) => (connects(option) ? 'a peer that listens' : undefined),
  ({ name, props }) => (name === '-object' && hugePages(props) ? 'huge pages' : undefined),
  ({ name, props }) => (name === '-object' && farNodes(props) ? 'several NUMA nodes' : undefined),
  (option) => (listenAddresses(option).some((address) => !isLocal(address)) ? 'an address of its own' : undefined),
  ({ name, props }) => (name === '-incoming' && !props.has('defer') ? 'a migration' : undefined),
];

/** A client that does not try again until somebody is there. */
function connects({ name, props }: Option): boolean {
  if (name === '-netdev') return props.get('type') === 'socket' && hasAny(props, 'connect', 'mcast', 'udp');
  const client = name === '-chardev' && props.get('') === 'socket' && props.get('server') !== 'on';
  return client && !hasAny(props, 'reconnect', 'reconnect-ms');
}

const hasAny = (props: Option['props'], ...names: string[]): boolean => names.some((name) => props.has(name));

const hugePages = (props: Option['props']): boolean =>
  props.get('hugetlb') === 'true' || (props.get('mem-path') ?? '').startsWith('/dev/hugepages');

const farNodes = (props: Option['props']): boolean =>
  [...props].some(([name, value]) => name.startsWith('host-nodes.') && value !== '0');

/** Where a display or a character device would listen. */
function listenAddresses({ name, value, props }: Option): string[] {
  if (name === '-vnc')
    return value.startsWith('vnc=unix:') ? [] : [value.replace(/^vnc=/, '').replace(/:\d+(,.*)?$/, '')];
  if (name === '-netdev') return [(props.get('listen') ?? '').replace(/:\d+$/, '')];
  if (name === '-spice') return props.has('unix') ? [] : [props.get('addr') ?? ''];
  return name === '-chardev' ? [props.get('host') ?? '', props.get('localaddr') ?? ''] : [];
}

const isLocal = (address: string): boolean =>
  ['', '127.0.0.1', '0.0.0.0', '::', '::1', '[::]', '[::1]'].includes(address);

const descriptorNeeds: Readonly<Partial<Record<DescriptorUse['kind'], string>>> = {
  tap: 'a network of the host',
  slirp: 'a helper program',
  'vhost-net': 'a network of the host',
  'vhost-vsock': 'a vhost device of the kernel or a vhost-user program',
  'vhost-scsi': 'a vhost device of the kernel or a vhost-user program',
  'vhost-vdpa': 'a device to pass through',
  'vhost-user-gpu': 'a helper program',
  tpm: 'a TPM or a TPM program',
};

/** The first need that is found, or undefined when the command line needs nothing of the host. */
export function hostNeed(
  options: readonly Option[],
  descriptors: readonly DescriptorUse['kind'][],
): string | undefined {
  for (const kind of descriptors) if (descriptorNeeds[kind]) return descriptorNeeds[kind];
  for (const option of options) for (const rule of rules) if (rule(option)) return rule(option);
  return undefined;
}
