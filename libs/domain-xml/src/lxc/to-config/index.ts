/** The configuration with which liblxc runs a domain. */
import type { Domain } from '../../elements/domain';
import type { LxcFacts } from '../facts';
import { writeConsoles } from './consoles';
import { writeDeviceNodes } from './device-nodes';
import { writeInit } from './init';
import { writeLimits } from './limits';
import { ConfigLines } from './lines';
import { writeMounts } from './mounts';
import { writeNamespaces, writeNetwork } from './network';
import { writeSecurity } from './security';

/**
 * liblxc's configuration file (keys of liblxc 3.0 and newer) for a domain that `prepareLxcDomain` has been through.
 * Throws CONFIG_UNSUPPORTED or XML_ERROR, with the line, for what liblxc or this host cannot do.
 */
export function toLxcConfig(domain: Domain, facts: LxcFacts): string {
  const lines = new ConfigLines();
  if (!domain.lxcNamespace?.uts) lines.set('lxc.uts.name', hostName(domain.name));
  const arch = domain.os.type?.arch;
  if (arch !== undefined) lines.set('lxc.arch', arch, { element: 'type' });
  writeMounts(lines, domain, facts);
  writeInit(lines, domain, facts);
  writeConsoles(lines, domain, facts);
  writeNamespaces(lines, domain, facts);
  writeNetwork(lines, domain);
  writeSecurity(lines, domain, facts);
  writeDeviceNodes(lines, domain, facts);
  writeLimits(lines, domain, facts);
  if (facts.cgroupDir !== undefined) lines.set('lxc.cgroup.dir', facts.cgroupDir);
  for (const [key, value] of facts.entries ?? []) lines.set(key, value);
  return lines.toString();
}

/** A domain's name as a host name: what DNS does not allow becomes a dash. */
function hostName(name: string): string {
  const plain = name.replace(/[^A-Za-z0-9.-]+/g, '-').replace(/^[-.]+|[-.]+$/g, '');
  return plain.slice(0, 63) || 'container';
}
