/** `<blockjobs>`: the jobs on a guest's images that a manager must follow to their end. */
import { element, attr, flag, leaf, one, many, oneOf, string, yesNo, pattern } from '../schema';
import { backingStore, imageFormat, storageSource, storageType } from '../elements/storage-source';

/** Flags as libvirt's C code has them. */
export const flags = pattern(/^(0x[\da-f]+|\d+)$/i, 'a number');

const node = (name: string) => one(element(name, { node: attr(string, { required: true }) }));

/** An image with all that lies below. */
const image = (name: string) =>
  element(name, {
    type: attr(storageType, { required: true }),
    format: attr(imageFormat),
    source: one(storageSource),
    backingStore: one(backingStore),
  });

const states = ['completed', 'failed', 'cancelled', 'ready', 'new', 'running', 'concluded', 'aborting', 'pivoting'];

const blockjob = element('blockjob', {
  name: attr(string, { required: true }),
  type: attr(string, { required: true }),
  state: attr(oneOf(...states, 'pending'), { required: true }),
  newstate: attr(oneOf(...states)),
  brokentype: attr(string),
  jobflags: attr(flags),
  shallownew: attr(yesNo),
  errmsg: leaf(string),
  disk: one(element('disk', { dst: attr(string, { required: true }), mirror: attr(yesNo) })),
  chains: one(element('chains', { disk: one(image('disk')), mirror: one(image('mirror')) })),
  base: node('base'),
  top: node('top'),
  topparent: node('topparent'),
  deleteCommittedImages: flag(),
  create: one(element('create', { mode: attr(oneOf('storage'), { required: true }) })),
  src: one(image('src')),
  bitmap: one(element('bitmap', { name: attr(string) })),
  store: one(image('store')),
});

export const blockjobs = element(
  'blockjobs',
  { active: attr(yesNo, { default: false }), jobs: many(blockjob) },
  { keepEmpty: true },
);
