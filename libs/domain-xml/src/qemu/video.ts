/** Video cards. */
import type { Video } from '../elements/media';
import { isArmVirt } from '../passes/machine';
import { aliasOf, hasFlag, unsupported, type Guest } from './context';
import { addressProps } from './device-address';
import { vhostUserChardevId } from './disk';
import { nonZero, props, words, type LooseProps, type Props } from './props';
import { virtioDriver, virtioOptionProps } from './virtio';
import type { CommandWords } from './words';

export function addVideos(out: CommandWords, guest: Guest): void {
  for (const video of guest.domain.devices.videos) {
    if (video.model?.type === 'none') continue;
    if (video.driver?.name === 'vhostuser') {
      const fd = out.descriptor({ kind: 'vhost-user-gpu', alias: aliasOf(video) });
      out.add('-chardev', words('socket', { id: vhostUserChardevId(video), fd }));
    }
    out.device(videoProps(guest, video));
  }
}

/** KiB in a MiB. */
const mib = 1024;

export function videoProps(guest: Guest, video: Video): Props {
  const { model, driver } = video;
  const isPrimary = guest.domain.devices.videos[0] === video || model?.primary === true;
  const isVirtio = model?.type === 'virtio';
  const name = driverName(guest, video, isPrimary);
  return props(
    { driver: name },
    isVirtio && name !== 'vhost-user-vga' ? virtioOptionProps(driver) : {},
    { id: aliasOf(video) },
    modelProps(guest, video, name),
    addressProps(guest, video),
  );
}

function driverName(guest: Guest, video: Video, isPrimary: boolean): string {
  switch (video.model?.type) {
    case 'vga':
      return isPrimary ? 'VGA' : 'secondary-vga';
    case 'cirrus':
      return 'cirrus-vga';
    case 'vmvga':
      return 'vmware-svga';
    case 'qxl':
      return isPrimary ? 'qxl-vga' : 'qxl';
    case 'bochs':
      return 'bochs-display';
    case 'ramfb':
      return 'ramfb';
    case 'virtio':
      return virtioName(guest, video, isPrimary);
    default:
      return unsupported(`the requested QEMU binary does not support the video model '${video.model?.type ?? 'none'}'`);
  }
}

function virtioName(guest: Guest, video: Video, isPrimary: boolean): string {
  const asVga = isPrimary && !isArmVirt(guest.domain) && video.address?.type === 'pci' && hasFlag(guest, 'virtio-vga');
  if (video.driver?.name === 'vhostuser') return asVga ? 'vhost-user-vga' : virtioDriver('vhost-user-gpu', video);
  const gl = usesGlDevice(guest, video) ? '-gl' : '';
  return asVga ? `virtio-vga${gl}` : virtioDriver(`virtio-gpu${gl}`, video);
}

/** Since 6.1 QEMU has cards with 3D acceleration as devices of their own. */
const usesGlDevice = (guest: Guest, { model }: Video): boolean =>
  model?.acceleration?.accel3d === true && hasFlag(guest, 'virtio-gpu-gl-pci');

function modelProps(guest: Guest, video: Video, name: string): LooseProps {
  const { model, driver } = video;
  const resolution = { xres: model?.resolution?.x, yres: model?.resolution?.y };
  switch (model?.type) {
    case 'qxl':
      return {
        max_outputs: nonZero(model.heads),
        ram_size: model.ram && model.ram * 1024,
        vram_size: model.vram && model.vram * 1024,
        vram64_size_mb: Math.floor((model.vram64 ?? 0) / mib),
        vgamem_mb: model.vgamem && Math.floor(model.vgamem / mib),
        ...resolution,
      };
    case 'vga':
    case 'vmvga':
      return { vgamem_mb: model.vram && Math.floor(model.vram / mib), ...resolution };
    case 'bochs':
      return { vgamem: model.vram && model.vram * 1024, ...resolution };
    case 'virtio':
      return {
        virgl:
          model.acceleration?.accel3d !== undefined && !usesGlDevice(guest, video) && !name.includes('vhost')
            ? model.acceleration.accel3d
            : undefined,
        max_outputs: nonZero(model.heads),
        ...resolution,
        blob: model.blob,
        chardev: driver?.name === 'vhostuser' ? vhostUserChardevId(video) : undefined,
      };
    default:
      return {};
  }
}
