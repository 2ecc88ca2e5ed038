/** What a guest notices of its migration: from the stop of its processors here to their start there, by QEMU's own stamps. */
import { type QmpMonitor } from '../peers/qmp';

/** Milliseconds. */
export interface MoveTiming {
  /** From the command until nothing is left to do. */
  total: number;
  outage: number;
}

/** Settles when the target runs. Ask before the guest is sent. */
export function watchMove(source: QmpMonitor, target: QmpMonitor, patienceMs = 60_000): Promise<number> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the guest does not run on the target')), patienceMs);
    let stopped: number | undefined;
    let resumed: number | undefined;
    const settle = (): void => {
      if (stopped === undefined || resumed === undefined) return;
      clearTimeout(timer);
      resolve((resumed - stopped) * 1_000);
    };
    source.onEvent = (event, time) => {
      if (event === 'STOP') stopped = time;
      settle();
    };
    target.onEvent = (event, time) => {
      if (event === 'RESUME') resumed = time;
      settle();
    };
  });
}
