/** `<domstatus>`: what libvirt keeps of a running guest beside its document, to find it again after a restart. */
import {
  element,
  attr,
  always,
  flag,
  leaf,
  one,
  many,
  oneOf,
  string,
  anyString,
  int,
  uint,
  cpuset,
  type Model,
} from '../schema';
import { domain } from '../elements/domain';
import { blockjobs } from './block-jobs';
import { job } from './job';

const path = (name: string) => element(name, { path: attr(string, { required: true }) });
const counter = (name: string) => always(element(name, { index: attr(uint, { default: 0 }) }));

const fields = {
  state: attr(string, { required: true }),
  reason: attr(string),
  pid: attr(uint, { required: true }),
  taints: many(element('taint', { flag: attr(string, { required: true }) })),
  deprecations: many(element('deprecation', { msg: attr(string) })),
  monitor: one(
    element('monitor', {
      path: attr(string, { required: true }),
      type: attr(oneOf('unix', 'pty'), { required: true }),
    }),
    { required: true },
  ),
  namespaces: one(element('namespaces', { mount: flag() })),
  vcpus: one(
    element('vcpus', {
      vcpus: many(element('vcpu', { id: attr(uint, { required: true }), pid: attr(uint, { required: true }) })),
    }),
  ),
  qemuCaps: one(
    element(
      'qemuCaps',
      { flags: many(element('flag', { name: attr(string, { required: true }) })) },
      { keepEmpty: 'open' },
    ),
  ),
  lockstate: leaf(anyString),
  job: one(job),
  fakereboot: flag(),
  devices: one(element('devices', { devices: many(element('device', { alias: attr(string, { required: true }) })) })),
  numad: one(element('numad', { nodeset: attr(cpuset), cpuset: attr(cpuset) })),
  libDir: one(path('libDir')),
  channelTargetDir: one(path('channelTargetDir')),
  memoryBackingDir: one(path('memoryBackingDir')),
  chardevStdioLogd: flag(),
  rememberOwner: flag(),
  allowReboot: one(element('allowReboot', { value: attr(oneOf('yes', 'no')) })),
  prDaemon: flag(),
  nodename: counter('nodename'),
  fdset: counter('fdset'),
  blockjobs: always(blockjobs),
  /** Seconds; -2 waits for ever, -1 is the default. */
  agentTimeout: leaf(int(), { default: -2 }),
  domain: one(domain, { required: true }),
};

export const domainStatus = element('domstatus', fields);
export type DomainStatus = Model<typeof fields>;
