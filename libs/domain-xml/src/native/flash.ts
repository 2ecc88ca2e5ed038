/** Firmware in flash: the first chip holds its code, the second its variables. */
import { driveImage, nodeImage, type ImageSketch } from './block';
import { peek, type Draft } from './draft';
import { NotUnderstood } from './not-understood';
import type { Values } from './values';

/** `-machine pflash0=NODE,pflash1=NODE`. */
export function readMachineFlash(draft: Draft, values: Values): void {
  const [code, variables] = [values.peek('pflash0'), values.peek('pflash1')];
  if (code === undefined) return;
  const why = draft.understandAll((attempt) => {
    const images = [code, variables].flatMap((node) => (node === undefined ? [] : [nodeImage(attempt, node)]));
    return changeOf(draft, images);
  });
  if (why === undefined) for (const chip of ['pflash0', 'pflash1']) values.take(chip);
}

/** `-drive if=pflash`, one a chip. */
export function readFlashDrives(draft: Draft): void {
  const drives = draft.open('-drive').filter((option) => peek(option, 'if') === 'pflash');
  if (drives.length === 0) return;
  const unit = (option: (typeof drives)[number], position: number): number =>
    Number(peek(option, 'unit') ?? peek(option, 'index') ?? position);
  const chips = drives
    .map((option, position) => ({ option, unit: unit(option, position) }))
    .sort((a, b) => a.unit - b.unit);
  const why = draft.understandAll((attempt) => {
    const images = chips.map(({ option }) => {
      const values = attempt.read(option);
      for (const place of ['if', 'unit', 'index', 'id']) values.take(place);
      return driveImage(values);
    });
    return changeOf(draft, images);
  });
  if (why !== undefined) for (const option of drives) option.why ??= why;
}

function changeOf({ domain }: Draft, images: readonly ImageSketch[]): () => void {
  const [code, variables] = images.map((image) => {
    const path = image.source?.file;
    const format = image.driver.type ?? 'raw';
    if (path === undefined || (format !== 'raw' && format !== 'qcow2'))
      throw new NotUnderstood('a flash chip is a file, raw or qcow2');
    return { path, ...(format === 'qcow2' && { format }), readonly: image.readonly === true };
  });
  if (!code || images.length > 2) throw new NotUnderstood('a machine has two flash chips');
  return () => {
    domain.os!.loader = { type: 'pflash', ...code };
    if (!variables) return;
    const { readonly: _none, ...nvram } = variables;
    domain.os!.nvram = nvram;
  };
}
