/**
 * An emulator that is QEMU with a second monitor, so that the benchmark sees QEMU's own time stamps while a service
 * holds the first one. Both sides get it, each in a folder of its own.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export class MonitoredEmulator {
  private constructor(
    private readonly folder: string,
    /** For `<emulator>`. */
    readonly path: string,
  ) {}

  /** Writes it into a new folder, in which any user may make sockets: guests run as users of their own. */
  static make(folder: string, emulator: string): MonitoredEmulator {
    mkdirSync(folder);
    chmodSync(folder, 0o1777);
    const path = join(folder, 'qemu-system-x86_64');
    writeFileSync(path, script(folder, emulator), { mode: 0o755 });
    chmodSync(path, 0o755);
    return new MonitoredEmulator(folder, path);
  }

  /** The second monitor of a guest that runs. */
  socketOf(uuid: string): string {
    return join(this.folder, `${uuid}.sock`);
  }
}

/** Only a guest has a uuid on its command line: a probe of what the binary can do is left as it is. */
function script(folder: string, emulator: string): string {
  return `#!/bin/sh
for word; do
  if [ "\${before-}" = -uuid ]; then uuid=$word; fi
  before=$word
done
if [ -n "\${uuid-}" ]; then set -- "$@" -qmp "unix:${folder}/$uuid.sock,server=on,wait=off"; fi
exec ${emulator} "$@"
`;
}
