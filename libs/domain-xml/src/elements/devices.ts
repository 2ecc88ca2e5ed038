/** `<devices>`: every device of a guest, by family, in the order of output. */
import { element, leaf, one, many, string, type ModelOf } from '../schema';
import { channel, console, parallel, redirdev, serial, smartcard } from './chardev';
import { controller } from './controller';
import { disk } from './disk';
import { filesystem } from './filesystem';
import { graphics } from './graphics';
import { hostdev } from './hostdev';
import { networkInterface } from './interface';
import { audio, sound, video } from './media';
import { memoryDevice, tpm } from './memory-device';
import {
  crypto,
  hub,
  input,
  iommu,
  lease,
  memballoon,
  nvramDevice,
  panic,
  pstore,
  redirfilter,
  rng,
  shmem,
  vsock,
  watchdog,
} from './small-devices';

/** Families of which a guest can have many, keyed as in the model. */
export const deviceLists = {
  disks: many(disk),
  controllers: many(controller),
  leases: many(lease),
  filesystems: many(filesystem),
  interfaces: many(networkInterface),
  smartcards: many(smartcard),
  serials: many(serial),
  parallels: many(parallel),
  consoles: many(console),
  channels: many(channel),
  inputs: many(input),
  tpms: many(tpm),
  graphics: many(graphics),
  sounds: many(sound),
  audios: many(audio),
  videos: many(video),
  hostdevs: many(hostdev),
  redirdevs: many(redirdev),
};

export const devices = element(
  'devices',
  {
    emulator: leaf(string),
    ...deviceLists,
    redirfilter: one(redirfilter),
    hubs: many(hub),
    watchdogs: many(watchdog),
    memballoon: one(memballoon),
    rngs: many(rng),
    nvram: one(nvramDevice),
    panics: many(panic),
    shmems: many(shmem),
    memories: many(memoryDevice),
    cryptos: many(crypto),
    iommu: one(iommu),
    vsock: one(vsock),
    pstore: one(pstore),
  },
  { keepEmpty: 'open' },
);
export type Devices = ModelOf<typeof devices>;
