/** Name, init, terminals, namespaces, ids, capabilities, labels. */
import type { Domain } from '../../elements/domain';
import { linuxCapabilities } from '../../elements/features';
import { isOwnVariable } from '../to-config/init';
import { at, type Reading } from './reading';

/** kernel's names of architectures, where they differ from libvirt's. */
const arches: ReadonlyMap<string, string> = new Map([
  ['x86', 'i686'],
  ['i386', 'i686'],
  ['i486', 'i686'],
  ['i586', 'i686'],
  ['amd64', 'x86_64'],
  ['arm64', 'aarch64'],
  ['arm', 'armv7l'],
  ['powerpc64', 'ppc64'],
]);

/** More consoles than this nobody has asked for on purpose. */
const mostConsoles = 256;

export function readGuest(reading: Reading, domain: Domain): void {
  const { os, devices } = domain;
  domain.name = reading.last('lxc.uts.name')?.value ?? 'unnamed';
  const arch = reading.last('lxc.arch')?.value;
  os.type = { name: 'exe', ...(arch !== undefined && { arch: arches.get(arch) ?? arch }) };
  const [init = '/sbin/init', ...words] = reading.last('lxc.init.cmd')?.value.split(/ +/) ?? [];
  Object.assign(os, { init, initargs: words });
  for (const setting of reading.all('lxc.environment')) {
    const [, name, value = ''] = /^([^=]+)=(.*)$/.exec(setting.value) ?? [];
    if (name === undefined) reading.refuse(setting, `'${setting.value}' does not say NAME=VALUE`);
    else if (!isOwnVariable(name, value)) os.initenvs.push(at(setting, { name, value }));
  }
  const own = (key: string): string | undefined => reading.last(key)?.value;
  os.initdir = own('lxc.init.cwd');
  os.inituser = own('lxc.init.uid');
  os.initgroup = own('lxc.init.gid');
  const terminals = reading.last('lxc.tty.max');
  const count = terminals ? (reading.integer(terminals) ?? 0) : 0;
  if (terminals && (count < 0 || count > mostConsoles)) reading.refuse(terminals, `there can be 0 to ${mostConsoles}`);
  else
    for (let port = 0; port < count; port++)
      devices.consoles.push({ type: 'pty', sources: [], target: { type: 'lxc', port } });
  readNamespaces(reading, domain);
  // Every container of ours has these.
  for (const key of ['lxc.autodev', 'lxc.pty.max', 'lxc.mount.auto', 'lxc.console.path']) reading.all(key);
}

function readNamespaces(reading: Reading, domain: Domain): void {
  for (const kind of ['net', 'ipc', 'uts'] as const) {
    const setting = reading.last(`lxc.namespace.share.${kind}`);
    if (!setting) continue;
    const netns = /^\/(?:var\/)?run\/netns\/([^/]+)$/.exec(setting.value)?.[1];
    domain.lxcNamespace ??= {};
    if (kind === 'net' && netns !== undefined)
      domain.lxcNamespace.net = at(setting, { type: 'netns' as const, value: netns });
    else if (setting.value.startsWith('/')) reading.refuse(setting, 'only named network namespaces have a path');
    else
      domain.lxcNamespace[kind] = at(setting, {
        type: /^\d+$/.test(setting.value) ? ('pid' as const) : ('name' as const),
        value: setting.value,
      });
  }
}

export function readSecurity(reading: Reading, domain: Domain): void {
  for (const setting of reading.all('lxc.idmap')) {
    const [, kind, first = '', second = '', count = ''] =
      /^([ug])\s+(\d{1,10})\s+(\d{1,10})\s+(\d{1,10})$/.exec(setting.value) ?? [];
    if (kind === undefined) {
      reading.refuse(setting, `'${setting.value}' does not say: u or g, id inside, id outside, count`);
      continue;
    }
    // The container's ids come first; but no container maps its ids to the host's root, so a 0 in second place is its own.
    const swapped = first !== '0' && second === '0';
    const [start, target] = swapped ? [second, first] : [first, second];
    domain.idmap ??= { uids: [], gids: [] };
    domain.idmap[kind === 'u' ? 'uids' : 'gids'].push(
      at(setting, { start: Number(start), target: Number(target), count: Number(count) }),
    );
  }
  readCapabilities(reading, domain);
  const profile = reading.last('lxc.apparmor.profile');
  const context = reading.last('lxc.selinux.context');
  if (profile?.value === 'unconfined') domain.seclabels.push(at(profile, { type: 'none' }));
  else if (profile && profile.value !== 'generated')
    domain.seclabels.push(at(profile, { type: 'static', model: 'apparmor', relabel: false, label: profile.value }));
  if (context)
    domain.seclabels.push(at(context, { type: 'static', model: 'selinux', relabel: false, label: context.value }));
}

function readCapabilities(reading: Reading, { features }: Domain): void {
  const kept = reading.all('lxc.cap.keep');
  const list = kept.length > 0 ? kept : reading.all('lxc.cap.drop');
  const state = kept.length > 0;
  const capabilities: NonNullable<Domain['features']['capabilities']> = { policy: state ? 'deny' : 'allow' };
  for (const setting of list)
    for (const word of setting.value.toLowerCase().split(/\s+/)) {
      const name = linuxCapabilities.find((one) => one === word);
      if (name !== undefined) capabilities[name] = { state };
      else if (word !== 'none') reading.refuse(setting, `'${word}' is no capability that a document can name`);
    }
  features.capabilities = capabilities;
}
