/**
 * What happens to a document between reading and keeping it: defaults, checks, controllers and addresses, aliases.
 *
 * Each pass takes a model and gives a new one; `prepareDomain` is all of them, in order, over one copy.
 */
import type { QemuCapabilities } from '../capabilities';
import type { Domain } from '../elements/domain';
import { copyModel, Faults } from '../schema';
import { assignAll } from './addresses/assign';
import { checkAll } from './check/check';
import { arrange, fillBoot, fillCommon, fillConsole, fillMemory, fillPorts, fillVideo } from './defaults/every-guest';
import { fillQemuDevices } from './defaults/qemu-devices';
import { addAudio, fillQemu } from './defaults/qemu-guest';
import { addImplicitControllers, fillDriveAddresses, numberControllers } from './addresses/drive';
import { chooseFirmware } from './firmware';
import { isContainer } from './machine';
import type { PrepareOptions, Step } from './options';

/** Fills in what the document leaves open; with capabilities as QEMU's driver of libvirt does. */
export function fillDefaults(domain: Domain, caps: QemuCapabilities | undefined, options: PrepareOptions = {}): Domain {
  const copy = copyModel(domain);
  fillInPlace(copy, caps, options);
  return copy;
}

/** In place, for a domain of which some devices may have been filled in before. */
export function fillInPlace(domain: Domain, caps: QemuCapabilities | undefined, options: PrepareOptions): void {
  const faults = new Faults();
  const done = (step: Step): void => options.watch?.(step, domain);
  arrange(domain);
  done('order');
  fillCommon(domain, faults, options);
  done('common');
  fillMemory(domain, faults, options);
  done('memory');
  fillConsole(domain);
  done('console');
  fillPorts(domain);
  done('ports');
  numberControllers(domain, faults);
  done('numbers');
  // Everything else depends on the machine.
  const known = caps === undefined || faults.attempt(() => fillQemu(domain, caps, options));
  if (!known) faults.throwIfAny();
  done('machine');
  fillVideo(domain);
  done('video');
  if (caps) fillQemuDevices(domain, caps, faults, options);
  done('devices');
  if (!isContainer(domain)) {
    fillDriveAddresses(domain, caps !== undefined);
    done('drives');
    faults.attempt(() => addImplicitControllers(domain, caps));
    done('controllers');
  }
  fillBoot(domain);
  done('boot');
  faults.throwIfAny();
}

/** Completes the document of a guest that runs, without knowing its QEMU; in place. */
export function fillStatusDomain(domain: Domain): void {
  fillInPlace(domain, undefined, {});
  addAudio(domain);
}

/** Refuses what this QEMU cannot do or what contradicts itself. */
export function checkDomain(domain: Domain, caps?: QemuCapabilities): void {
  checkAll(domain, caps);
}

/** Gives a place on a bus to every device that has none, adding controllers where they are missing. */
export function assignAddresses(domain: Domain, caps: QemuCapabilities, options: PrepareOptions = {}): Domain {
  const copy = copyModel(domain);
  assignAll(copy, caps, options);
  return copy;
}

/**
 * All that `define` does after reading. Throws one VirtError that tells all that is wrong; the first fault decides its code.
 * Without a known machine there are no defaults and no buses; what can be checked without them is checked still.
 */
export function prepareDomain(domain: Domain, caps: QemuCapabilities, options: PrepareOptions = {}): Domain {
  const copy = copyModel(domain);
  options.watch?.('begin', copy);
  const faults = new Faults();
  const filled = faults.attempt(() => fillInPlace(copy, caps, options));
  faults.attempt(() => checkAll(copy, filled ? caps : undefined));
  if (filled) {
    faults.attempt(() => chooseFirmware(copy, caps, options));
    options.watch?.('firmware', copy);
    faults.attempt(() => assignAll(copy, caps, options));
    options.watch?.('addresses', copy);
  }
  faults.throwIfAny();
  return copy;
}
