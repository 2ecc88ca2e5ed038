/** Collects the words of a command line and what the caller must pass along. */
import type { CommandLineContext, Descriptor, DescriptorUse, ObjectProps } from './context';
import { toJson, words, type JsonValue, type Props } from './props';

export class CommandWords {
  readonly args: string[] = [];
  readonly descriptors: Descriptor[] = [];
  #fdSets = 0;

  /** @param companions devices to be built just before those with these aliases */
  constructor(
    readonly context: CommandLineContext,
    readonly companions: ReadonlyMap<string, Props> = new Map(),
  ) {}

  add(...some: string[]): void {
    this.args.push(...some);
  }

  object(object: ObjectProps): void {
    this.add('-object', toJson(object));
  }

  objects(objects: readonly ObjectProps[]): void {
    for (const object of objects) this.object(object);
  }

  device(device: Props): void {
    const companion = this.companions.get(textOf(device['id']));
    if (companion) this.device(companion);
    if (this.context.capabilities.flags.has('device.json+hotplug')) this.add('-device', toJson(device));
    else {
      const { driver, ...rest } = device;
      this.add('-device', words(textOf(driver), rest));
    }
  }

  blockdev(node: Props): void {
    this.add('-blockdev', toJson(node));
  }

  netdev(netdev: Props): void {
    if (this.context.capabilities.flags.has('netdev.json')) this.add('-netdev', toJson(netdev));
    else {
      const { type, ...rest } = netdev;
      this.add('-netdev', words(textOf(type), flatten(rest)));
    }
  }

  /** Number of a descriptor that will be passed for this use. */
  descriptor(use: DescriptorUse): number {
    const fd = this.context.descriptor(use);
    this.descriptors.push({ fd, use });
    return fd;
  }

  /** A path under which QEMU finds a passed descriptor. */
  fdSet(use: DescriptorUse, opaque: string): string {
    const fd = this.descriptor(use);
    return this.fdSetOf(fd, opaque);
  }

  fdSetOf(fd: number, opaque: string): string {
    const set = this.nextFdSet();
    this.addToFdSet(set, fd, opaque);
    return `/dev/fdset/${set}`;
  }

  /** Number of a new set of descriptors. */
  nextFdSet(): number {
    return this.#fdSets++;
  }

  addToFdSet(set: number, fd: number, opaque: string): void {
    this.add('-add-fd', `set=${set},fd=${fd},opaque=${opaque}`);
  }
}

const textOf = (value: JsonValue | undefined): string => (typeof value === 'string' ? value : '');

/** Lists of `{str}` and the like as older QEMUs spell them. */
function flatten(options: Props): Props {
  const out: Props = {};
  for (const key in options) {
    const value = options[key] as JsonValue;
    out[key] = Array.isArray(value)
      ? value.map((one: JsonValue) =>
          typeof one === 'object' && one !== null && 'str' in one ? (one.str as string) : one,
        )
      : value;
  }
  return out;
}
