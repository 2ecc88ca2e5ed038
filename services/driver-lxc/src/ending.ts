/**
 * Why a container ended that we did not end ourselves, from how its init did.
 *
 * Source: libvirt's LXC driver, for which an init that exits has shut down, whatever its status. An init that was killed
 * without our asking has crashed, and so has a container whose supervisor left without a word. An init that calls reboot(2) to
 * halt or to power off is killed by the kernel with SIGINT, to reboot with SIGHUP, which no other process can do to it
 * (pid_namespaces(7), reboot(2)).
 */
import type { Domain } from '@virtbus/domain-xml';
import type { LifecycleDetail, ReasonOf } from '@virtbus/shared';
import { wasKilledForMemory } from './kernel-log';
import type { Place } from './place';
import type { StartLog } from './start-log';

const [rebooted, poweredOff, killed] = [1, 2, 9];

export function endingOf(
  end: StartLog['end'],
  asked: boolean,
  { on_reboot }: Pick<Domain, 'on_reboot'>,
): { reason: ReasonOf<'shutoff'>; detail: LifecycleDetail<'stopped'> } {
  const lastBoots = on_reboot === 'destroy' ? [poweredOff, rebooted] : [poweredOff];
  if (end && ('exitStatus' in end || lastBoots.includes(end.signal) || asked))
    return { reason: 'shutdown', detail: 'shutdown' };
  return { reason: 'crashed', detail: 'failed' };
}

/** What is told of an end: how init ended, and whether the kernel killed it for want of memory. */
export function endingData(end: StartLog['end'], init: number | undefined, { cgroup }: Place): EndingData | undefined {
  if (!end) return undefined;
  const wasKilled = 'signal' in end && end.signal === killed && init !== undefined;
  return { ...end, ...(wasKilled && wasKilledForMemory(init, cgroup.payload) && { outOfMemory: true }) };
}

type EndingData = NonNullable<StartLog['end']> & { outOfMemory?: true };
