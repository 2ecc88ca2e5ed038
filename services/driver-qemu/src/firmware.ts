/** The firmware that is installed on this host, as its descriptors tell (QEMU's docs/interop/firmware.json). */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readFirmwareDescriptors, type FirmwareDescriptor } from '@virtbus/domain-xml';

/** What an administrator puts into /etc takes the place of the file of the same name that a package installs. */
const folders = ['/etc/qemu/firmware', '/usr/share/qemu/firmware'];

export function installedFirmware(): FirmwareDescriptor[] {
  const files = folders.flatMap((folder) =>
    namesIn(folder).map((name) => ({ name, content: readFileSync(join(folder, name), 'utf8') })),
  );
  return readFirmwareDescriptors(files);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('.json'));
  } catch {
    return [];
  }
}
