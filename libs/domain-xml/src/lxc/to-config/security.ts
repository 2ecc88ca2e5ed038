/** What the container may do: user ids, capabilities, system calls, labels. */
import type { Domain } from '../../elements/domain';
import { linuxCapabilities, type Features } from '../../elements/features';
import { lineOf } from '../../schema';
import type { LxcFacts } from '../facts';
import { hasHostNetwork } from './network';
import { refuse, type ConfigLines } from './lines';

/** Policy `default`: what would reach beyond the container. liblxc's own list and libvirt's, together. */
const droppedByDefault = ['audit_control', 'mac_admin', 'mac_override', 'mknod', 'sys_module', 'sys_rawio', 'sys_time'];

export function writeSecurity(lines: ConfigLines, domain: Domain, facts: LxcFacts): void {
  for (const [kind, ranges] of [
    ['u', domain.idmap?.uids],
    ['g', domain.idmap?.gids],
  ] as const)
    for (const { start, target, count } of ranges ?? []) lines.set('lxc.idmap', `${kind} ${start} ${target} ${count}`);
  writeCapabilities(lines, domain);
  if (facts.seccompProfile !== undefined) lines.set('lxc.seccomp.profile', facts.seccompProfile);
  writeLabels(lines, domain, facts);
}

function writeCapabilities(lines: ConfigLines, domain: Domain): void {
  const { policy = 'default', ...states } = domain.features.capabilities ?? {};
  const are = (wanted: boolean): string[] => linuxCapabilities.filter((name) => stateOf(states, name) === wanted);
  if (policy === 'deny') {
    const kept = are(true);
    for (const name of kept.length > 0 ? kept : ['none']) lines.set('lxc.cap.keep', name);
    return;
  }
  const dropped = new Set(are(false));
  if (policy === 'default') {
    for (const name of droppedByDefault) dropped.add(name);
    // It could take down the host's own cards.
    if (hasHostNetwork(domain)) dropped.add('net_admin');
    for (const name of are(true)) dropped.delete(name);
  }
  if (dropped.size > 0) lines.set('lxc.cap.drop', [...dropped].sort().join(' '));
}

type States = Omit<NonNullable<Features['capabilities']>, 'policy'>;

const stateOf = (states: Partial<States>, name: (typeof linuxCapabilities)[number]): boolean | undefined =>
  states[name]?.state;

function writeLabels(lines: ConfigLines, { seclabels }: Domain, { apparmor }: LxcFacts): void {
  const [first] = seclabels;
  if (apparmor && first === undefined) lines.set('lxc.apparmor.profile', 'generated');
  for (const label of seclabels) {
    const where = { element: 'seclabel', line: lineOf(label) };
    if (label.type === 'none') {
      if (apparmor) lines.set('lxc.apparmor.profile', 'unconfined');
    } else if (label.model === 'selinux') {
      lines.set('lxc.selinux.context', label.label ?? refuse('SELinux needs a <label>', where), where);
    } else if (label.model === undefined || label.model === 'apparmor') {
      if (apparmor) lines.set('lxc.apparmor.profile', label.label ?? 'generated', where);
      else if (label.label !== undefined)
        refuse(`profile '${label.label}' cannot be used: this host does not run AppArmor`, where);
      else if (label.model !== undefined)
        refuse(`the container cannot be confined: this host does not run AppArmor; use <seclabel type='none'/>`, where);
    } else refuse(`security model '${label.model}' is not one of apparmor, selinux`, where);
  }
}
