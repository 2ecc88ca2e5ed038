/**
 * What is decided when a guest starts and not when it is defined: names of devices, USB ports, paths of its sockets.
 *
 * The outcome belongs into the running guest's document; the definition stays as it was.
 */
import type { QemuCapabilities } from '../capabilities';
import { translateHostModel } from '../cpu/host-model';
import type { Domain } from '../elements/domain';
import { hasGeneratedSocket, namelessSocket } from '../generated-sockets';
import { assignUsb } from '../passes/addresses/usb';
import { nameDevices } from '../passes/aliases';
import { copyModel } from '../schema';

export interface StartPlaces {
  /** Folder for the sockets of channels that name none, such as the guest agent's; it belongs to this guest alone. */
  readonly channelDir: string;
  /** With them a CPU that is to be like the host's gets its name. */
  readonly capabilities?: QemuCapabilities;
}

/** A copy of a prepared domain that has all that a command line needs, except ports of displays. */
export function prepareForStart(domain: Domain, { channelDir, capabilities }: StartPlaces): Domain {
  const copy = copyModel(domain);
  if (capabilities) translateHostModel(copy, capabilities);
  assignUsb(copy, true);
  nameHostInterfaces(copy);
  nameDimms(copy);
  nameDevices(copy);
  for (const channel of copy.devices.channels) {
    if (channel.type !== 'unix') continue;
    const [source] = channel.sources;
    const { name } = channel.target ?? {};
    // One of another start: on another host there is no such folder.
    if (source?.path !== undefined && !hasGeneratedSocket(channel)) continue;
    channel.sources = [
      { ...(source ?? { seclabels: [] }), mode: 'bind', path: `${channelDir}/${name ?? namelessSocket}` },
    ];
  }
  return copy;
}

/** An interface that is a device of the host counts among host devices, before the others. */
function nameHostInterfaces({ devices }: Domain): void {
  let next = 0;
  for (const device of [...devices.interfaces.filter(({ type }) => type === 'hostdev'), ...devices.hostdevs])
    device.alias ??= { name: `hostdev${next++}` };
}

/** A DIMM is known by its slot, so that its name tells where it is. */
function nameDimms({ devices }: Domain): void {
  for (const memory of devices.memories)
    if ((memory.model === 'dimm' || memory.model === 'nvdimm') && memory.address?.type === 'dimm')
      memory.alias ??= { name: `${memory.model}${memory.address.slot ?? 0}` };
}
