/** Where a file has data and where it has holes, as the file system tells (lseek(2), SEEK_DATA). */
import { run } from '../programs';

export interface Extent {
  /** Bytes. */
  start: number;
  length: number;
  /** Otherwise a hole: it reads as zeros and takes no space. */
  data: boolean;
}

/** The bytes from `from` up to `to`, in order. They are looked at as raw, whatever image they are. */
export async function extentsOf(path: string, from: number, to: number, signal?: AbortSignal): Promise<Extent[]> {
  if (from >= to) return [];
  // Node has no lseek; qemu-img has, and with a given format it opens nothing but this file.
  const said = await run('qemu-img', ['map', '-U', '-f', 'raw', '--output=json', '--', path], { signal });
  return (JSON.parse(said) as Extent[]).flatMap(({ start, length, data }) => {
    const [begin, end] = [Math.max(start, from), Math.min(start + length, to)];
    return begin < end ? [{ start: begin, length: end - begin, data }] : [];
  });
}
