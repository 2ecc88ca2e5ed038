/** `<ip>` and `<route>`: what a network card is configured with where the guest lets its hypervisor do that. */
import { element, attr, oneOf, string, uint, int, type ModelOf } from '../schema';

const family = attr(oneOf('ipv4', 'ipv6'));

export const guestAddress = element('ip', {
  address: attr(string, { required: true }),
  family,
  prefix: attr(int({ min: 0, max: 128 })),
  peer: attr(string),
});
export type GuestAddress = ModelOf<typeof guestAddress>;

export const guestRoute = element('route', {
  family,
  address: attr(string),
  netmask: attr(string),
  prefix: attr(uint),
  gateway: attr(string),
  metric: attr(uint),
});
export type GuestRoute = ModelOf<typeof guestRoute>;
