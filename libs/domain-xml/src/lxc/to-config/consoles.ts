/** Terminals: the first console is /dev/console, further ones are tty1, tty2, …; libvirt counts them all as ttys. */
import type { Domain } from '../../elements/domain';
import { lineOf } from '../../schema';
import type { LxcFacts } from '../facts';
import type { ConfigLines } from './lines';

/** Our own file of what a console has shown begins anew then, bytes: nothing that a container writes fills its host's disk. */
const logBytes = 64 * 1024 ** 2;
/** More pseudo terminals than this a container cannot open. */
const mostTerminals = 1024;

export function writeConsoles(lines: ConfigLines, { devices: { consoles } }: Domain, facts: LxcFacts): void {
  const [first] = consoles;
  // Without a console init gets the streams of whoever runs lxc-start in the foreground: its supervisor's, when the driver starts it.
  if (first === undefined && facts.consoleLog === undefined) lines.set('lxc.console.path', 'none');
  const log = first?.log?.file ?? facts.consoleLog;
  if (log !== undefined && first !== undefined) {
    lines.set('lxc.console.logfile', log, { element: 'console', line: lineOf(first) });
    if (first.log?.file === undefined) lines.set('lxc.console.size', logBytes);
  }
  lines.set('lxc.tty.max', consoles.length);
  lines.set('lxc.pty.max', mostTerminals);
}
