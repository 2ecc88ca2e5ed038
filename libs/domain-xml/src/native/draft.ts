/** A document in the making, and the rule by which options enter it: a device with all that belongs to it, or not at all. */
import type { Domain } from '../elements/domain';
import type { CommandLine, NativeOption } from './invocation';
import { NotUnderstood } from './not-understood';
import { Values } from './values';

/** A model of which anything may still be missing; what is missing takes the declaration's own default. */
export type Sketch<T> = T extends (infer U)[]
  ? Sketch<U>[]
  : T extends object
    ? { [K in keyof T]?: Sketch<T[K]> | undefined }
    : T;

type Devices = NonNullable<Sketch<Domain>['devices']>;
export type DeviceSketch<K extends keyof Devices> = NonNullable<Devices[K]> extends (infer U)[] ? U : never;
type Lists = { [K in keyof Devices]-?: NonNullable<Devices[K]> extends unknown[] ? K : never }[keyof Devices];

/** The key of an option's first word when it has none, and the option that it may be called by, too. */
const implied: Readonly<Record<string, string>> = {
  '-device': 'driver',
  '-netdev': 'type',
  '-chardev': 'backend',
  '-object': 'qom-type',
  '-audiodev': 'driver',
  '-fsdev': 'fsdriver',
  '-machine': 'type',
  '-accel': 'accel',
  '-cpu': 'model',
  '-smp': 'cpus',
  '-m': 'size',
  '-name': 'guest',
  '-boot': 'order',
  '-vnc': 'address',
  '-display': 'type',
  '-net': 'type',
  '-nic': 'type',
  '-mon': 'chardev',
  '-virtfs': 'fsdriver',
  '-tpmdev': 'type',
  '-fw_cfg': 'name',
};

export class Draft {
  readonly domain: Sketch<Domain> & { devices: Devices } = { type: 'qemu', devices: {}, os: { type: { name: 'hvm' } } };
  readonly warnings: string[] = [];
  /** The line begins with an empty machine: QEMU adds no card, screen or port of its own. */
  readonly isBare: boolean;

  constructor(readonly line: CommandLine) {
    this.isBare = line.options.some(({ flag }) => flag === '-nodefaults');
  }

  /** The options of these names that nobody has understood so far. */
  open(...flags: string[]): NativeOption[] {
    return this.line.options.filter(({ flag, state }) => state === 'open' && flags.includes(flag));
  }

  add<K extends Lists>(list: K, device: DeviceSketch<K>): void {
    const { devices } = this.domain;
    const all = (devices[list] ?? []) as unknown[];
    all.push(device);
    (devices as Record<string, unknown>)[list] = all;
  }

  /**
   * Reads one option with what belongs to it. `build` gives the change to make; it is made when every word of all the
   * options it opened was read, and else the option stays open, with the reason.
   */
  understand(option: NativeOption, build: (attempt: Attempt, values: Values) => () => void): boolean {
    const why = this.understandAll((attempt) => build(attempt, attempt.read(option)));
    if (why !== undefined) option.why ??= why;
    return why === undefined;
  }

  /** The same for options that only belong together. Gives the reason when they stay open. */
  understandAll(build: (attempt: Attempt) => () => void): string | undefined {
    try {
      const attempt = new Attempt(this.line);
      const change = build(attempt);
      attempt.finish();
      change();
      return undefined;
    } catch (error) {
      if (error instanceof NotUnderstood) return error.message;
      throw error;
    }
  }

  /** An option that is told whole by these few words in the document. */
  each(flags: readonly string[], read: (value: string, option: NativeOption) => void): void {
    for (const option of this.open(...flags)) {
      try {
        read(option.value ?? '', option);
        if (option.state === 'open') option.state = 'read';
      } catch (error) {
        if (!(error instanceof NotUnderstood)) throw error;
        option.why ??= error.message;
      }
    }
  }
}

/** The options that one device is made of. */
export class Attempt {
  readonly #parts: { option: NativeOption; values: Values }[] = [];

  constructor(private readonly line: CommandLine) {}

  read(option: NativeOption): Values {
    const values = Values.read(option.value ?? '', implied[option.flag]);
    this.#parts.push({ option, values });
    return values;
  }

  /** The option of this kind with this id (or node name). */
  backend(flag: string, id: string): Values {
    const found = this.find(flag, id);
    if (found) return found;
    throw new NotUnderstood(`there is no ${flag} '${id}' left for it`);
  }

  find(flag: string, id: string): Values | undefined {
    const key = flag === '-blockdev' ? 'node-name' : 'id';
    const option = this.line.options.find((one) => one.flag === flag && one.state === 'open' && peek(one, key) === id);
    if (!option) return undefined;
    const values = this.read(option);
    values.take(key);
    return values;
  }

  /** All devices still open for which this holds. */
  findDevices(belongs: (option: NativeOption) => boolean): Values[] {
    return this.line.options
      .filter((one) => one.flag === '-device' && one.state === 'open' && belongs(one))
      .map((one) => this.read(one));
  }

  finish(): void {
    const unread = this.#parts.flatMap(({ values }) => values.unread());
    if (unread.length > 0) throw new NotUnderstood(`${unread.join(', ')} has no place in a document`);
    for (const { option } of this.#parts) option.state = 'read';
  }
}

/** One value of an option that may not be understood as a whole. */
export function peek({ flag, value }: NativeOption, key: string): string | undefined {
  try {
    return Values.read(value ?? '', implied[flag]).peek(key);
  } catch (error) {
    if (error instanceof NotUnderstood) return undefined;
    throw error;
  }
}
