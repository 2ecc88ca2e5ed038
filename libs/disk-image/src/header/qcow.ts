/** qcow, version 1: no extensions, no record of the backing format. */
import { takeName } from './bytes';
import { qcow2Magic } from './qcow2';
import type { FormatReader } from './types';

/** QEMU counts bytes of images in 63 bits. */
const largest = 2n ** 63n - 1n;

export const qcow: FormatReader = {
  format: 'qcow',
  matches: (start) => start.length >= 8 && start.toString('latin1', 0, 4) === qcow2Magic && start.readUInt32BE(4) === 1,
  read: async (bytes) => {
    const raw = await bytes.take(0, 48, 'the qcow header');
    if (!qcow.matches(raw)) bytes.refuse('it is not a qcow image');
    const capacity = raw.readBigUInt64BE(24);
    if (capacity <= 1n) bytes.refuse('its size is less than 2 bytes');
    const [clusterBits, l2Bits, crypt] = [raw.readUInt8(32), raw.readUInt8(33), raw.readUInt32BE(36)];
    if (clusterBits < 9 || clusterBits > 16) bytes.refuse(`unsupported cluster size: 2^${clusterBits}`);
    if (l2Bits < 6 || l2Bits > 13) bytes.refuse(`unsupported size of an L2 table: 2^${l2Bits}`);
    if (crypt > 1) bytes.refuse(`unsupported encryption method ${crypt}`);
    if (capacity > largest) bytes.refuse(`its size of ${capacity} bytes is too large`);
    const [offset, length] = [raw.readBigUInt64BE(8), raw.readUInt32BE(16)];
    const named = offset !== 0n && length > 0;
    return {
      format: 'qcow',
      capacity,
      ...(named && { backing: { string: await takeName(bytes, offset, length, 'the backing file name') } }),
      ...(crypt === 1 && { encryption: 'qcow' as const }),
      clusterSize: 1 << clusterBits,
    };
  },
};
