/** `<memory>` devices (DIMMs and their virtio kin) and `<tpm>`. */
import {
  element,
  attr,
  leaf,
  flag,
  one,
  oneOf,
  string,
  yesNo,
  uint,
  uuid,
  hex,
  kib,
  cpuset,
  type ModelOf,
} from '../schema';
import { deviceInfo } from './device-info';

export const memoryDevice = element('memory', {
  model: attr(oneOf('dimm', 'nvdimm', 'virtio-pmem', 'virtio-mem', 'sgx-epc'), { required: true }),
  access: attr(oneOf('shared', 'private')),
  discard: attr(yesNo),
  uuid: leaf(uuid),
  source: one(
    element('source', {
      path: leaf(string),
      alignsize: leaf(kib),
      pmem: flag(),
      nodemask: leaf(cpuset),
      pagesize: leaf(kib),
    }),
  ),
  target: one(
    element('target', {
      dynamicMemslots: attr(yesNo),
      size: leaf(kib, { required: true }),
      node: leaf(uint),
      label: one(element('label', { size: leaf(kib, { required: true }) })),
      readonly: flag(),
      block: leaf(kib),
      requested: leaf(kib),
      current: leaf(kib, { live: true }),
      address: one(element('address', { base: attr(hex(1)) })),
    }),
    { required: true },
  ),
  ...deviceInfo,
});
export type MemoryDevice = ModelOf<typeof memoryDevice>;

export const tpm = element('tpm', {
  model: attr(oneOf('tpm-tis', 'tpm-crb', 'tpm-spapr', 'spapr-tpm-proxy')),
  backend: one(
    element('backend', {
      type: attr(oneOf('passthrough', 'emulator', 'external'), { required: true }),
      version: attr(oneOf('1.2', '2.0')),
      persistent_state: attr(yesNo),
      debug: attr(uint),
      device: one(element('device', { path: attr(string) })),
      encryption: one(element('encryption', { secret: attr(uuid) })),
      source: one(
        element('source', {
          type: attr(oneOf('unix', 'file', 'dir')),
          mode: attr(oneOf('connect', 'bind')),
          path: attr(string),
        }),
      ),
      active_pcr_banks: one(
        element('active_pcr_banks', { sha1: flag(), sha256: flag(), sha384: flag(), sha512: flag() }),
      ),
      profile: one(
        element('profile', {
          source: attr(string),
          removeDisabled: attr(oneOf('check', 'fips-host')),
          name: attr(string),
        }),
      ),
    }),
    { required: true },
  ),
  ...deviceInfo,
});
export type Tpm = ModelOf<typeof tpm>;
