/**
 * Gives PCI places to the devices of a domain, adding bridges and root ports where they are needed.
 *
 * Two rounds over the same devices: a dry one finds out how many buses it takes, then the grown buses become controllers and a
 * second round hands out the places. What the document names is reserved first and never moves.
 */
import type { QemuCapabilities } from '../../capabilities';
import type { Controller } from '../../elements/controller';
import { isEmptyPci, type DeviceInfo, type PciAddress } from '../../elements/device-info';
import type { Domain } from '../../elements/domain';
import { fail, Faults, lineOf } from '../../schema';
import { ensureController } from '../controllers';
import { hasPcieRoot, hasPciRoot, isI440fx, isPseries, isQ35, supportsPci } from '../machine';
import { PciBuses, type Wish } from './pci-buses';
import { pciDevices, type Wanting } from './pci-wish';

const isPlaced = (device: DeviceInfo): boolean => device.address?.type === 'pci' && !isEmptyPci(device.address);

type Place = Pick<PciAddress, 'domain' | 'bus' | 'slot' | 'function'>;

/** One round: which places were given, without touching the domain. */
class Round {
  readonly places = new Map<DeviceInfo, Place & { multifunction?: boolean }>();

  constructor(
    readonly domain: Domain,
    readonly buses: PciBuses,
  ) {}

  placed(device: DeviceInfo): Place | undefined {
    return this.places.get(device) ?? (device.address?.type === 'pci' && isPlaced(device) ? device.address : undefined);
  }

  put(device: DeviceInfo, place: Place, wish: Wish, multifunction?: boolean): void {
    this.buses.reserve(place, wish, lineOf(device));
    this.places.set(device, { ...place, ...(multifunction && { multifunction }) });
  }

  run(spareRootPort: boolean, spareBridge: boolean): void {
    const devices = pciDevices(this.domain);
    const faults = new Faults();
    for (const { device, wish, line } of devices) faults.attempt(() => this.#reserveGiven(device, wish, line));
    faults.throwIfAny();
    if (isI440fx(this.domain)) this.#placeI440fx();
    if (isQ35(this.domain)) this.#placeQ35();
    if (spareBridge && !this.buses.allFull) this.buses.next({ plug: 'pci-device', hotplug: true });
    for (const wanting of devices) this.#place(wanting);
    if (spareRootPort) this.buses.next({ plug: 'pcie-device', hotplug: true });
  }

  #reserveGiven(device: DeviceInfo, wish: Wish, line: number | undefined): void {
    const { address } = device;
    if (address?.type !== 'pci' || isEmptyPci(address)) return;
    const controller = device as Partial<Controller>;
    // Part of the machine's own chip, which holds the slot anyway.
    const onPiix3 = isI440fx(this.domain) && address.bus === 0 && address.slot === 1;
    if (onPiix3 && controller.type === 'ide' && address.function === 1) return;
    if (onPiix3 && controller.type === 'usb' && address.function === 2) return;
    this.buses.reserve(address, wish, line);
  }

  #place({ device, wish, line }: Wanting): void {
    if (this.placed(device)) return;
    const controller = device as Partial<Controller>;
    if (controller.type === 'usb' && /^ich9-/.test(controller.model ?? ''))
      this.#placeIch9(controller as Controller, wish);
    else this.places.set(device, this.buses.next(wish, line));
  }

  /** A USB 2 controller and its slow companions share one slot. */
  #placeIch9(controller: Controller, wish: Wish): void {
    const fn = { 'ich9-ehci1': 7, 'ich9-uhci1': 0, 'ich9-uhci2': 1, 'ich9-uhci3': 2 }[controller.model ?? ''] ?? 0;
    const multifunction = fn === 0;
    for (const sibling of this.domain.devices.controllers) {
      if (sibling === controller || sibling.type !== 'usb' || sibling.index !== controller.index) continue;
      if (!/^ich9-/.test(sibling.model ?? '')) continue;
      const place = this.placed(sibling);
      if (!place) continue;
      const { domain, bus, slot } = place;
      this.put(controller, { domain, bus, slot, function: fn }, wish, multifunction);
      return;
    }
    const place = this.buses.next({ ...wish, aggregate: true });
    this.buses.take(place.bus, place.slot, fn);
    this.#release(place, fn);
    this.places.set(controller, { ...place, function: fn, ...(multifunction && { multifunction }) });
  }

  #release(place: Place, fn: number): void {
    if (fn !== 0) this.buses.free(place);
  }

  #placeI440fx(): void {
    const { controllers, videos } = this.domain.devices;
    for (const controller of controllers) {
      const { type, index, model } = controller;
      if (index !== 0) continue;
      if (type === 'ide') this.#fix(controller, 1, 1, 'Primary IDE controller must have PCI address 0:0:1.1');
      else if (type === 'usb' && model === 'piix3-uhci')
        this.#fix(controller, 1, 2, 'PIIX3 USB controller at index 0 must have PCI address 0:0:1.2');
    }
    this.buses.take(0, 1, 0, 1, 2, 3, 4, 5, 6, 7);
    this.#placeVideo(videos[0], 2);
  }

  #placeQ35(): void {
    const { controllers, sounds, videos } = this.domain.devices;
    const legacy: Wish = { plug: 'pci-device' };
    for (const controller of controllers) {
      const { type, model, index } = controller;
      if (type === 'sata' && index === 0) {
        this.#fix(controller, 0x1f, 2, 'Primary SATA controller must have PCI address 0:0:1f.2');
        if (!this.buses.isTaken({ domain: 0, bus: 0, slot: 0x1f, function: 2 })) this.buses.take(0, 0x1f, 2);
      } else if (type === 'usb' && model === 'ich9-uhci1' && !this.placed(controller)) {
        const slot = [0x1d, 0x1a].find((one) => !this.buses.isSlotTaken(0, one));
        if (slot !== undefined) this.put(controller, { domain: 0, bus: 0, slot, function: 0 }, legacy, true);
      } else if (
        type === 'pci' &&
        model === 'dmi-to-pci-bridge' &&
        !this.placed(controller) &&
        !this.buses.isSlotTaken(0, 0x1e)
      )
        this.put(controller, { domain: 0, bus: 0, slot: 0x1e, function: 0 }, { plug: 'dmi-to-pci-bridge' });
    }
    this.buses.take(0, 0x1f, 0, 3);
    this.#placeVideo(videos[0], 1);
    for (const sound of sounds) {
      if (sound.model !== 'ich9' || this.placed(sound) || this.buses.isSlotTaken(0, 0x1b)) continue;
      this.put(sound, { domain: 0, bus: 0, slot: 0x1b, function: 0 }, legacy);
    }
  }

  /** A chip's function that can be nowhere else. */
  #fix(controller: Controller, slot: number, fn: number, otherwise: string): void {
    const { address } = controller;
    if (address?.type === 'pci' && !isEmptyPci(address)) {
      if (address.domain !== 0 || address.bus !== 0 || address.slot !== slot || address.function !== fn)
        fail('INTERNAL_ERROR', otherwise, { element: 'controller', line: lineOf(controller) });
      return;
    }
    this.places.set(controller, { domain: 0, bus: 0, slot, function: fn });
    if (slot !== 1) this.buses.take(0, slot, fn);
  }

  #placeVideo(video: (DeviceInfo & { model?: { type: string } | undefined }) | undefined, slot: number): void {
    const type = video?.model?.type;
    if (!video || type === 'none' || type === 'ramfb' || this.placed(video)) return;
    if (video.address !== undefined && video.address.type !== 'pci') return;
    if (this.buses.isSlotTaken(0, slot)) return;
    this.put(video, { domain: 0, bus: 0, slot, function: 0 }, { plug: 'pci-device' });
  }
}

export function assignPci(domain: Domain, caps: QemuCapabilities): void {
  const { controllers } = domain.devices;
  if (!supportsPci(domain)) return;
  if (!hasPcieRoot(domain) && !hasPciRoot(domain)) {
    refuseWithoutPci(domain);
    return;
  }
  const numbers = controllers.filter((one) => one.type === 'pci').map((one) => one.index ?? 0);
  const highest = Math.max(0, ...numbers);
  const express = hasPcieRoot(domain);
  const options = {
    rootPort: 'pcie-root-port',
    bridge: moreBuses(domain),
    pcieToPci: caps.flags.has('pcie-pci-bridge'),
  };
  const models = busModels(domain, highest, express);
  const canGrow = express || caps.flags.has('pci-bridge');
  const dry = new Round(domain, new PciBuses(models, { ...options, mayGrow: canGrow }));
  dry.run(false, !express && canGrow);
  if (express && highest === 0 && dry.buses.models.length > 1) dry.buses.next({ plug: 'pcie-device', hotplug: true });
  dry.buses.models.forEach((model, index) => ensureController(domain, 'pci', index, model));
  place(domain, dry.buses.models, options);
}

/** Places on the buses that a running guest has. */
export function plugPci(domain: Domain, _caps: QemuCapabilities): void {
  if (!supportsPci(domain) || (!hasPcieRoot(domain) && !hasPciRoot(domain))) return;
  const numbers = domain.devices.controllers.filter((one) => one.type === 'pci').map((one) => one.index ?? 0);
  place(domain, busModels(domain, Math.max(0, ...numbers), hasPcieRoot(domain)), {
    rootPort: 'pcie-root-port',
    bridge: moreBuses(domain),
    pcieToPci: false,
  });
}

function place(
  domain: Domain,
  models: readonly string[],
  options: { rootPort: string; bridge: string; pcieToPci: boolean },
): void {
  const real = new Round(domain, new PciBuses(models, { ...options, mayGrow: false }));
  real.run(false, false);
  for (const [device, found] of real.places) {
    const given = device.address?.type === 'pci' ? device.address : undefined;
    device.address = { ...given, type: 'pci', ...found };
  }
  markMultifunction(domain, real.buses);
  fillPciControllers(domain);
}

function refuseWithoutPci(domain: Domain): void {
  const wanting = domain.devices.controllers.find((one) => one.type === 'usb' && one.model !== 'none');
  if (wanting && domain.os.type?.machine === 'isapc')
    fail('XML_ERROR', 'No PCI buses available', { element: 'controller', line: lineOf(wanting) });
}

/** What gives a guest without PCI Express more buses: pseries has host bridges for that. */
const moreBuses = (domain: Domain): string => (isPseries(domain) ? 'pci-root' : 'pci-bridge');

function busModels(domain: Domain, highest: number, express: boolean): string[] {
  const models: string[] = [];
  for (let index = 0; index <= highest; index++) {
    const found = domain.devices.controllers.find((one) => one.type === 'pci' && one.index === index);
    models.push(found?.model ?? (index === 0 ? 'pci-root' : express ? 'pcie-root-port' : moreBuses(domain)));
  }
  return models;
}

/** Function 0 of a slot that holds several must say so. */
function markMultifunction(domain: Domain, buses: PciBuses): void {
  for (const { device } of pciDevices(domain)) {
    const { address } = device;
    if (address?.type !== 'pci' || address.function !== 0 || address.multifunction !== undefined) continue;
    if (buses.functionsIn(address.bus, address.slot) > 1) address.multifunction = true;
  }
}

const modelNames: Readonly<Record<string, string>> = {
  'pci-bridge': 'pci-bridge',
  'dmi-to-pci-bridge': 'i82801b11-bridge',
  'pcie-to-pci-bridge': 'pcie-pci-bridge',
  'pcie-root-port': 'pcie-root-port',
  'pcie-switch-upstream-port': 'x3130-upstream',
  'pcie-switch-downstream-port': 'xio3130-downstream',
  'pci-expander-bus': 'pxb',
  'pcie-expander-bus': 'pxb-pcie',
};

/** What QEMU's bridges and ports are told about themselves. */
function fillPciControllers(domain: Domain): void {
  const { devices } = domain;
  const onPower = isPseries(domain);
  const pci = devices.controllers.filter((one) => one.type === 'pci');
  for (const controller of pci) {
    const { model = '', index = 0, address } = controller;
    const name = onPower && model === 'pci-root' ? 'spapr-pci-host-bridge' : modelNames[model];
    if (name !== undefined && controller.modelElement?.name === undefined) controller.modelElement = { name };
    const target = { ...controller.target };
    if (onPower && model === 'pci-root') target.index ??= index;
    if (model === 'pci-bridge') target.chassisNr ??= index;
    else if (model === 'pcie-root-port' || model === 'pcie-switch-downstream-port') {
      target.chassis ??= index;
      const { slot = 0, function: fn = 0 } = address?.type === 'pci' ? address : {};
      target.port ??= model === 'pcie-root-port' ? (slot << 3) + fn : slot;
    } else if (model === 'pci-expander-bus' || model === 'pcie-expander-bus') target.busNr ??= freeBusNumber(pci);
    if (Object.keys(target).length > 0) controller.target = target;
  }
}

/** Numbers of expander buses count down, leaving room for the buses behind each. */
function freeBusNumber(pci: readonly Controller[]): number {
  const used = pci.map((one) => one.target?.busNr ?? 256);
  return Math.min(256, ...used) - 2;
}
