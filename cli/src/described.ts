/** Documents that describe a snapshot or a checkpoint: from a file, or from words on the command line. */
import { readText } from './definition';
import { element, formatElement, type Element } from './device-xml';
import { UsageError } from './spec';

/** The document in a file; nothing where none is named. A description that is kept again must be. */
export async function givenDescription(path: string | undefined, redefine: boolean): Promise<{ xml?: string }> {
  if (redefine && path === undefined) throw new UsageError('--redefine needs the description: name its file');
  return path === undefined ? {} : { xml: await readText(path) };
}

export interface Words {
  name: string | undefined;
  description: string | undefined;
  disks: readonly Element[];
  memory?: Element | undefined;
}

/** @param tag `domainsnapshot` or `domaincheckpoint` */
export function describedInWords(tag: string, { name, description, disks, memory }: Words): string {
  const text = (child: string, words: string | undefined): Element | undefined =>
    words === undefined ? undefined : { name: child, text: words };
  const listed = disks.length > 0 ? element('disks', {}, ...disks) : undefined;
  return formatElement(element(tag, {}, text('name', name), text('description', description), memory, listed));
}
