/** What a command line depends on beside the domain: this host's side of it. */
import type { CommandLineContext, Domain, QemuCapabilities } from '@virtbus/domain-xml';
import type { GuestFolders } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import { MONITOR_FD } from './process';

export interface LineHost {
  sandbox: boolean;
}

export function commandLineContext(
  domain: Domain,
  folders: GuestFolders,
  host: LineHost,
  capabilities: QemuCapabilities,
): CommandLineContext {
  const now = new Date();
  return {
    capabilities,
    domainDir: folders.run,
    shortName: `${domain.id ?? 0}-${domain.name.replaceAll(/[^A-Za-z0-9_.-]/g, '_').slice(0, 20)}`,
    monitor: { descriptor: MONITOR_FD },
    descriptor: ({ kind, alias }) => {
      throw new VirtError('CONFIG_UNSUPPORTED', {
        detail: `device ${alias} needs a descriptor (${kind}) that this host cannot pass`,
      });
    },
    tapsByName: true,
    vhostNet: false,
    sandbox: host.sandbox,
    environment: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
    memoryDir: folders.run,
    runDir: folders.run,
    now: { seconds: Math.floor(now.getTime() / 1_000), zoneOffset: -now.getTimezoneOffset() * 60 },
  };
}
