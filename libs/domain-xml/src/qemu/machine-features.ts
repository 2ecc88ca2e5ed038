/** Machine options that only some architectures have: interrupt controllers, POWER's switches, key wrapping. */
import { isArmVirt, isPseries, isRiscvVirt, isS390Ccw } from '../passes/machine';
import { hasFlag, type Guest } from './context';
import { onOrOff } from './props';

type Options = Record<string, string | undefined>;

/** Options that stand before `dump-guest-core`. */
export function architectureOptions(guest: Guest): Options {
  const { domain } = guest;
  if (isArmVirt(domain)) return armOptions(guest);
  if (isPseries(domain)) return powerOptions(guest);
  if (isRiscvVirt(domain)) return { aia: domain.features.aia?.value };
  if (isS390Ccw(domain)) return keyWrapping(guest);
  return {};
}

function armOptions({ domain }: Guest): Options {
  const { gic, ras } = domain.features;
  return {
    'gic-version': gic?.version,
    iommu: domain.devices.iommu?.model === 'smmuv3' ? 'smmuv3' : undefined,
    ras: ras && onOrOff(ras.state),
  };
}

function powerOptions({ domain }: Guest): Options {
  const { hpt, htm, nestedHv, ccfAssist, cfpc, sbbc, ibs } = domain.features;
  return {
    'resize-hpt': hpt?.resizing,
    'cap-hpt-max-page-size': hpt?.maxpagesize === undefined ? undefined : `${hpt.maxpagesize}k`,
    'cap-htm': htm && onOrOff(htm.state),
    'cap-nested-hv': nestedHv && onOrOff(nestedHv.state),
    'cap-ccf-assist': ccfAssist && onOrOff(ccfAssist.state),
    'cap-cfpc': cfpc?.value,
    'cap-sbbc': sbbc?.value,
    'cap-ibs': ibs?.value,
  };
}

function keyWrapping({ domain }: Guest): Options {
  return Object.fromEntries(
    (domain.keywrap?.ciphers ?? []).map(({ name, state }) => [`${name}-key-wrap`, onOrOff(state)]),
  );
}

/** Options that stand at the end. */
export function lateArchitectureOptions(guest: Guest): Options {
  const { domain } = guest;
  if (isPseries(domain) && domain.cpu?.mode === 'host-model') return { 'max-cpu-compat': domain.cpu.model?.name };
  // Before each device could say it, the machine said what the boot loader shall choose.
  if (isS390Ccw(domain) && !hasFlag(guest, 'virtio-ccw.loadparm')) return { loadparm: firstLoadparm(guest) };
  return {};
}

function firstLoadparm({ domain }: Guest): string | undefined {
  const bootable: { boot?: { order: number; loadparm?: string | undefined } | undefined }[] = [
    ...domain.devices.disks,
    ...domain.devices.interfaces,
    ...domain.devices.hostdevs,
  ];
  const first = bootable
    .flatMap(({ boot }) => (boot ? [boot] : []))
    .sort((a, b) => a.order - b.order)
    .find(({ loadparm }) => loadparm !== undefined);
  return first?.loadparm;
}
