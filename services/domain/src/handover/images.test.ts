/** The images of a domain that has moved, between a storage service and a fleet's book that say what a test has them say. */
import type { ImageLease, LeaseHolder } from '@virtbus/shared';
import { encode } from '@virtbus/shared/bus';
import type { Fleet } from '../fleet';
import type { Handover } from './handover';
import { HandoverImages } from './images';

const domain = '00000000-0000-4000-8000-000000000001';
const to = { host: 'h2', driver: 'qemu' };
const lease: ImageLease = { identity: 'file:1:2', path: '/a', mode: 'exclusive', target: 'vda', fleet: true };
const holder: LeaseHolder = { domain, name: 'web1', ...to, epoch: 4, claim: 'm1' };

test('whoever has an image of a domain that has moved is told of: two guests may write to it; what it has let go of meanwhile goes', async () => {
  const troubles: unknown[] = [];
  const taken: unknown[] = [];
  const held = { holders: [{ ...holder, revision: 1, taken: 0, leases: [lease] }] };
  const fleet = {
    projection: { get: () => ({ images: true }) },
    bus: {
      settling: () => false,
      connected: () => true,
      bodies: { outgoing: (body: Uint8Array) => body, incoming: (body: Uint8Array) => body },
      nc: { isClosed: () => false, request: async () => ({ data: encode(held, 'msgpack') }) },
    },
    leases: {
      take: async (whose: LeaseHolder, leases: readonly ImageLease[]) => {
        taken.push([whose, leases]);
        return [{ lease, holder: { ...holder, domain: 'other', name: 'web2' } }];
      },
      // Looks into the host's book again.
      drop: async (on: object, identities: readonly string[]) => void taken.push([on, identities]),
    },
    log: { error: (fields: unknown, message: string) => troubles.push([message, fields]) },
  } as unknown as Fleet;
  const handover = { brought: async () => true } as unknown as Handover;
  await new HandoverImages(fleet, handover).handOver({ id: 'm1', domain, to, epoch: 4, name: 'web1' });
  expect(taken).toEqual([
    [holder, [lease]],
    [{ domain, host: 'h2' }, [lease.identity]],
  ]);
  expect(troubles).toEqual([['two domains hold one image', { path: '/a', domains: ['web1', 'web2'] }]]);
});
