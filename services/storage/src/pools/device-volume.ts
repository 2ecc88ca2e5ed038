/** The document of a volume that is a block device. */
import { emptyVolume, type Volume } from '@virtbus/domain-xml/storage';

/** @param key what names it for ever; its path unless given */
export function deviceVolume(name: string, path: string, bytes: number, key: string = path): Volume {
  return { ...emptyVolume(name), type: 'block', key, capacity: bytes, allocation: bytes, target: { path } };
}
