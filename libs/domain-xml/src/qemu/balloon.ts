/** The memory balloon. */
import type { Memballoon } from '../elements/small-devices';
import { aliasOf, type Guest } from './context';
import { addressProps } from './device-address';
import { props, type Props } from './props';
import { virtioProps } from './virtio';
import type { CommandWords } from './words';

export function addBalloon(out: CommandWords, guest: Guest): void {
  const { memballoon } = guest.domain.devices;
  if (memballoon && memballoon.model !== 'none') out.device(balloonProps(guest, memballoon));
}

export function balloonProps(guest: Guest, balloon: Memballoon): Props {
  return props(
    virtioProps('virtio-balloon', balloon, balloon.driver, balloon.model),
    {
      id: aliasOf(balloon),
      'deflate-on-oom': balloon.autodeflate,
      'free-page-reporting': balloon.freePageReporting,
    },
    addressProps(guest, balloon),
  );
}
