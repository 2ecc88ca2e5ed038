/** liblxc's configuration as a list of settings, in the spelling of liblxc 3.0 and newer whatever the file has. */
import type { Faults } from '../../schema';

export interface Setting {
  readonly key: string;
  readonly value: string;
  /** From 1. */
  readonly line: number;
}

/** Keys that were renamed in liblxc 2.1, and dropped under their old names in 3.0. */
const renamed: ReadonlyMap<string, string> = new Map([
  ['lxc.rootfs', 'lxc.rootfs.path'],
  ['lxc.utsname', 'lxc.uts.name'],
  ['lxc.tty', 'lxc.tty.max'],
  ['lxc.pts', 'lxc.pty.max'],
  ['lxc.id_map', 'lxc.idmap'],
  ['lxc.mount', 'lxc.mount.fstab'],
  ['lxc.console', 'lxc.console.path'],
  ['lxc.init_cmd', 'lxc.init.cmd'],
  ['lxc.init_uid', 'lxc.init.uid'],
  ['lxc.init_gid', 'lxc.init.gid'],
  ['lxc.aa_profile', 'lxc.apparmor.profile'],
  ['lxc.se_context', 'lxc.selinux.context'],
  ['lxc.seccomp', 'lxc.seccomp.profile'],
  ['lxc.haltsignal', 'lxc.signal.halt'],
  ['lxc.rebootsignal', 'lxc.signal.reboot'],
  ['lxc.stopsignal', 'lxc.signal.stop'],
]);

export function readSettings(text: string, faults: Faults): Setting[] {
  const settings: Setting[] = [];
  let card = -1;
  text.split('\n').forEach((raw, index) => {
    const source = raw.trim();
    const line = index + 1;
    if (source === '' || source.startsWith('#')) return;
    const equals = source.indexOf('=');
    if (equals < 0) {
      faults.add('CONFIG_UNSUPPORTED', `'${shortened(source)}' is no setting; expected 'key = value'`, { line });
      return;
    }
    const given = source.slice(0, equals).trim();
    if (given === 'lxc.network.type') card += 1;
    settings.push({ key: modern(given, Math.max(card, 0)), value: unquoted(source.slice(equals + 1).trim()), line });
  });
  return settings;
}

/** The old keys of cards belong to the `type` before them; the new ones carry a number. */
function modern(key: string, card: number): string {
  const member = /^lxc\.network\.(.+)$/.exec(key)?.[1];
  if (member === undefined) return renamed.get(key) ?? key;
  return `lxc.net.${card}.${/^ipv[46]$/.test(member) ? `${member}.address` : member}`;
}

/** liblxc takes one pair of quotes off a value. */
const unquoted = (value: string): string =>
  /^(["']).*\1$/.test(value) && value.length > 1 ? value.slice(1, -1) : value;

const shortened = (text: string): string => (text.length > 40 ? `${text.slice(0, 40)}…` : text);
