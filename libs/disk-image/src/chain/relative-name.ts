/** The relative name of a base as its new overlay has to record it, when the images between are merged. */

/**
 * Each step replaces the last part of the name so far by the next image's own relative name; nothing is normalised.
 * @param layers the chain from the active layer down, with the relative name in each one's overlay
 * @param top position of the uppermost merged image; its overlay will name the base
 * @param base position of the image to be named
 * @returns undefined when an image in between is recorded by an absolute name, or the base is not there
 */
export function relativeName(
  layers: readonly { readonly relPath?: string | null | undefined }[],
  top: number,
  base: number,
): string | undefined {
  if (base < top || base >= layers.length) return undefined;
  let name = '';
  for (const { relPath } of layers.slice(top, base + 1)) {
    if (relPath === undefined || relPath === null) return undefined;
    name = name.slice(0, name.lastIndexOf('/') + 1) + relPath;
  }
  return name;
}
