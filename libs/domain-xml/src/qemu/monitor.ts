/** The monitor: a QMP server on a socket that the manager has made. */
import { hasFlag, type Guest } from './context';
import { toJson, words } from './props';
import type { CommandWords } from './words';

const id = 'charmonitor';

export function addMonitor(out: CommandWords, guest: Guest): void {
  const { monitor } = guest.context;
  const place = 'descriptor' in monitor ? { fd: monitor.descriptor } : { path: monitor.path };
  if (hasFlag(guest, 'chardev.json')) {
    const addr =
      'descriptor' in monitor
        ? { type: 'fd', data: { str: String(monitor.descriptor) } }
        : { type: 'unix', data: { path: monitor.path } };
    out.add('-chardev', toJson({ id, backend: { type: 'socket', data: { addr, server: true, wait: false } } }));
  } else out.add('-chardev', words('socket', { id, ...place, server: true, wait: false }));
  out.add('-mon', `chardev=${id},id=monitor,mode=control`);
}
