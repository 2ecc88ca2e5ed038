/** Random number devices and where their numbers come from. */
import type { Rng } from '../elements/small-devices';
import { addBackend, type BackendOptions, type Character } from './character-backend';
import { aliasOf, type Guest, type ObjectProps } from './context';
import { addressProps } from './device-address';
import { props, type Props } from './props';
import { virtioProps } from './virtio';
import type { CommandWords } from './words';

export function addRngs(out: CommandWords, guest: Guest): void {
  for (const rng of guest.domain.devices.rngs) {
    const egd = egdBackend(rng);
    if (egd) addBackend(out, guest, egd.character, egd.options);
    out.object(rngObject(rng));
    out.device(rngProps(guest, rng));
  }
}

const rngChardev = (rng: Rng): string => `char${aliasOf(rng)}`;

/** The chardev of a source that is a daemon behind a socket; undefined for the other sources. */
export function egdBackend(rng: Rng): { character: Character; options: BackendOptions } | undefined {
  if (rng.backend.model !== 'egd') return undefined;
  return { character: rng.backend, options: { id: rngChardev(rng), alias: aliasOf(rng) } };
}

/** Where the host's kernel gives random bytes, when the document does not say. */
const defaultSource = '/dev/random';

export function rngObject(rng: Rng): ObjectProps {
  const id = `obj${aliasOf(rng)}`;
  switch (rng.backend.model) {
    case 'random':
      return { 'qom-type': 'rng-random', id, filename: rng.backend.path ?? defaultSource };
    case 'egd':
      return { 'qom-type': 'rng-egd', id, chardev: rngChardev(rng) };
    case 'builtin':
      return { 'qom-type': 'rng-builtin', id };
  }
}

/** Milliseconds in which `<rate bytes=…>` counts, when the document does not say. */
const defaultPeriod = 1000;

export function rngProps(guest: Guest, rng: Rng): Props {
  return props(
    virtioProps('virtio-rng', rng, rng.driver, rng.model),
    {
      rng: `obj${aliasOf(rng)}`,
      id: aliasOf(rng),
      'max-bytes': rng.rate?.bytes,
      period: rng.rate && (rng.rate.period || defaultPeriod),
    },
    addressProps(guest, rng),
  );
}
