/** Sizes as virsh takes and shows them: KiB of memory and bytes of storage when no unit is named. */
import { UsageError } from './spec';

const units: Record<string, number> = {
  b: 1,
  byte: 1,
  bytes: 1,
  kb: 1_000,
  mb: 1_000 ** 2,
  gb: 1_000 ** 3,
  tb: 1_000 ** 4,
  k: 1_024,
  kib: 1_024,
  m: 1_024 ** 2,
  mib: 1_024 ** 2,
  g: 1_024 ** 3,
  gib: 1_024 ** 3,
  t: 1_024 ** 4,
  tib: 1_024 ** 4,
  p: 1_024 ** 5,
  pib: 1_024 ** 5,
};

/** `512MiB`, `2g`, `1048576`: whole KiB, rounded up. */
export function parseKiB(text: string, name: string): number {
  const [, digits, unit = ''] = /^(\d+)\s*([a-zA-Z]*)$/.exec(text.trim()) ?? [];
  const scale = units[unit.toLowerCase() || 'kib'];
  const kib = digits && scale ? Math.ceil((Number(digits) * scale) / 1_024) : 0;
  if (kib > 0 && Number.isSafeInteger(kib)) return kib;
  throw new UsageError(`${name}: '${text}' is not a size; write 524288 (KiB), 512MiB or 2GiB`);
}

/** `10G`, `512MiB`, `1048576`: whole bytes. */
export function parseBytes(text: string, name: string): number {
  const [, digits, unit = ''] = /^(\d+)\s*([a-zA-Z]*)$/.exec(text.trim()) ?? [];
  const scale = units[unit.toLowerCase() || 'b'];
  const size = digits && scale ? Number(digits) * scale : NaN;
  if (Number.isSafeInteger(size)) return size;
  throw new UsageError(`${name}: '${text}' is not a size below 8 PiB; write 1073741824 (bytes), 512MiB or 10G`);
}

/** Bytes for people: `1.5 GiB`. */
export function formatBytes(bytes: number): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  const step = bytes < 1 ? 0 : Math.min(names.length - 1, Math.floor(Math.log2(bytes) / 10));
  const size = bytes / 1_024 ** step;
  return `${step === 0 ? String(bytes) : size.toFixed(size < 10 ? 1 : 0)} ${names[step]}`;
}
