/**
 * The PCI buses of a guest: what each accepts, which functions are taken, where there is room.
 *
 * A device asks for a kind of place (`Wish`). Buses are searched by number; where none has room, the set grows by the kind of
 * bridge or root port that gives such a place, and the grown buses become controllers of the domain.
 */
import type { PciAddress } from '../../elements/device-info';
import { fail } from '../../schema';

/** What can be plugged into a slot. */
export type Plug =
  | 'pci-device'
  | 'pcie-device'
  | 'pci-bridge'
  | 'pcie-root-port'
  | 'dmi-to-pci-bridge'
  | 'pcie-to-pci-bridge'
  | 'pcie-switch-upstream-port'
  | 'pcie-switch-downstream-port'
  | 'pci-expander-bus'
  | 'pcie-expander-bus';

export interface Wish {
  readonly plug: Plug;
  /** The slot must allow plugging while the guest runs. */
  readonly hotplug?: boolean;
  /** May share a slot with others of its kind, one function each. */
  readonly aggregate?: boolean;
  /** Sits on the root bus itself. */
  readonly integrated?: boolean;
}

interface BusKind {
  readonly accepts: readonly Plug[];
  readonly hotplug: boolean;
  readonly minSlot: number;
  readonly maxSlot: number;
  /** Places are given out only when asked for by address. */
  readonly onRequest?: boolean;
}

const kinds: Readonly<Record<string, BusKind>> = {
  'pci-root': { accepts: ['pci-device', 'pci-bridge', 'pci-expander-bus'], hotplug: true, minSlot: 1, maxSlot: 31 },
  'pci-bridge': { accepts: ['pci-device', 'pci-bridge'], hotplug: true, minSlot: 1, maxSlot: 31 },
  'pci-expander-bus': {
    accepts: ['pci-device', 'pci-bridge'],
    hotplug: true,
    minSlot: 0,
    maxSlot: 31,
    onRequest: true,
  },
  'pcie-root': {
    accepts: ['pcie-device', 'pcie-root-port', 'dmi-to-pci-bridge', 'pcie-to-pci-bridge', 'pcie-expander-bus'],
    hotplug: false,
    minSlot: 1,
    maxSlot: 31,
  },
  'dmi-to-pci-bridge': { accepts: ['pci-device', 'pci-bridge'], hotplug: false, minSlot: 0, maxSlot: 31 },
  'pcie-to-pci-bridge': { accepts: ['pci-device', 'pci-bridge'], hotplug: true, minSlot: 1, maxSlot: 31 },
  'pcie-root-port': {
    accepts: ['pcie-device', 'pcie-switch-upstream-port', 'pcie-to-pci-bridge'],
    hotplug: true,
    minSlot: 0,
    maxSlot: 0,
  },
  'pcie-switch-downstream-port': {
    accepts: ['pcie-device', 'pcie-switch-upstream-port', 'pcie-to-pci-bridge'],
    hotplug: true,
    minSlot: 0,
    maxSlot: 0,
  },
  'pcie-switch-upstream-port': { accepts: ['pcie-switch-downstream-port'], hotplug: false, minSlot: 0, maxSlot: 31 },
  'pcie-expander-bus': {
    accepts: ['pcie-root-port', 'dmi-to-pci-bridge'],
    hotplug: false,
    minSlot: 0,
    maxSlot: 31,
    onRequest: true,
  },
};

/** What a PCI controller itself plugs into; undefined for the roots. */
export const plugOfController: Readonly<Record<string, Wish>> = {
  'pci-bridge': { plug: 'pci-bridge' },
  'dmi-to-pci-bridge': { plug: 'dmi-to-pci-bridge' },
  'pcie-to-pci-bridge': { plug: 'pcie-to-pci-bridge', hotplug: true },
  'pcie-root-port': { plug: 'pcie-root-port', aggregate: true },
  'pcie-switch-upstream-port': { plug: 'pcie-switch-upstream-port', hotplug: true },
  'pcie-switch-downstream-port': { plug: 'pcie-switch-downstream-port' },
  'pci-expander-bus': { plug: 'pci-expander-bus' },
  'pcie-expander-bus': { plug: 'pcie-expander-bus' },
};

class Bus {
  /** Taken functions, a bit each, by slot. */
  readonly slots = new Uint8Array(32);
  /** Slots whose functions are all of the kind that shares. */
  readonly shared = new Set<number>();
  readonly kind: BusKind;

  constructor(readonly model: string) {
    this.kind = kinds[model] ?? { accepts: [], hotplug: false, minSlot: 0, maxSlot: 31 };
  }

  get full(): boolean {
    for (let slot = this.kind.minSlot; slot <= this.kind.maxSlot; slot++) if (this.slots[slot] === 0) return false;
    return true;
  }
}

export const formatPci = ({
  domain,
  bus,
  slot,
  function: fn,
}: Omit<PciAddress, 'type' | 'multifunction' | 'zpci'>): string => {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  return `${hex(domain, 4)}:${hex(bus, 2)}:${hex(slot, 2)}.${fn}`;
};

type Place = Pick<PciAddress, 'domain' | 'bus' | 'slot' | 'function'>;

export class PciBuses {
  readonly #buses: Bus[] = [];

  constructor(
    models: readonly string[],
    private readonly options: { rootPort: string; bridge: string; pcieToPci: boolean; mayGrow: boolean },
  ) {
    for (const model of models) this.#buses.push(new Bus(model));
  }

  get models(): string[] {
    return this.#buses.map((bus) => bus.model);
  }

  get allFull(): boolean {
    return this.#buses.every((bus) => bus.full);
  }

  get isPcie(): boolean {
    return this.#buses[0]?.model === 'pcie-root';
  }

  isTaken(place: Place): boolean {
    return ((this.#buses[place.bus]?.slots[place.slot] ?? 0) & (1 << place.function)) !== 0;
  }

  isSlotTaken(bus: number, slot: number): boolean {
    return (this.#buses[bus]?.slots[slot] ?? 0) !== 0;
  }

  /** How many functions of a slot are in use. */
  functionsIn(bus: number, slot: number): number {
    let bits = this.#buses[bus]?.slots[slot] ?? 0;
    let count = 0;
    for (; bits; bits &= bits - 1) count += 1;
    return count;
  }

  /** Takes a place that the document or the machine names. */
  reserve(place: Place, wish: Wish, line?: number): void {
    const where = { element: 'address', line };
    this.#checkPlace(place, wish, where);
    const bus = this.#buses[place.bus] as Bus;
    if (this.isTaken(place))
      fail(
        'XML_ERROR',
        `Attempted double use of PCI Address ${formatPci(place)}. Give one of the two another, or none to have one chosen`,
        where,
      );
    this.#take(bus, place, wish);
  }

  /** Takes the functions of a chip of the machine, whatever it is. */
  take(bus: number, slot: number, ...functions: number[]): void {
    const found = this.#buses[bus];
    if (found) for (const fn of functions) found.slots[slot] = (found.slots[slot] ?? 0) | (1 << fn);
  }

  /** Gives a place back. */
  free(place: Place): void {
    const bus = this.#buses[place.bus];
    if (bus) bus.slots[place.slot] = (bus.slots[place.slot] ?? 0) & ~(1 << place.function);
  }

  #take(bus: Bus, place: Place, wish: Wish): void {
    if (bus.slots[place.slot] === 0 && wish.aggregate) bus.shared.add(place.slot);
    else if (!wish.aggregate) bus.shared.delete(place.slot);
    bus.slots[place.slot] = (bus.slots[place.slot] ?? 0) | (1 << place.function);
  }

  #checkPlace(place: Place, wish: Wish, where: { element: string; line: number | undefined }): void {
    const shown = formatPci(place);
    if (this.#buses.length === 0) fail('XML_ERROR', 'No PCI buses available', where);
    if (place.domain !== 0) fail('XML_ERROR', `Invalid PCI address ${shown}. Only PCI domain 0 is available`, where);
    if (place.bus >= this.#buses.length && this.options.mayGrow) this.#grow(place.bus, wish);
    const bus = this.#buses[place.bus];
    if (bus === undefined)
      fail(
        'XML_ERROR',
        `Invalid PCI address ${shown}. Only PCI buses up to ${this.#buses.length - 1} are available`,
        where,
      );
    if (wish.integrated && place.bus !== 0)
      fail('XML_ERROR', `The device at PCI address ${shown} needs to be an integrated device (bus=0)`, where);
    const { accepts, minSlot, maxSlot } = bus.kind;
    const isEndpoint = wish.plug === 'pci-device' || wish.plug === 'pcie-device';
    const takesEndpoints = accepts.includes('pci-device') || accepts.includes('pcie-device');
    if (isEndpoint ? !takesEndpoints : !accepts.includes(wish.plug))
      fail(
        'XML_ERROR',
        `The device at PCI address ${shown} cannot be plugged into the PCI controller with index='${place.bus}'. It requires a controller that accepts a ${wish.plug}.`,
        where,
      );
    if (place.slot < minSlot) fail('XML_ERROR', `Invalid PCI address ${shown}. slot must be >= ${minSlot}`, where);
    if (place.slot > maxSlot) fail('XML_ERROR', `Invalid PCI address ${shown}. slot must be <= ${maxSlot}`, where);
  }

  /** Finds, takes and returns the first free place; grows the set when it may. */
  next(wish: Wish, line?: number): Place {
    const found = this.#find(wish);
    if (found) {
      this.#take(this.#buses[found.bus] as Bus, found, wish);
      return found;
    }
    if (this.options.mayGrow) {
      this.#grow(this.#buses.length, wish);
      const grown = this.#find(wish);
      if (grown) {
        this.#take(this.#buses[grown.bus] as Bus, grown, wish);
        return grown;
      }
    }
    return fail(
      'XML_ERROR',
      this.#buses.length === 0 ? 'No PCI buses available' : `No more available PCI slots for a ${wish.plug}`,
      { element: 'address', line },
    );
  }

  /** A free place of a set that must not grow, for hot-plug. */
  tryNext(wish: Wish): Place | undefined {
    const found = this.#find(wish);
    if (found) this.#take(this.#buses[found.bus] as Bus, found, wish);
    return found;
  }

  #find(wish: Wish): Place | undefined {
    for (const [number, bus] of this.#buses.entries()) {
      const { accepts, hotplug, onRequest, minSlot, maxSlot } = bus.kind;
      if (onRequest || !accepts.includes(wish.plug)) continue;
      if (wish.hotplug && !hotplug && !wish.integrated) continue;
      for (let slot = minSlot; slot <= maxSlot; slot++) {
        const taken = bus.slots[slot] ?? 0;
        if (taken === 0) return { domain: 0, bus: number, slot, function: 0 };
        if (!wish.aggregate || !bus.shared.has(slot)) continue;
        for (let fn = 0; fn < 8; fn++) if (!(taken & (1 << fn))) return { domain: 0, bus: number, slot, function: fn };
      }
    }
    return undefined;
  }

  /** Adds buses so that one of them, at least number `upTo`, gives such a place. */
  #grow(upTo: number, { plug }: Wish): void {
    const add = (model: string): void => void this.#buses.push(new Bus(model));
    if (plug === 'pci-device' || plug === 'pci-bridge') {
      if (!this.isPcie) while (this.#buses.length <= upTo) add(this.options.bridge);
      else if (this.#buses.some((bus) => bus.kind.accepts.includes('pci-bridge') && !bus.kind.onRequest)) {
        while (this.#buses.length <= upTo) add('pci-bridge');
      } else if (this.options.pcieToPci) {
        add(this.options.rootPort);
        // The bridge itself sits in that port.
        this.take(this.#buses.length - 1, 0, 0);
        add('pcie-to-pci-bridge');
      } else {
        add('dmi-to-pci-bridge');
        add('pci-bridge');
      }
    } else if (plug === 'pcie-device' || plug === 'pcie-to-pci-bridge' || plug === 'pcie-switch-upstream-port')
      while (this.#buses.length <= upTo) add(this.options.rootPort);
  }
}
