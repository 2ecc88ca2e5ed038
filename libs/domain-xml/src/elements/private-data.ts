/** `<privateData>`: a manager's notes on the images of a running guest, in status documents only. */
import { element, attr, leaf, one, many, oneOf, string, uint, yesNo } from '../schema';

const nodenames = element('nodenames', {
  nodenames: many(
    element('nodename', {
      type: attr(string, { required: true }),
      name: attr(string, { required: true }),
      group: attr(string),
    }),
  ),
});

/** Of one image: its nodes, and what was made for them. */
export const imagePrivateData = element('privateData', {
  nodenames: one(nodenames),
  reservations: one(element('reservations', { mgralias: attr(string) })),
  relPath: leaf(string),
  objects: one(
    element('objects', {
      secrets: many(
        element('secret', {
          type: attr(oneOf('auth', 'encryption', 'httpcookie', 'tlskey'), { required: true }),
          alias: attr(string, { required: true }),
        }),
      ),
      tls: one(element('TLSx509', { alias: attr(string, { required: true }) })),
    }),
  ),
  fdsets: one(
    element('fdsets', {
      fdsets: many(
        element('fdset', { type: attr(oneOf('storage'), { required: true }), id: attr(uint, { required: true }) }),
      ),
    }),
  ),
  thresholdEvent: one(element('thresholdEvent', { indexUsed: attr(yesNo) })),
  nbdkit: one(element('nbdkit', { pidfile: leaf(string), socketfile: leaf(string) })),
});

/** Of a disk: its device in QEMU's object tree, and the nodes on top of its image. */
export const diskPrivateData = element('privateData', {
  qom: one(element('qom', { name: attr(string, { required: true }) })),
  nodenames: one(nodenames),
});
