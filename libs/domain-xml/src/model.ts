/** The names of the model: what a parsed domain document is made of. All types come from the declarations in `elements/`. */
export type { Clock, Domain, DomainType, Seclabel } from './elements/domain';
export type { Cpu, NumaCell } from './elements/cpu';
export type { Os } from './elements/os';
export type { Features, Hyperv } from './elements/features';
export { unlimitedKib, type Cputune } from './elements/tuning';
export type { Devices } from './elements/devices';
export type { Disk, DiskBus } from './elements/disk';
export type { BackingStore, DataStore, StorageHost, StorageSource, StorageType } from './elements/storage-source';
export type { Controller, ControllerType } from './elements/controller';
export type { Interface, InterfaceSource } from './elements/interface';
export type {
  Channel,
  CharacterSource,
  CharacterType,
  Console,
  Parallel,
  Redirdev,
  Serial,
  Smartcard,
} from './elements/chardev';
export type { Graphics, GraphicsListen } from './elements/graphics';
export type { Audio, Sound, Video, VideoType } from './elements/media';
export type {
  Crypto,
  Hub,
  Input,
  Iommu,
  Memballoon,
  Panic,
  Rng,
  Shmem,
  Vsock,
  Watchdog,
} from './elements/small-devices';
export type { Filesystem } from './elements/filesystem';
export type { Hostdev, HostLocation } from './elements/hostdev';
export type { MemoryDevice, Tpm } from './elements/memory-device';
export type {
  Address,
  AddressType,
  Alias,
  DeviceInfo,
  DriveAddress,
  PciAddress,
  UsbAddress,
  VirtioSerialAddress,
} from './elements/device-info';
