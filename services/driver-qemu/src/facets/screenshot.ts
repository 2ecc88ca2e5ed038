/** A picture of the guest's screen: QEMU writes it into the guest's own folder, we read and remove it. */
import { randomUUID } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Facets } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import type { QemuGuest } from '../guest';

export const screenshot: NonNullable<Facets<QemuGuest>['screenshot']> = {
  take: async (guest, screen, signal) => {
    const video = guest.live.devices.videos[screen];
    if (!video || video.model?.type === 'none') {
      throw new VirtError('OPERATION_UNSUPPORTED', { detail: `the domain has no screen ${screen}` });
    }
    const filename = join(guest.folders.run, `screen-${randomUUID()}`);
    const alias = video.alias?.name;
    try {
      const png = { filename, format: 'png', ...(alias ? { device: alias } : {}) } as const;
      await guest.ask('screendump', png, signal);
      const data = await readFile(filename);
      const isPng = data.subarray(1, 4).toString('latin1') === 'PNG';
      return { mime: isPng ? 'image/png' : 'image/x-portable-pixmap', data };
    } finally {
      await rm(filename, { force: true });
    }
  },
};
