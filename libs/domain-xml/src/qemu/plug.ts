/**
 * Hot-plug as a plan: the QMP commands that bring a device into a running guest, each with the one that takes it back.
 * Every argument comes from the code that writes the command line.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Device } from '../device';
import type { Disk } from '../elements/disk';
import type { Domain } from '../elements/domain';
import type { Hostdev } from '../elements/hostdev';
import { copyModel } from '../schema';
import { nextIndex, numberDisk, renumberDisk } from './block-chain';
import { diskBlocks, nothingPassed, refuseDescriptors, type BlockStep } from './blockdev';
import { channelBackend, channelProps, chardevId, redirdevBackend, redirdevProps, serialProps } from './character';
import { backendForQmp, type Character } from './character-backend';
import { unsupported, type Guest } from './context';
import { controllerProps } from './controller';
import { diskProps } from './disk';
import { mediatedProps, pciHostProps, usbHostProps } from './hostdev';
import { inputProps } from './input';
import { memoryDeviceProps, memoryObjects } from './memory-device';
import { interfaceProps, netdevId, netdevProps } from './network';
import type { Props } from './props';
import { egdBackend, rngObject, rngProps } from './rng';
import { cryptoObject, cryptoProps } from './small-devices';
import { watchdogProps } from './watchdog';

export interface QmpStep {
  readonly command: string;
  readonly arguments: Props;
}

export interface PlugStep extends QmpStep {
  readonly undo: QmpStep;
}

export interface PlugPlan {
  readonly steps: readonly PlugStep[];
  /** The domain with the device as the guest will have it: its images numbered. */
  readonly domain: Domain;
}

/** @param device of `guest.domain`, complete: with alias and address. Throws CONFIG_UNSUPPORTED for what is not hot-plugged. */
export function plugPlan(guest: Guest, device: Device): PlugPlan {
  const { domain } = guest;
  switch (device.list) {
    case 'disks':
      return plugDisk(guest, device.value);
    case 'interfaces':
      return {
        domain,
        steps: [
          netdev(netdevProps(guest, device.value), netdevId(device.value)),
          plug(interfaceProps(guest, device.value)),
        ],
      };
    case 'channels':
      return {
        domain,
        steps: [...backend(guest, device.value, channelBackend(device.value)), plug(channelProps(guest, device.value))],
      };
    case 'serials':
      return {
        domain,
        steps: [
          ...backend(guest, device.value, { id: chardevId(device.value), alias: device.value.alias?.name ?? '' }),
          plug(serialProps(guest, device.value)),
        ],
      };
    case 'rngs': {
      const egd = egdBackend(device.value);
      const before = egd ? backend(guest, egd.character, egd.options) : [];
      return { domain, steps: [...before, object(rngObject(device.value)), plug(rngProps(guest, device.value))] };
    }
    case 'redirdevs':
      return {
        domain,
        steps: [
          ...backend(guest, device.value, redirdevBackend(device.value)),
          plug(redirdevProps(guest, device.value)),
        ],
      };
    case 'memories':
      return {
        domain,
        steps: [...memoryObjects(guest, device.value).map(object), plug(memoryDeviceProps(guest, device.value))],
      };
    case 'cryptos':
      return { domain, steps: [object(cryptoObject(device.value)), plug(cryptoProps(guest, device.value))] };
    case 'hostdevs':
      return plugHostdev(guest, device.value);
    case 'watchdogs':
      return { domain, steps: [plug(watchdogProps(guest, device.value))] };
    case 'controllers':
      return {
        domain,
        steps: [plug(controllerProps(guest, device.value) ?? unsupported('this controller is part of the machine'))],
      };
    case 'inputs':
      return {
        domain,
        steps: [plug(inputProps(guest, device.value) ?? unsupported('this input device is part of the machine'))],
      };
    default:
      return unsupported(`devices of this kind (${device.list}) cannot be added to a running guest`);
  }
}

function plugHostdev(guest: Guest, hostdev: Hostdev): PlugPlan {
  const { domain } = guest;
  switch (hostdev.type) {
    case 'usb':
      return { domain, steps: [plug(usbHostProps(guest, hostdev))] };
    case 'pci':
      return { domain, steps: [plug(pciHostProps(guest, hostdev))] };
    case 'mdev':
      return { domain, steps: [plug(mediatedProps(guest, hostdev))] };
    default:
      return unsupported(`host devices of type '${hostdev.type}' cannot be added to a running guest`);
  }
}

/** What takes away that which stood behind a device, once the device has left the guest. */
export function afterUnplug(guest: Guest, device: Device): QmpStep[] {
  const { steps } = plugPlan(guest, device);
  return steps
    .filter(({ command }) => command !== 'device_add')
    .map(({ undo }) => undo)
    .reverse();
}

/** What a drive shows its guest. */
export interface Medium {
  /** What opens its images, each step with the one that takes it back. */
  readonly steps: readonly PlugStep[];
  /** The node to be inserted; undefined for an empty drive. */
  readonly top: string | undefined;
}

/** @param disk a removable drive whose images are numbered */
export function mediumOf(guest: Guest, disk: Disk): Medium {
  const { steps, top } = blocksOf(guest, disk);
  return { steps: steps.map(blockStep), top };
}

/** Whether both show the same images, opened in the same way. */
export function isSameMedium(guest: Guest, one: Disk, other: Disk): boolean {
  return isDeepStrictEqual(mediumOf(guest, renumberDisk(one, 1)), mediumOf(guest, renumberDisk(other, 1)));
}

function plugDisk(guest: Guest, disk: Disk): PlugPlan {
  const numbered = numberDisk(disk, nextIndex(guest.domain)).disk;
  const domain = copyModel(guest.domain);
  domain.devices.disks = domain.devices.disks.map((one) => (one.target.dev === disk.target.dev ? numbered : one));
  const { steps, top } = blocksOf(guest, numbered);
  return { domain, steps: [...steps.map(blockStep), plug(diskProps(guest, numbered, top))] };
}

const blocksOf = (guest: Guest, disk: Disk) => diskBlocks(guest, disk, [], nothingPassed);

/** A step for a disk's images as QMP commands. Throws `CONFIG_UNSUPPORTED` where descriptors would have to be passed. */
export function blockStep(step: BlockStep): PlugStep {
  if (step.kind === 'object') return object(step.props);
  if (step.kind === 'descriptors') return refuseDescriptors();
  const name = step.props['node-name'] ?? '';
  return {
    command: 'blockdev-add',
    arguments: step.props,
    undo: { command: 'blockdev-del', arguments: { 'node-name': name } },
  };
}

const plug = (device: Props): PlugStep => ({
  command: 'device_add',
  arguments: device,
  undo: { command: 'device_del', arguments: { id: device.id ?? '' } },
});

const object = (props: Props & { id: string }): PlugStep => ({
  command: 'object-add',
  arguments: props,
  undo: { command: 'object-del', arguments: { id: props.id } },
});

const netdev = (props: Props, id: string): PlugStep => ({
  command: 'netdev_add',
  arguments: props,
  undo: { command: 'netdev_del', arguments: { id } },
});

function backend(guest: Guest, device: Character, options: Parameters<typeof backendForQmp>[2]): PlugStep[] {
  const { objects, chardev } = backendForQmp(guest, device, options);
  const add: PlugStep = {
    command: 'chardev-add',
    arguments: chardev,
    undo: { command: 'chardev-remove', arguments: { id: options.id } },
  };
  return [...objects.map(object), add];
}
