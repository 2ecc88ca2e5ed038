/** Words of the command line that the runs share. */
export interface Options {
  rounds?: string;
  seed?: string;
  from?: string;
  kind?: string;
  moves?: string;
  hosts?: string;
  minutes?: string;
  commands?: string;
  events?: string;
  parted?: string;
}

/** @throws Error for what is no whole number */
export function numberOf(name: keyof Options, text: string | undefined, usual: number): number {
  const number = text === undefined ? usual : Number(text);
  if (Number.isInteger(number) && number >= 0) return number;
  throw new Error(`--${name} must be a whole number, not '${text}'`);
}

/** Ctrl-C ends a run after the round that is played: tells whether it was typed. */
export function stopSignals(): () => boolean {
  let stopped = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => (stopped = true));
  return () => stopped;
}
