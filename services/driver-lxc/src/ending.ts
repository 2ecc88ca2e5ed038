/**
 * Why a container ended that we did not end ourselves, from how its init did.
 *
 * Source: libvirt's LXC driver, for which an init that exits has shut down, whatever its status. An init that was killed
 * without our asking has crashed, and so has a container whose supervisor left without a word. An init that calls reboot(2) to
 * halt or to power off is killed by the kernel with SIGINT, which no other process can do to it (pid_namespaces(7), reboot(2)).
 */
import type { LifecycleDetail, ReasonOf } from '@virtbus/shared';
import type { StartLog } from './start-log';

const poweredOff = 2;

export function endingOf(
  end: StartLog['end'],
  asked: boolean,
): { reason: ReasonOf<'shutoff'>; detail: LifecycleDetail<'stopped'> } {
  if (end && ('exitStatus' in end || end.signal === poweredOff || asked))
    return { reason: 'shutdown', detail: 'shutdown' };
  return { reason: 'crashed', detail: 'failed' };
}
