/** Where a copy of a disk is to lie, as a client says it: a `<disk>` that need not say which disk it is. */
import { disk, type Disk } from '../elements/disk';
import { parseElement } from '../schema/parse';
import { readXml } from '../xml/reader';

/** @param target of the disk that is copied. Throws XML_ERROR, CONFIG_UNSUPPORTED. */
export function parseCopyTarget(xml: string, target: string): Disk {
  const root = readXml(xml);
  const says = root.children.filter(({ name }) => name !== 'target');
  const named = { name: 'target', attributes: { dev: target }, children: [], text: '', line: root.line };
  const whole = { ...root, children: [...says, named] };
  return parseElement(disk, whole, { mode: 'inactive', unknown: 'refuse' }).model;
}
