/** What goes wrong on the monitor, in the words of the error table. */
import { isVirtError, VirtError } from '@virtbus/shared';
import { MonitorClosed, MonitorTimeout, QmpError } from './qmp';

export function monitorFailure(error: unknown, command: string, domain: string): VirtError {
  if (isVirtError(error)) return error;
  if (error instanceof QmpError) {
    if (error.class === 'DeviceNotFound')
      return new VirtError('DEVICE_MISSING', { detail: error.desc }, { cause: error });
    const detail =
      error.class === 'CommandNotFound'
        ? `The command ${command} has not been found`
        : `unable to execute QEMU command '${command}': ${error.desc}`;
    return new VirtError('OPERATION_FAILED', { detail }, { cause: error });
  }
  if (error instanceof MonitorTimeout) {
    const detail = `QEMU of '${domain}' does not answer: ${error.message}`;
    return new VirtError('OPERATION_TIMEOUT', { detail }, { cause: error });
  }
  if (error instanceof MonitorClosed) {
    return new VirtError(
      'OPERATION_FAILED',
      { detail: `End of file from qemu monitor (vm='${domain}')` },
      { cause: error },
    );
  }
  return VirtError.from(error);
}

/** QEMU said no: the command had no effect. */
export const isRefusal = (error: unknown): boolean => isVirtError(error) && error.cause instanceof QmpError;

/** The monitor came to its end over it: with the guest, as a rule. */
export const isClosed = (error: unknown): boolean => isVirtError(error) && error.cause instanceof MonitorClosed;
