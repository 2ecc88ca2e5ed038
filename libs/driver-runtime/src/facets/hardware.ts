/** What a running guest is made of, and what it may take: power, memory, processors, devices. */
import type { Device, Domain } from '@virtbus/domain-xml';
import type { ChainDocument, PowerMode, Tuning } from '@virtbus/shared';
import type { Guest } from '../guest';

export interface PowerFacet<G extends Guest = Guest> {
  shutdown(guest: G, modes: readonly PowerMode[], signal: AbortSignal): Promise<void>;
  reboot(guest: G, modes: readonly PowerMode[], signal: AbortSignal): Promise<void>;
}

export interface ResetFacet<G extends Guest = Guest> {
  press(guest: G, signal: AbortSignal): Promise<void>;
}

/** The memory that a running guest may use: its balloon, or its limit. */
export interface MemoryFacet<G extends Guest = Guest> {
  set(guest: G, kib: number, signal: AbortSignal): Promise<void>;
}

/** How much of the host a running guest may take. */
export interface TuningFacet<G extends Guest = Guest> {
  /** What the host holds it to now. */
  read(guest: G): Tuning;
  /** Hold the guest to what this document limits; it becomes its live document. Throws with nothing changed. */
  apply(guest: G, tuned: Domain): void;
}

export interface VcpusFacet<G extends Guest = Guest> {
  set(guest: G, count: number, signal: AbortSignal): Promise<void>;
}

/**
 * Each tells `live` when the document changed, and returns the device as it is now.
 * `chain` is what a disk stands on: the driver opens no other images.
 */
export interface DevicesFacet<G extends Guest = Guest> {
  attach(guest: G, device: Device, signal: AbortSignal, chain?: ChainDocument): Promise<Device>;
  detach(guest: G, device: Device, signal: AbortSignal): Promise<Device>;
  update(guest: G, device: Device, signal: AbortSignal, chain?: ChainDocument): Promise<Device>;
}
