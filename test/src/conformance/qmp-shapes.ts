/** Whether a value is what QEMU's own description of QMP (`query-qmp-schema`) says an argument has to be. */
import type { Kit } from './kit';

interface Shape {
  name: string;
  'meta-type': string;
  'arg-type'?: string;
  'element-type'?: string;
  'json-type'?: string;
  values?: string[];
  tag?: string;
  members?: { name?: string; type: string; default?: unknown }[];
  variants?: { case: string; type: string }[];
}

/** Called with each command that would go to QEMU. */
export type Send = (command: string, value: unknown) => void;

export class QmpShapes {
  readonly #shapes: ReadonlyMap<string, Shape>;

  constructor(shapes: readonly Shape[]) {
    this.#shapes = new Map(shapes.map((shape) => [shape.name, shape]));
  }

  /** From a recorded conversation of the kit `qmp-capabilities` that lies beside `kit`. */
  static beside(kit: Kit, recording: string): QmpShapes {
    const documents = kit.read(`../qmp-capabilities/${recording}`).split(/\n\s*\n/);
    const asked = documents.findIndex((text) => text.includes('"query-qmp-schema"'));
    return new QmpShapes((JSON.parse(documents[asked + 1] ?? '{}') as { return: Shape[] }).return);
  }

  /** What is wrong with the arguments of a command; undefined when nothing is. */
  faultIn(command: string, value: unknown): string | undefined {
    const type = this.#shapes.get(command)?.['arg-type'];
    return type === undefined ? `no command ${command}` : this.#fault(type, value, command);
  }

  #fault(type: string, value: unknown, path: string): string | undefined {
    const shape = this.#shapes.get(type);
    switch (shape?.['meta-type']) {
      case 'builtin':
        return isOf(shape['json-type'] ?? 'value', value) ? undefined : `${path}: no ${shape['json-type']}`;
      case 'enum':
        return shape.values?.includes(value as string) ? undefined : `${path}: no value '${String(value)}'`;
      case 'array':
        if (!Array.isArray(value)) return `${path}: no list`;
        return first(value, (one, at) => this.#fault(shape['element-type'] ?? '', one, `${path}[${at}]`));
      case 'alternate': {
        const faults = (shape.members ?? []).map((member) => this.#fault(member.type, value, path));
        return faults.includes(undefined) ? undefined : faults[0];
      }
      case 'object':
        return this.#objectFault(shape, value, path);
      default:
        return `${path}: no type '${type}'`;
    }
  }

  #objectFault(shape: Shape, value: unknown, path: string): string | undefined {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return `${path}: no object`;
    const given = value as Record<string, unknown>;
    const members = this.#membersOf(shape, given);
    for (const member of members)
      if (!('default' in member) && given[member.name ?? ''] === undefined) return `${path}: no ${member.name}`;
    return first(Object.entries(given), ([name, one]) => {
      const member = members.find((known) => known.name === name);
      return member ? this.#fault(member.type, one, `${path}.${name}`) : `${path}: has no ${name}`;
    });
  }

  /** With those of the variant that the value's tag chooses. */
  #membersOf(shape: Shape, given: Record<string, unknown>): NonNullable<Shape['members']> {
    const variant = shape.variants?.find((one) => one.case === given[shape.tag ?? '']);
    const more = variant && this.#shapes.get(variant.type);
    return [...(shape.members ?? []), ...(more ? this.#membersOf(more, given) : [])];
  }
}

function isOf(kind: string, value: unknown): boolean {
  switch (kind) {
    case 'int':
      return Number.isSafeInteger(value);
    case 'null':
      return value === null;
    case 'value':
      return true;
    default:
      return typeof value === kind;
  }
}

function first<T>(list: readonly T[], fault: (one: T, at: number) => string | undefined): string | undefined {
  for (const [at, one] of list.entries()) {
    const found = fault(one, at);
    if (found !== undefined) return found;
  }
  return undefined;
}
