/** States and reasons in virsh's words. */
import type { StateName } from '@virtbus/shared';
import type { Paint, Style } from '../output';

const words: Record<StateName, string> = {
  nostate: 'no state',
  running: 'running',
  blocked: 'idle',
  paused: 'paused',
  shutdown: 'in shutdown',
  shutoff: 'shut off',
  crashed: 'crashed',
  pmsuspended: 'pmsuspended',
};
const styles: Partial<Record<StateName, Style>> = {
  running: 'green',
  paused: 'yellow',
  crashed: 'red',
  shutoff: 'dim',
};

export function stateWords(state: StateName, paint?: Paint): string {
  const style = styles[state];
  return paint && style ? paint(style, words[state]) : words[state];
}

/** `from-snapshot` is `from snapshot` to a reader; `post-copy` is one word in libvirt too. */
export function reasonWords(reason: string): string {
  return reason.startsWith('post-copy') ? reason.replace('-failed', ' failed') : reason.replaceAll('-', ' ');
}
