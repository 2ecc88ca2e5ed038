/** The seccomp filter. */
import type { CommandWords } from './words';

export function addSandbox(out: CommandWords): void {
  out.add(
    '-sandbox',
    out.context.sandbox === false ? 'off' : 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
  );
}
