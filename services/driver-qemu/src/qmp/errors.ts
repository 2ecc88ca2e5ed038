/**
 * What can go wrong between us and one QEMU monitor.
 *
 * `QmpError` is an answer (QEMU refused a command); the others mean that there is no answer. Only `QmpError` says that
 * the command had no effect: after a time-out or a lost monitor the caller has to look before it repeats.
 */

/** QEMU answered a command with an error: `class` and `desc` are its own words. */
export class QmpError extends Error {
  override readonly name = 'QmpError';

  /** `GenericError`, `CommandNotFound`, `DeviceNotFound` … */
  readonly class: string;

  constructor(
    readonly command: string,
    errorClass: string,
    readonly desc: string,
  ) {
    super(
      errorClass === 'CommandNotFound'
        ? `The command ${command} has not been found`
        : `unable to execute QEMU command '${command}': ${desc}`,
    );
    this.class = errorClass;
  }
}

/** The socket is at its end: QEMU has exited, or we closed the monitor. */
export class MonitorClosed extends Error {
  override readonly name = 'MonitorClosed';

  constructor(message = 'End of file from qemu monitor') {
    super(message);
  }
}

/** No answer within the time allowed. The command may still take effect; its late answer is dropped. */
export class MonitorTimeout extends Error {
  override readonly name = 'MonitorTimeout';

  constructor(
    readonly command: string,
    readonly waitedMs: number,
  ) {
    super(`QEMU did not answer '${command}' within ${waitedMs} ms`);
  }
}

/** QEMU spoke something that is not QMP. The monitor takes no more commands; the guest runs on. */
export class MonitorBroken extends Error {
  override readonly name = 'MonitorBroken';
}
