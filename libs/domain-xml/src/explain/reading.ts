/** What reading alone adds to a document: its text as it was written against its text as it is understood. */
import type { XmlElement } from '../xml/reader';
import type { Change } from './changes';

/** Elements of one name are the same ones in the same order. */
export function readingChanges(written: XmlElement, understood: XmlElement, path = `/${understood.name}`): Change[] {
  const changes: Change[] = [];
  const names = new Set([...Object.keys(written.attributes), ...Object.keys(understood.attributes)]);
  for (const name of names) {
    if (name === 'xmlns' || name.startsWith('xmlns:')) continue;
    const [was, value] = [written.attributes[name], understood.attributes[name]];
    // Numbers and names may be written in several ways.
    if (was === value || (was !== undefined && value !== undefined && sameNumber(was, value))) continue;
    if (name === 'unit') continue;
    changes.push({ path: `${path}/@${name}`, value, was });
  }
  const text = (element: XmlElement): string => element.text.trim();
  if (understood.children.length === 0 && (text(written) !== text(understood) || unit(written) !== unit(understood)))
    changes.push({ path, value: sized(understood), was: sized(written) });
  for (const name of new Set(understood.children.map((child) => child.name))) {
    const [before, after] = [written, understood].map(({ children }) =>
      children.filter((child) => child.name === name),
    );
    after!.forEach((child, index) => {
      const at = `${path}/${name}${after!.length > 1 ? `[${index + 1}]` : ''}`;
      const old = before![index];
      if (old) changes.push(...readingChanges(old, child, at));
      else changes.push({ path: at, value: outline(child), was: undefined });
    });
  }
  return changes;
}

const unit = ({ attributes }: XmlElement): string | undefined => attributes['unit'];
const sized = (element: XmlElement): string => [element.text.trim(), unit(element)].filter(Boolean).join(' ');
const sameNumber = (a: string, b: string): boolean => a.trim() !== '' && Number(a) === Number(b);

function outline({ name, attributes, text, children }: XmlElement): string {
  const head = Object.entries(attributes).map(([key, value]) => ` ${key}='${value}'`);
  const inside = text.trim() + children.map(outline).join('');
  return inside === '' ? `<${name}${head.join('')}/>` : `<${name}${head.join('')}>${inside}</${name}>`;
}
