/** Writing one limit into a running container's cgroup, on whichever version its controller is. */
import type { CgroupController } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import type { ContainerCgroup } from '../cgroups';

/** Throws `OPERATION_INVALID` without the controller, `OPERATION_FAILED` when the kernel refuses. */
export function writeLimit(
  cgroup: ContainerCgroup,
  controller: CgroupController,
  v1: readonly [file: string, value: string | number],
  v2: typeof v1,
): void {
  const version = cgroup.version(controller);
  if (version === undefined) {
    throw new VirtError('OPERATION_INVALID', { detail: `cgroup ${controller} controller is not mounted` });
  }
  const [file, value] = version === 1 ? v1 : v2;
  try {
    cgroup.write(controller, file, String(value));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = code === 'EINVAL' ? 'the kernel does not take this value' : message;
    throw new VirtError('OPERATION_FAILED', { detail: `cannot set ${file} to ${value}: ${why}` }, { cause });
  }
}
