/** Finding, ordering and adding controllers. */
import type { Controller, ControllerType } from '../elements/controller';
import type { Disk } from '../elements/disk';
import type { Domain } from '../elements/domain';
import { fail } from '../schema';

/** Puts a controller behind those of its type with lower indexes, or last. */
export function insertController(list: Controller[], added: Controller): void {
  let at = -1;
  for (let i = list.length - 1; i >= 0; i--) {
    const other = list[i];
    if (other?.type !== added.type) continue;
    if (added.index === undefined) {
      at = i + 1;
      break;
    }
    const index = other.index ?? Infinity;
    if (index > added.index) at = i;
    else if (isCompanion(other) && !isCompanion(added) && index === added.index) at = i;
    else if (at === -1) at = i + 1;
  }
  list.splice(at === -1 ? list.length : at, 0, added);
}

/** A USB 1 controller that serves the slow devices of a USB 2 one. */
const isCompanion = (controller: Controller): boolean => controller.master !== undefined;

export function findController(domain: Domain, type: ControllerType, index: number): Controller | undefined {
  return domain.devices.controllers.find((one) => one.type === type && one.index === index);
}

/** More controllers of one type than this no guest has; a document that asks for them costs nothing. */
export const highestController = 255;

/** Adds a controller unless there is one with this type and index; tells whether it did. */
export function ensureController(domain: Domain, type: ControllerType, index: number, model?: string): boolean {
  if (index > highestController)
    fail('XML_ERROR', `${type} controller ${index} is not possible: their numbers end at ${highestController}`, {
      element: 'controller',
    });
  if (findController(domain, type, index)) return false;
  insertController(domain.devices.controllers, { type, index, ...(model !== undefined && { model }) });
  return true;
}

/** The number in a target name such as `vdb`: a is 0, z 25, aa 26. Undefined when it is not such a name. */
export function diskIndex(target: string): number | undefined {
  const letters = /^(?:ioemu:)?(?:fd|hd|sd|vd|xvd|ubd)([a-z]+)\d*$/.exec(target)?.[1];
  if (letters === undefined) return undefined;
  let index = 0;
  for (const letter of letters) index = index * 26 + (letter.charCodeAt(0) - 96);
  return index - 1 > 2 ** 31 - 1 ? undefined : index - 1;
}

/** Puts a disk among those of its bus by target name, or last. */
export function insertDisk(list: Disk[], added: Disk): void {
  const rank = (disk: Disk): number => diskIndex(disk.target.dev ?? '') ?? -1;
  let at = -1;
  for (let i = list.length - 1; i >= 0; i--) {
    const other = list[i];
    if (other?.target.bus !== added.target.bus || other === undefined) continue;
    if (rank(other) > rank(added)) at = i;
    else if (at === -1) at = i + 1;
  }
  list.splice(at === -1 ? list.length : at, 0, added);
}
